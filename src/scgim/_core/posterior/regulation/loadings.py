"""What regulators that vary from cell to cell add to a covariance (layer `_core`; not from the paper).

A regulator whose activity differs between cells of a context correlates its genes. Whom it acts on is told by the network; how strongly
is learned here, by one factor a regulator whose loadings are zero elsewhere,

``correlation = loading' loading + rest``,

by the pairs of its genes, one loading after the other. A few pairs act on one another besides, so that what is left has the heavy tails of a
Cauchy distribution. A gene that the network names by mistake has a loading near zero, and a regulator that explains no more than
chance has none.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scgim._core.moments.moments import Moments
from scgim._core.posterior.regulation.network import Network

N_SWEEPS = 30
TAILS = 2.0  # standard errors of a correlation, from which on a pair counts for less
WORTH = 3.0  # log likelihood that each loading has to gain, on average
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


def noise_covariance(moments: Moments, effects: np.ndarray) -> np.ndarray:
    """Covariance ``(G, G)`` within contexts of what is left of the genes by their `effects` ``(G, G)``, with hidden causes in it."""
    left = np.eye(len(effects)) - effects
    step = moments.n_functions
    cov = left.T @ moments.within[::step, ::step] @ left
    if moments.hidden is not None:
        total = moments.hidden.loading if moments.hidden.total is None else moments.hidden.total @ left
        cov = cov + total.T @ total
    return np.asarray(cov)


def with_variance(network: Network, moments: Moments, effects: np.ndarray) -> Network:
    """The network, with how much the activity of each regulator varies between cells; `effects` ``(G, G)`` are those of genes."""
    cov = noise_covariance(moments, effects)
    sd = np.sqrt(np.maximum(np.diag(cov), TINY))  # (G,)
    weight = network.effects(len(sd))  # (T, G)
    n = float(max((np.maximum(moments.n, 1.0) - 1).sum(), 1.0))
    loading = regulator_loadings(cov / np.outer(sd, sd), weight, n) * sd
    return replace(network, variance=(loading**2).sum(axis=1) / np.maximum((weight**2).sum(axis=1), TINY))
