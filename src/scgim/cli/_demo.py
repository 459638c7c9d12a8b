"""``scgim demo``."""

from pathlib import Path
from typing import Any

import numpy as np

from scgim._writing import together
from scgim.cli import _files
from scgim.cli._console import console, load, step, table
from scgim.cli._fit import top_targets

MOST_BYTES = 20_000_000  # of the demonstrations
BESIDE = {
    "control": "no change",
    "training_mean": "training mean",
    "knn": "nearest drugs",
}  # baselines, and what they are


def run(*, dataset: str, out: Path, data_dir: Path | None, seed: int, overwrite: bool) -> None:
    """Run the demonstration."""
    names = ["adata.h5ad", "model", *_files.PICTURES]
    _files.check_folder(out, names, n_bytes=MOST_BYTES, overwrite=overwrite)
    load()
    made = _simulated(out, seed) if dataset == "simulate" else _sachs(out, data_dir, seed)
    console().print(f"[bold]{out}[/]: {', '.join(['adata.h5ad', 'model/', *made])}")


def _save(adata: Any, model: Any, out: Path) -> list[str]:
    with step("writing results and pictures"), together(out, "--out") as stage:
        _files.write(adata, stage / "adata.h5ad")
        model.save(str(stage / "model"))
        return _files.pictures(adata, stage)


def _simulated(out: Path, seed: int) -> list[str]:
    """Simulated cells: targets beside the truth, errors beside baselines."""
    from scgim import datasets, get, metrics, tl

    with step("simulating 40 drugs at 4 doses in 20 genes"):
        adata = datasets.simulate(n_test_cells=200, rng=seed)
        parts = {name: adata[adata.obs["split"] == name].copy() for name in ("train", "new_dose", "new_drug")}
    train = parts["train"]
    with step(f"fitting {train.n_obs} cells of {len(train.obs['context'].unique())} contexts", shows=True):
        keys: dict[str, Any] = {"perturbation_key": "drug", "dose_key": "dose", "control": "control"}
        model = tl.fit(train, **keys, features_key="features", rng=seed, progress=True)
    with step("predicting unseen doses and new drugs"):
        scores = {
            name: tl.evaluate(model, parts[name], metrics=["mean_distance"], baselines=list(BESIDE), rng=seed)
            for name in ("new_dose", "new_drug")
        }
    made = _save(train, model, out)
    truth = train.uns["truth"]
    _truth_table(train, truth)
    weights = model.get_graph()[0].toarray()
    console().print(
        f"Edges: F1 {metrics.edge_f1(truth['graph'], weights != 0):.2f} against the true graph "
        f"({get.graph(train).number_of_edges()} found, {int(np.asarray(truth['graph']).sum())} true)\n"
    )
    _error_table(scores)
    return made


def _error_table(scores: dict[str, Any]) -> None:
    """Errors beside those of baselines."""
    rows = []
    for name, label in (("new_dose", "unseen doses"), ("new_drug", "new drugs")):
        median = scores[name].groupby("method")["value"].median()
        rows.append([f"{label} ({scores[name]['context'].nunique()})", *(f"{median[m]:.2f}" for m in ("gim", *BESIDE))])
    table(
        "Error of the predicted mean (distance, median of conditions)",
        ["conditions", "scgim", *BESIDE.values()],
        rows,
    )


def _truth_table(train: Any, truth: Any, *, most: int = 6) -> None:
    """A few drugs: inferred targets beside true ones."""
    from scgim.pl._style import number

    contexts = truth["contexts"]
    found = top_targets(train, "scgim")
    effects, targets = np.asarray(truth["effects"]), np.asarray(truth["targets"])
    rows = []
    for drug in list(found)[:most]:
        here = np.flatnonzero((contexts["drug"].astype(str) == drug) & (contexts["split"].astype(str) == "train"))
        k = here[np.argmax(contexts["dose"].to_numpy()[here])]
        true = [f"{train.var_names[g]} {number(effects[k, g])}" for g in np.flatnonzero(targets[k])]
        rows.append([drug, found[drug], ", ".join(true)])
    table(
        "Targets at the highest dose",
        ["drug", "inferred target and effect", "true target and effect"],
        rows,
        left=3,
    )


def _sachs(out: Path, data_dir: Path | None, seed: int) -> list[str]:
    """Signalling proteins: targets beside the intended ones."""
    from scgim import datasets, get, tl

    with step("reading the proteins of Sachs et al. 2005"):
        adata = datasets.sachs(directory=data_dir)
    with step(f"fitting {adata.n_obs} cells x {adata.n_vars} proteins", shows=True):
        model = tl.fit(adata, perturbation_key="drug", control="none", rng=seed, progress=True)
    made = _save(adata, model, out)
    inferred = get.targets(adata)
    intended = adata.obs[["drug", "target"]].astype(str).drop_duplicates().set_index("drug")["target"]
    found = top_targets(adata, "scgim")
    rows = []
    for drug, text in found.items():
        part = inferred[inferred["drug"].astype(str) == drug].set_index("gene")
        rank = int(part.loc[intended[drug], "rank"])
        rows.append([drug, text, intended[drug], f"{rank} of {adata.n_vars}"])
    table("Targets", ["drug", "inferred target and effect", "intended target", "its rank"], rows, left=3)
    edges = {(a, b) for a, b in get.graph(adata).edges}
    known = set(adata.uns["consensus_edges"].itertuples(index=False, name=None))
    console().print(
        f"Edges: {len(edges)} found; {len(edges & known)} of the {len(known)} edges of the consensus graph, "
        f"{len({(b, a) for a, b in edges} & known)} of them reversed.\n"
    )
    return made
