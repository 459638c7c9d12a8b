"""Prior of the interventions, and the price of the graph (layer `_core`)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

USUAL_TARGETS = 2.0  # of a drug: sparse mechanism shifts
USUAL_EDGES = 2.0  # into a gene
FEWEST_GENES = 4  # as if there were so many, so that no usual target or edge is certain
TINY = 1e-9  # edges that are certain have a price that is finite
LARGEST_BONUS = 20.0  # log odds of an edge that is certain
WITHIN_SHARE = 0.5  # of the cells that noisy covariances are worth, for what is left of a gene beside its parents
EDGE_FACTOR = 2.0  # of the price of edges that noisy covariances suggest


@dataclass
class Prior:
    """Prior of the interventions and price of the graph."""

    p_target: np.ndarray  # (G,) prior probability that a drug targets a gene
    effect_sd: np.ndarray  # (G,) standard deviation of effects, in standard deviations of the gene
    background_sd: np.ndarray  # (G,) omega, standard deviation of the differences between contexts where no drug acts
    edge_price: np.ndarray  # (G, G) price of an edge, minus the log prior odds; infinite where it is forbidden
    # cells that the covariance within contexts is worth at the most, as mechanisms are only about right; see
    # `scgim._core.structure.misfit`
    misfit_cells: float = np.inf
    # relative error of what parents pass on to a gene where they change; see `scgim._core.structure.slopes`
    slope_sd: float = 0.0

    @classmethod
    def default(cls, n_genes: int, edge_probability: np.ndarray | None = None) -> Prior:
        """Two targets a drug and two edges a gene, effects of one standard deviation, no background.

        Parameters
        ----------
        edge_probability
            ``(G, G)``; prior probability of each edge, 0 where it is forbidden, row causes column.
        """
        g = max(n_genes, FEWEST_GENES)
        if edge_probability is None:
            probability = np.full((n_genes, n_genes), USUAL_EDGES / (g - 1))
        else:
            probability = np.asarray(edge_probability, float)
        with np.errstate(divide="ignore"):
            price = np.log1p(-np.minimum(probability, 1 - TINY)) - np.log(probability)
        return cls(
            np.full(n_genes, USUAL_TARGETS / g), np.ones(n_genes), np.zeros(n_genes), np.maximum(price, -LARGEST_BONUS)
        )

    def trusting(self, cells: float) -> Prior:
        """The same where the covariance within contexts is worth so many cells at the most."""
        return replace(self, misfit_cells=cells)

    def of(self, genes: np.ndarray) -> Prior:
        """The prior of some genes, with repeats allowed; prices of the edges into them, ``(G, M)``."""
        return replace(
            self,
            p_target=self.p_target[genes],
            effect_sd=self.effect_sd[genes],
            background_sd=self.background_sd[genes],
            edge_price=self.edge_price[:, genes],
        )


def precision(dof: float, pair_cells: np.ndarray | None) -> tuple[float, np.ndarray | None]:
    """Degrees of freedom of the covariance within contexts, and what multiplies the price of edges, ``(G, G)``.

    Where genes are observed with noise, the covariance is known as if from fewer cells. One number for all genes keeps
    the score the same for graphs that no covariance can tell apart; that some pairs are known less well makes
    their edges dearer. The two factors were chosen on simulated counts.
    """
    if pair_cells is None:
        return dof, None
    pairs = pair_cells[~np.eye(len(pair_cells), dtype=bool)]
    typical = float(np.median(pairs)) if len(pairs) else dof
    if typical >= dof:
        return dof, None
    return max(WITHIN_SHARE * typical, 1.0), EDGE_FACTOR * np.maximum(typical / pair_cells, 1.0)
