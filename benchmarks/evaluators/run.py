"""The evaluators of the field, ``scperteval`` and ``cell-eval``, on predictions of a simulated screen and of glioblastoma.

    pip install -e ".[eval]" && python benchmarks/evaluators/run.py

Simulated: doses that were not measured, from counts. Glioblastoma: the treated cells of one patient are left out, five times. Both are
logarithms of normalised counts, fitted with the defaults. ``scgim`` draws cells, ``scgim_moved`` moves the control cells, ``mean_shift``
moves the control cells by the mean change of all perturbed training cells of the batch (of the other batches where there are none), and
``control`` predicts no change.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import argparse
import tempfile
import warnings

import _real
import numpy as np
import pandas as pd

HERE = Path(__file__).parent
ORDER = ["scgim", "scgim_moved", "mean_shift", "control"]
PROTOCOLS = ["pearson_ctrl", "mse", "wmse_exp2", "energy_distance_pca_k=20", "de_auprc"]  # of scperteval
COLUMNS = ["pearson_delta", "mse", "mae", "overlap_at_N", "de_direction_match", "de_spearman_lfc_sig"]  # of cell-eval
SCREENS = ("simulated", "gbm")


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = _real.command(__doc__, screens=SCREENS)
    parser.add_argument("--genes", type=int, default=100)
    parser.add_argument("--patients", nargs="+", help="only these")
    return _real.parsed(parser, argv, HERE)


def simulated(n_genes: int):
    """Training cells, held-out cells and arguments of the fit, one part."""
    import scgim

    adata = scgim.datasets.simulate(n_genes, n_drugs=12, n_new_drugs=1, noise="counts", n_cells=60, n_test_cells=60)
    adata.X = _real.log_normalise(adata.X)
    parts = {name: adata[(adata.obs["split"] == name).to_numpy()].copy() for name in ("train", "new_dose")}
    yield "new doses", parts["train"], parts["new_dose"], {"dose_key": "dose", "control": "control"}


def gbm(n_genes: int, patients: list[str] | None):
    """The same of every patient."""
    import anndata

    raw = anndata.read_h5ad(_real.data_file("gbm_panobinostat", "gbm_panobinostat.h5ad"))
    logs = _real.log_normalise(raw.X)
    keep = np.sort(np.argsort(-logs.var(axis=0), kind="stable")[:n_genes])
    adata = anndata.AnnData(logs[:, keep], obs=raw.obs[["patient_id", "drug"]], var=raw.var.iloc[keep].copy())
    for patient in patients or sorted(adata.obs["patient_id"].astype(str).unique()):
        held = ((adata.obs["patient_id"] == patient) & (adata.obs["drug"] != "DMSO")).to_numpy()
        yield patient, adata[~held].copy(), adata[held].copy(), {"batch_key": "patient_id", "control": "DMSO"}


def pairs(train, test, arguments: dict):
    """Measured cells, and predicted cells by method, with the same controls."""
    import scgim

    model = scgim.tl.fit(train, perturbation_key="drug", progress=False, accelerator="cpu", **arguments)
    measured, drawn = scgim.tl.export_predictions(model, test)
    _, moved = scgim.tl.export_predictions(model, test, population="control")
    control = (measured.obs["perturbation"] == "control").to_numpy()
    cells = train[(train.obs["drug"] == arguments["control"]).to_numpy()].X
    batch = arguments.get("batch_key")
    change = mean_change(train, batch, arguments["control"])
    rng = np.random.default_rng(0)
    still = measured.copy()
    if batch is None:
        still.X[~control] = cells[rng.integers(len(cells), size=(~control).sum())]
    else:  # one patient is held out: its own controls
        own = measured.X[control]
        still.X[~control] = own[rng.integers(len(own), size=(~control).sum())]
    shifted = still.copy()
    shifted.X[~control] = np.maximum(still.X[~control] + change, 0)
    return measured, {"scgim": drawn, "scgim_moved": moved, "mean_shift": shifted, "control": still}


def mean_change(train, batch: str | None, control: str) -> np.ndarray:
    """Mean over batches of the change of the mean, ``(G,)``."""
    names = train.obs[batch].astype(str) if batch else pd.Series("all", index=train.obs_names)
    changes = []
    for name in names.unique():
        own, none = (names == name).to_numpy(), (train.obs["drug"] == control).to_numpy()
        if (own & ~none).any():
            changes.append(train.X[own & ~none].mean(axis=0) - train.X[own & none].mean(axis=0))
    return np.mean(changes, axis=0)


def scperteval_scores(measured, predicted) -> dict[str, float]:
    import scperteval

    prepared = scperteval.prepare(measured, PROTOCOLS, name="held out")
    return {p: scperteval.score(prepared, p, predicted).aggregate["mean"] for p in PROTOCOLS}


def cell_eval_scores(measured, predicted) -> dict[str, float]:
    import cell_eval

    with tempfile.TemporaryDirectory() as folder:
        evaluator = cell_eval.MetricsEvaluator(
            adata_pred=predicted.copy(),
            adata_real=measured.copy(),
            control_pert="control",
            pert_col="perturbation",
            num_threads=1,
            outdir=folder,
        )
        table, _ = evaluator.compute(profile="full", write_csv=False, skip_metrics=["clustering_agreement"])
    frame = table.to_pandas() if hasattr(table, "to_pandas") else pd.DataFrame(table.to_dicts())
    return {name: float(frame[name].mean()) for name in COLUMNS if name in frame}


EVALUATORS = {"scperteval": scperteval_scores, "cell-eval": cell_eval_scores}


def make_rows(arguments: argparse.Namespace, path: Path) -> None:
    """Add to the rows what is not among them yet."""
    _real.quiet()
    made_by = _real.versions()
    for screen in arguments.screens:
        done = _real.finished(path, ["screen", "part"])
        parts = simulated(arguments.genes) if screen == "simulated" else gbm(arguments.genes, arguments.patients)
        for part, train, test, setup in parts:
            if (screen, part) in done:
                continue
            measured, predictions = pairs(train, test, setup)
            rows = [
                (method, f"{package}: {metric}", value)
                for method, predicted in predictions.items()
                for package, scores in EVALUATORS.items()
                for metric, value in scores(measured, predicted).items()
            ]
            table = pd.DataFrame(rows, columns=["method", "metric", "value"])
            _real.record(path, {"screen": screen, "part": part}, table, made_by)
            print(table.pivot(index="metric", columns="method", values="value")[ORDER].round(3), flush=True)


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    path = arguments.out / "rows.csv"
    if arguments.summary:
        _real.need(path, __file__)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            make_rows(arguments, path)
    table = _real.summarise(path, ["screen"], arguments.tables / "average.csv", ORDER)
    print(table.set_index(["screen", "method"]).T.round(3).to_string())


if __name__ == "__main__":
    main()
