"""Make the pictures of the README and the documentation: ``python docs/make_pictures.py``.

Those of the landing page are of real cells, and are made where ``SCGIM_DATA_DIR`` has the data (``sachs``, ``gbm_panobinostat``).
"""

import os
from pathlib import Path

import numpy as np

import scgim

OUT = Path(__file__).parent / "_static"
DPI = 120


def main() -> None:
    adata = scgim.datasets.simulate(n_genes=14, n_drugs=14, n_new_drugs=0, new_doses=(), rng=3)
    scgim.tl.fit(adata, perturbation_key="drug", dose_key="dose", control="control")
    drug = adata.obs["drug"].cat.categories[1]
    figures = {
        "mechanisms.png": scgim.pl.mechanisms(adata, show=False, return_fig=True),
        "mechanisms_one.png": scgim.pl.mechanisms(adata, drug, show=False, return_fig=True),
        "targets.png": scgim.pl.targets(adata, drug, return_fig=True),
        "drug_similarity.png": scgim.pl.drug_similarity(adata, return_fig=True),
        "graph.png": scgim.pl.graph(adata, show=False, return_fig=True),
    }
    if os.environ.get("SCGIM_DATA_DIR"):
        figures |= of_real_cells(Path(os.environ["SCGIM_DATA_DIR"]))
    for name, figure in figures.items():
        figure.savefig(OUT / name, dpi=DPI, bbox_inches="tight")


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
    import anndata

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
