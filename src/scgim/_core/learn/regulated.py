"""Regulators that vary from cell to cell: what that adds to the covariance of the genes that they act on (layer `_core`; not from the paper).

A regulator whose activity differs between cells of a context correlates its genes, and a search without it explains that by edges between
them, which then pass on what they should not. Whom it acts on is told by the network; how strongly is learned here, by one factor a
regulator whose loadings are zero elsewhere,

``correlation = loading' loading + rest``,

by the pairs of its genes, one loading after the other. A few pairs act on one another besides, so that what is left has the heavy tails of a
Cauchy distribution. What is found is taken out of the moments as hidden causes are (`scgim._core.structure.hidden`). A gene that
the network names by mistake has a loading near zero, and a regulator that explains no more than chance is left alone.
"""

from __future__ import annotations

import numpy as np

from scgim._core.moments.moments import Hidden, Moments
from scgim._core.posterior.regulation.network import Network
from scgim._core.structure.hidden.taken_out import taken_out

N_SWEEPS = 30
TAILS = 2.0  # standard errors of a correlation, from which on a pair counts for less
WORTH = 3.0  # log likelihood that each loading has to gain, on average
KEPT = 0.2  # of the variance within contexts in any direction, at the least
FEWEST_GENES = 3  # of a regulator: of two, only the product of the loadings is known
TINY = 1e-12


def regulator_loadings(correlation: np.ndarray, effects: np.ndarray, n: float) -> np.ndarray:
    """Loadings ``(T, G)``, zero where a regulator does not act and in the rows of those that explain no more than chance.

    Parameters
    ----------
    correlation
        ``(G, G)``; within contexts.
    effects
        ``(T, G)``; of regulators on genes, see `Network.effects`: where they are not zero, and with which sign.
    n
        Cells that the correlation is from.
    """
    loading, width2 = np.zeros(effects.shape), TAILS**2 / n
    members = [np.flatnonzero(row) for row in effects]
    used = [r for r, genes in enumerate(members) if len(genes) >= FEWEST_GENES]
    for r in used:  # equal sizes, of which the product is the usual correlation
        signs = np.sign(effects[r, members[r]])
        pairs = _rest(correlation, loading, r, members[r]) * np.outer(signs, signs)
        usual = np.median(pairs[np.triu_indices(len(signs), 1)])
        loading[r, members[r]] = signs * np.sqrt(max(usual, 0.0))
    for _ in range(N_SWEEPS):
        for r in used:
            rest, own = _rest(correlation, loading, r, members[r]), loading[r, members[r]]  # (m, m), (m,)
            for i in range(len(own)):
                weight = 1 / (1 + (rest[i] - own[i] * own) ** 2 / width2)
                weight[i] = 0.0
                others = weight @ own**2
                own[i] = weight * own @ rest[i] / others if others > TINY else 0.0
            loading[r, members[r]] = own
    for r in used:
        rest, own = _rest(correlation, loading, r, members[r]), loading[r, members[r]]
        left = rest - np.outer(own, own)
        np.fill_diagonal(left, 0.0)
        gain = (
            0.25 * TAILS**2 * (np.log1p(rest**2 / width2) - np.log1p(left**2 / width2)).sum()
        )  # pairs stand there twice
        if not gain > WORTH * len(own):
            loading[r] = 0.0
    return loading


def _rest(correlation: np.ndarray, loading: np.ndarray, r: int, genes: np.ndarray) -> np.ndarray:
    """Correlations of the genes of a regulator ``(m, m)`` without what the others explain, and without a diagonal."""
    others = loading[:, genes].T @ loading[:, genes] - np.outer(loading[r, genes], loading[r, genes])
    rest = correlation[np.ix_(genes, genes)] - others
    np.fill_diagonal(rest, 0.0)
    return np.asarray(rest)


def take_out_activities(moments: Moments, network: Network, weights: np.ndarray) -> Moments:
    """The moments without what regulators add to the noises within contexts, which they then name as hidden causes.

    `weights` ``(G, G)`` are effects of genes on each other, of a graph that explains no more than what is plain to see: the noises that it
    leaves are what regulators correlate. The moments are as they were where nothing asks for more.
    """
    if moments.n_functions > 1 or moments.spread is not None or moments.hidden is not None:
        return moments
    n, left = np.maximum(moments.n, 1.0), np.eye(len(weights)) - weights  # (K,), (G, G)
    cov = left.T @ moments.within @ left
    sd = np.sqrt(np.maximum(np.diag(cov), TINY))  # (G,)
    correlation = cov / np.outer(sd, sd)
    found = regulator_loadings(correlation, network.effects(moments.n_genes), float(max((n - 1).sum(), 1.0)))
    found = found[found.any(axis=1)]  # (r, G)
    if not len(found):
        return moments
    explained = np.linalg.eigvalsh(found @ np.linalg.solve(correlation, found.T)).max()  # most in any direction
    loading = found * sd * np.sqrt(min(1.0, (1 - KEPT) / explained))
    error = (loading**2).sum(axis=0) / n[:, None]  # (K, G) of the mean activity of the cells of a context
    return taken_out(moments, weights, Hidden(loading, np.zeros((len(n), len(loading))), error))
