"""Regulators: unmeasured nodes whose activity drugs change, and a signed network of what they act on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scgim.datasets._simulator.disturbance import Disturbance
from scgim.datasets._simulator.fault import Fault, World, require


@dataclass(frozen=True)
class Regulators(Fault):
    """Drugs that change the activity of a regulator that is not among the genes (not from the paper).

    The network of regulators, right or with wrong edges, is handed out in ``.uns["network"]``: a table with the columns
    source, target and weight (+1 activates, -1 represses), as decoupler has it.

    Parameters
    ----------
    n
        Number of regulators, ``regulator_1``, ...
    n_genes
        Genes that each acts on.
    weight
        Smallest and largest size of what a unit of activity adds to a gene, in units of the gene's standard deviation
        among controls without regulators.
    sd
        Standard deviation of the activity between the cells of a context.
    effect
        Smallest and largest size of the change of activity at saturating dose.
    drugs
        Share of the drugs (the first ones) that change the activity of one regulator, up or down, and of no gene.
    wrong
        Share of the edges in the network handed out that name another gene, with a random sign.

    Examples
    --------
    >>> adata = scgim.datasets.simulate(8, faults=[scgim.datasets.faults.Regulators(n=5, n_genes=4)])
    >>> list(adata.uns["network"])
    ['source', 'target', 'weight']
    """

    n: int = 20
    n_genes: int = 15
    weight: tuple[float, float] = (0.3, 1.0)
    sd: float = 0.3
    effect: tuple[float, float] = (1.0, 3.0)
    drugs: float = 1.0
    wrong: float = 0.0

    def check(self, settings: dict[str, Any]) -> None:
        """Ranges in order, shares, and genes that are there."""
        require(self, "n", "at least 1", holds=self.n >= 1)
        fits = 1 <= self.n_genes <= settings["n_genes"]
        require(self, "n_genes", f"between 1 and the {settings['n_genes']} genes", holds=fits)
        for name in ("weight", "effect"):
            low, high = getattr(self, name)
            require(self, name, "two positive numbers in ascending order", holds=0 < low <= high)
        require(self, "sd", "at least 0", holds=self.sd >= 0)
        for name in ("drugs", "wrong"):
            require(self, name, "between 0 and 1", holds=0 <= getattr(self, name) <= 1)

    def _acting(self, n_drugs: int) -> int:
        return round(self.drugs * n_drugs)

    def change_drugs(self, effect: np.ndarray) -> np.ndarray:
        """Drugs that act on a regulator act on no gene."""
        changed = effect.copy()
        changed[: self._acting(len(effect))] = 0
        return changed

    def disturb(self, world: World, rng: np.random.Generator) -> Disturbance:
        """True weights, what drugs do to activities, and the network that is handed out."""
        n_genes, n_drugs = len(world.gene_sd), world.response.shape[1]
        weights = np.zeros((self.n, n_genes))  # (R, G)
        for one in weights:
            genes = rng.choice(n_genes, self.n_genes, replace=False)
            one[genes] = rng.uniform(*self.weight, self.n_genes) * rng.choice([-1.0, 1.0], self.n_genes)
        changed = np.zeros((n_drugs, self.n))  # (D, R)
        acting = np.arange(self._acting(n_drugs))
        size = rng.uniform(*self.effect, len(acting)) * rng.choice([-1.0, 1.0], len(acting))
        changed[acting, rng.integers(self.n, size=len(acting))] = size
        names = np.array([f"regulator_{r + 1:0{len(str(self.n))}d}" for r in range(self.n)], dtype=object)
        loading = weights * world.gene_sd
        return Disturbance(
            loading=loading,
            hidden_mean=world.response @ changed,
            hidden_sd=np.full(self.n, self.sd),
            truth={"names": names, "weights": loading, "drug_effect": changed},
            varm={"true_regulator_weights": loading.T},
            uns={"network": self._network(np.sign(weights), names, world.settings["var_names"], rng)},
        )

    def _network(self, sign: np.ndarray, names: np.ndarray, genes: list[str], rng: np.random.Generator) -> pd.DataFrame:
        """Edges with their signs; a share of them moved to genes that the regulator does not act on."""
        given = sign.copy()  # (R, G)
        source, target = np.nonzero(sign)
        chosen = rng.choice(len(source), round(self.wrong * len(source)), replace=False)
        for r, g in zip(source[chosen], target[chosen], strict=True):
            free = np.flatnonzero((given[r] == 0) & (sign[r] == 0))
            if len(free):
                given[r, g], given[r, rng.choice(free)] = 0, rng.choice([-1.0, 1.0])
        source, target = np.nonzero(given)
        label = np.array(genes, dtype=object)
        return pd.DataFrame({"source": names[source], "target": label[target], "weight": given[source, target]})
