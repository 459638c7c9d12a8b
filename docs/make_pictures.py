"""Make the pictures of the README and the documentation: ``python docs/make_pictures.py``."""

from pathlib import Path

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
    for name, figure in figures.items():
        figure.savefig(OUT / name, dpi=DPI, bbox_inches="tight")


if __name__ == "__main__":
    main()
