"""Glioblastoma slices of five patients under panobinostat: leave the treated cells of one patient out, five times.

    python benchmarks/gbm/run.py --out benchmarks/gbm/results

The control cells of that patient stay in training. Every patient is a batch; counts are normalised to the median total
and logged; settings are the defaults of ``scgim.tl.fit``. What is in ``patients.csv`` already is not run again
(``--again``). ``--genes 40`` takes the most variable genes only.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import argparse
import time

import _real
import numpy as np
import pandas as pd

HERE = Path(__file__).parent
DRUG, CONTROL = "panobinostat", "DMSO"
METRICS = ("pearson_mean_change", "energy_distance", "mean_distance")
NAMES = {"gim": "scgim", "training_mean": "mean_shift"}
ORDER = ["scgim", "scgim_counterfactual", "mean_shift", "control"]
N_CELLS = 500


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--genes", type=int, default=300)
    parser.add_argument("--patients", nargs="+", help="only these")
    parser.add_argument("--again", action="store_true", help="replace what is in the table already")
    parser.add_argument("--models", type=Path, help="folder for the fitted models")
    return parser.parse_args(argv)


def load(n_genes: int):
    """Log-normalised cells with patient and drug."""
    import anndata

    raw = anndata.read_h5ad(_real.data_file("gbm_panobinostat", "gbm_panobinostat.h5ad"))
    x = _real.log_normalise(raw.X)
    keep = np.sort(np.argsort(-x.var(axis=0), kind="stable")[:n_genes])
    return anndata.AnnData(x[:, keep], obs=raw.obs[["patient_id", "drug"]].copy(), var=raw.var.iloc[keep].copy())


def score(adata, patient: str, models: Path | None) -> pd.DataFrame:
    """One row a method and metric."""
    import scgim

    held_out = ((adata.obs["patient_id"] == patient) & (adata.obs["drug"] == DRUG)).to_numpy()
    train, test = adata[~held_out].copy(), adata[held_out].copy()
    start = time.process_time()
    model = scgim.tl.fit(
        train, perturbation_key="drug", control=CONTROL, batch_key="patient_id", progress=False, accelerator="cpu"
    )
    seconds = time.process_time() - start
    if models is not None:
        model.save(models / patient, overwrite=True)
    table = scgim.tl.evaluate(model, test, metrics=METRICS, baselines=("control", "training_mean"), n_cells=N_CELLS)
    table = table[["method", "metric", "value"]].replace({"method": NAMES})
    control = train[(train.obs["patient_id"] == patient).to_numpy()].copy()
    moved = model.counterfactual(control, pd.DataFrame({"drug": [DRUG]}))
    means = [np.asarray(cells.X, dtype=float).mean(axis=0) for cells in (test, moved, control)]
    extra = {
        "pearson_mean_change": scgim.metrics.pearson_mean_change(*means),
        "energy_distance": scgim.metrics.energy_distance(test.X, moved.X),
        "mean_distance": scgim.metrics.mean_distance(means[0][None], means[1][None]),
    }
    rows = [("scgim_counterfactual", name, value) for name, value in extra.items()]
    rows.append(("scgim", "seconds", seconds))
    return pd.concat([table, pd.DataFrame(rows, columns=table.columns)], ignore_index=True)


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    _real.quiet()
    path = arguments.out / "patients.csv"
    adata, made_by = load(arguments.genes), _real.versions()
    for patient in arguments.patients or sorted(adata.obs["patient_id"].astype(str).unique()):
        if not arguments.again and (patient,) in _real.finished(path, ["patient"]):
            continue
        table = score(adata, patient, arguments.models)
        if arguments.again:
            _real.drop(path, {"patient": patient})
        table.insert(0, "patient", patient)
        _real.append(path, table.assign(versions=made_by))
        print(
            table.pivot(index="method", columns="metric", values="value").assign(patient=patient).round(3), flush=True
        )
    print(_real.summarise(path, [], arguments.out / "average.csv", ORDER).round(3).to_string())


if __name__ == "__main__":
    main()
