"""Latent factors: hidden variables of a cell that move several genes, such as cell cycle or stress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scgim.datasets._simulator.disturbance import Disturbance
from scgim.datasets._simulator.fault import Fault, World, require


@dataclass(frozen=True)
class LatentFactors(Fault):
    """Hidden common causes of genes, which drugs may move (not from the paper).

    Parameters
    ----------
    n
        Number of factors.
    n_genes
        Genes that each acts on, chosen at random.
    sd
        Typical standard deviation that a factor adds to a gene, in units of the gene's own among controls without
        factors.
    drug_sd
        Standard deviation over drugs of how far one moves a factor at saturating dose, in standard deviations of the
        factor between cells. 0: no drug does.

    Examples
    --------
    >>> adata = scgim.datasets.simulate(8, faults=[scgim.datasets.faults.LatentFactors(n=1, n_genes=4)])
    >>> adata.varm["true_loadings"].shape
    (8, 1)
    """

    n: int = 2
    n_genes: int = 8
    sd: float = 1.0
    drug_sd: float = 0.0

    def check(self, settings: dict[str, Any]) -> None:
        """The genes are there."""
        require(self, "n", "at least 1", holds=self.n >= 1)
        fits = 1 <= self.n_genes <= settings["n_genes"]
        require(self, "n_genes", f"between 1 and the {settings['n_genes']} genes", holds=fits)
        for name in ("sd", "drug_sd"):
            require(self, name, "at least 0", holds=getattr(self, name) >= 0)

    def disturb(self, world: World, rng: np.random.Generator) -> Disturbance:
        """Loadings of both signs; means that follow the dose response of the drugs."""
        n_contexts, n_genes = world.shape
        loading = np.zeros((self.n, n_genes))
        for one in loading:
            genes = rng.choice(n_genes, self.n_genes, replace=False)
            size = rng.uniform(0.5, 1.5, self.n_genes) * rng.choice([-1.0, 1.0], self.n_genes)
            one[genes] = self.sd * size * world.gene_sd[genes]
        moved = rng.normal(0, self.drug_sd, (world.response.shape[1], self.n))  # (D, F)
        return Disturbance(
            loading=loading,
            hidden_mean=world.response @ moved,
            hidden_sd=np.ones(self.n),
            truth={"loading": loading, "drug_effect": moved},
            varm={"true_loadings": loading.T},
        )
