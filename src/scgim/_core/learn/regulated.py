"""Regulators that vary from cell to cell: what that adds to covariances (layer `_core`; not from the paper).

A search without the regulator explains these correlations by edges between its genes, which then pass on what they
should not. So what it adds (`scgim._core.posterior.regulation.loadings`) is taken out of the moments as hidden causes
are (`scgim._core.structure.hidden`).
"""

from __future__ import annotations

import numpy as np

from scgim._core.moments.moments import Hidden, Moments
from scgim._core.posterior.regulation.edges import weigh_edges
from scgim._core.posterior.regulation.loadings import noise_covariance, regulator_loadings
from scgim._core.posterior.regulation.network import Network
from scgim._core.structure.hidden.taken_out import taken_out

KEPT = 0.2  # of the variance within contexts in any direction, at the least
TINY = 1e-12


def take_out_activities(moments: Moments, network: Network, weights: np.ndarray) -> Moments:
    """The moments without what regulators add to the noises within contexts, which they then name as hidden causes.

    `weights` ``(G, G)`` are effects of genes on each other, of a graph that explains no more than what is plain to see:
    the noises that it leaves are what regulators correlate. The moments are as they were where nothing asks for more.
    """
    if moments.n_functions > 1 or moments.spread is not None or moments.hidden is not None:
        return moments
    n, cov = np.maximum(moments.n, 1.0), noise_covariance(moments, weights)  # (K,), (G, G)
    sd = np.sqrt(np.maximum(np.diag(cov), TINY))  # (G,)
    correlation = cov / np.outer(sd, sd)
    seen = weigh_edges(network, moments, weights).effects(moments.n_genes)
    found = regulator_loadings(correlation, seen, float(max((n - 1).sum(), 1.0)))
    found = found[found.any(axis=1)]  # (r, G)
    if not len(found):
        return moments
    explained = np.linalg.eigvalsh(found @ np.linalg.solve(correlation, found.T)).max()  # most in any direction
    loading = found * sd * np.sqrt(min(1.0, (1 - KEPT) / explained))
    error = (loading**2).sum(axis=0) / n[:, None]  # (K, G) of the mean activity of the cells of a context
    return taken_out(moments, weights, Hidden(loading, np.zeros((len(n), len(loading))), error))
