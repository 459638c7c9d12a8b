"""A warning where genes follow from others without noise: the same thing measured twice, a sum, shares of a whole."""

from __future__ import annotations

import numpy as np

from scgim._core.fit import Fit
from scgim._core.moments.moments import Moments
from scgim._warnings import warn_user

NO_NOISE = 0.02  # standard deviation that others leave of a gene's own
MOST_GENES = 1000  # whose covariance is inverted
CELLS_A_GENE = 10  # from which on a covariance is not singular by chance
RIDGE = 1e-8  # of correlations, against rounding


def warn_copies(fit: Fit, moments: Moments) -> None:
    """Warn where genes follow from others nearly without noise, from their parents or from all others within contexts.

    A search may miss a sum of many: only all of its parts together leave no noise.
    """
    by_parents = _left_by_parents(fit)
    left = np.minimum(by_parents, _left_by_all(moments))  # (G,)
    copies = np.flatnonzero(left < NO_NOISE)
    if len(copies):
        j = int(np.argmin(np.where(left < NO_NOISE, by_parents, np.inf)))
        sources = [fit.genes[i] for i in fit.mechanisms.parents[j]] if by_parents[j] < NO_NOISE else []
        of = sources[:3] or "the other genes"
        warn_user(
            f"adata: {len(copies)} gene(s) follow from others nearly without noise, such as {fit.genes[j]!r} from {of}: are they "
            "the same twice, or a sum? Which causes which cannot be told; drop one."
        )


def _left_by_parents(fit: Fit) -> np.ndarray:
    """Share of their standard deviation that parents leave, ``(G,)``; 1 where there are none."""
    has_parents = np.array([len(parents) > 0 for parents in fit.mechanisms.parents])
    return np.where(has_parents, fit.mechanisms.noise_sd / fit.mechanisms.scale, 1.0)


def _left_by_all(moments: Moments) -> np.ndarray:
    """Share of their standard deviation within contexts that a regression on all other genes leaves, ``(G,)``.

    1 where cells are too few to tell, or genes too many, and where noise of observation was taken out of the covariance.
    """
    n_genes, dof = moments.n_genes, float(moments.n.sum() - len(moments.n))
    if CELLS_A_GENE * n_genes > dof or n_genes > MOST_GENES or moments.pair_cells is not None:
        return np.ones(n_genes)
    within = moments.within[:: moments.n_functions, :: moments.n_functions]  # (G, G)
    sd = np.sqrt(np.maximum(np.diag(within), np.finfo(float).tiny))
    correlation = within / np.outer(sd, sd)
    np.fill_diagonal(correlation, 1 + RIDGE)  # genes that do not vary are no copies
    return 1 / np.sqrt(np.maximum(np.diag(np.linalg.inv(correlation)), 1.0))
