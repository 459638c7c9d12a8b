"""Make the pictures of the README and the documentation: ``python docs/make_pictures.py``.

Those of the landing page are of real cells, and are made where ``SCGIM_DATA_DIR`` has the data (``sachs``, ``gbm_panobinostat``).
"""

import os
from pathlib import Path

import anndata
import numpy as np

import scgim

OUT = Path(__file__).parent / "_static"
DPI = 120


def main() -> None:
    figures = of_every_function()
    if os.environ.get("SCGIM_DATA_DIR"):
        figures |= of_real_cells(Path(os.environ["SCGIM_DATA_DIR"]))
    for name, figure in figures.items():
        figure.savefig(OUT / name, dpi=DPI, bbox_inches="tight")


def of_every_function() -> dict:
    """What each function of ``scgim.pl`` draws, of simulated cells; the reference shows them."""
    adata = scgim.datasets.simulate(n_genes=14, n_drugs=14, n_new_drugs=0, rng=3)
    train, held_out = (adata[adata.obs["split"] == part].copy() for part in ("train", "new_dose"))
    model = scgim.tl.fit(
        train, perturbation_key="drug", dose_key="dose", control="control", features_key="features", max_epochs=0
    )
    drug = "drug_01"
    changes = scgim.tl.changes(model, held_out)
    few = changes[changes["perturbation"].isin(["drug_01", "drug_02", "drug_03"])]
    said, true = hard_to_call()
    drawn = {
        "mechanisms": scgim.pl.mechanisms(train, return_fig=True),
        "mechanisms_one": scgim.pl.mechanisms(train, drug, return_fig=True),
        "targets": scgim.pl.targets(train, drug, return_fig=True),
        "drug_similarity": scgim.pl.drug_similarity(train, return_fig=True),
        "graph": scgim.pl.graph(train, return_fig=True),
        "dose_response": scgim.pl.dose_response(train, drug, curves=scgim.tl.dose_curves(model), return_fig=True),
        "predicted_vs_observed": scgim.pl.predicted_vs_observed(few, return_fig=True),
        "calibration": scgim.pl.calibration(true, said, return_fig=True),
        "diagnostics": scgim.pl.diagnostics(scgim.tl.diagnose(model), return_fig=True),
        "history": scgim.pl.history(train, return_fig=True),
        "regulators": scgim.pl.regulators(with_regulators(), return_fig=True),
    }
    return {f"pl/{name}.png": figure for name, figure in drawn.items()}


def with_regulators() -> anndata.AnnData:
    """Results of a fit with a network of eight regulators, of which most drugs change one."""
    acting = scgim.datasets.faults.Regulators(n=8, n_genes=10, wrong=0.3, drugs=0.8)
    adata = scgim.datasets.simulate(
        60, n_drugs=10, n_new_drugs=0, n_control=600, n_cells=60, n_test_cells=2, new_doses=(), faults=[acting], rng=0
    )
    adata = adata[adata.obs["split"] == "train"].copy()
    network = adata.uns["network"]
    scgim.tl.fit(adata, perturbation_key="drug", dose_key="dose", control="control", regulators=network, max_epochs=0)
    return adata


def hard_to_call() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of targets with few cells and weak effects, and whether each is one in the simulation; (rows,) both."""
    adata = scgim.datasets.simulate(
        n_drugs=30, n_new_drugs=0, new_doses=(), n_cells=10, n_control=200, effect_size=(0.2, 0.9), rng=3
    )
    scgim.tl.fit(adata, perturbation_key="drug", dose_key="dose", control="control", max_epochs=0)
    table, truth = scgim.get.targets(adata, level="drug"), adata.uns["truth"]
    drug, gene = list(truth["drugs"]), list(adata.var_names)
    rows = zip(table["perturbation"].astype(str), table["gene"].astype(str), strict=True)
    true = [truth["drug_effect"][drug.index(d), gene.index(g)] != 0 for d, g in rows]
    return table["probability"].to_numpy(), np.array(true)


def of_real_cells(data: Path) -> dict:
    """Signalling proteins under inhibitors, and a glioblastoma patient whose treated cells were left out."""
    cells = scgim.datasets.sachs(directory=data / "sachs")
    scgim.tl.fit(cells, perturbation_key="drug", control="none", intervention="auto", max_epochs=0)
    train, held_out = glioblastoma(data, patient="PW030")
    model = scgim.tl.fit(train, perturbation_key="drug", control="DMSO", batch_key="patient_id", max_epochs=0)
    return {
        "real_mechanisms.png": scgim.pl.mechanisms(cells, return_fig=True),
        "real_graph.png": scgim.pl.graph(cells, return_fig=True),
        "real_predicted.png": scgim.pl.predicted_vs_observed(scgim.tl.changes(model, held_out), return_fig=True),
    }


def glioblastoma(data: Path, patient: str, n_genes: int = 100):
    """Logarithms of normalised counts of the most variable genes, but for mitochondrial ones; training and held-out cells."""
    raw = anndata.read_h5ad(data / "gbm_panobinostat" / "gbm_panobinostat.h5ad")
    x = np.asarray(raw.X.toarray() if hasattr(raw.X, "toarray") else raw.X, dtype=float)
    total = x.sum(axis=1, keepdims=True)
    x = np.log1p(x / total * np.median(total)).astype(np.float32)
    symbol = raw.var["symbol"].astype(str)
    order = np.argsort(-x.var(axis=0), kind="stable")
    keep = np.sort([g for g in order if not symbol.iloc[g].startswith("MT-")][:n_genes])
    adata = anndata.AnnData(x[:, keep], obs=raw.obs[["patient_id", "drug"]].copy(), var=raw.var.iloc[keep].copy())
    adata.var_names = symbol.iloc[keep].to_numpy()
    adata.var_names_make_unique()
    held = ((adata.obs["patient_id"] == patient) & (adata.obs["drug"] != "DMSO")).to_numpy()
    return adata[~held].copy(), adata[held].copy()


if __name__ == "__main__":
    main()
