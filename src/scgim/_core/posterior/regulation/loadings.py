"""What regulators that vary from cell to cell add to a covariance (layer `_core`; not from the paper).

The network tells whom a regulator acts on; how strongly is told by one factor a regulator, whose loadings are zero
elsewhere,

``correlation = loading' loading + rest``,

one loading after the other. Some pairs act on one another besides, so that the rest has the heavy tails of a Cauchy
distribution. A regulator that explains no more than chance has no loadings.
"""

import numpy as np

from scgim._core.moments.moments import Moments

N_SWEEPS = 30
STILL = 1e-5  # change of loadings at which sweeps end
N_STEPS = 8  # for genes that are not named
MEDIAN_SIZE = 0.6745  # of a standard normal
TAILS = 2.0  # standard errors of a correlation, from which on a pair counts for less
WORTH = 3.0  # log likelihood that each loading has to gain, on average
FEWEST_GENES = 3  # of a regulator: of two, only the product of the loadings is known
TINY = 1e-12


def regulator_loadings(correlation: np.ndarray, effects: np.ndarray, n: float, worth: float = WORTH) -> np.ndarray:
    """Loadings ``(T, G)``, zero where a regulator does not act and in the rows of those that explain no more than chance.

    Parameters
    ----------
    correlation
        ``(G, G)``; within contexts.
    effects
        ``(T, G)``; of regulators on genes, see `Network.effects`: where they are not zero, and with which sign.
    n
        Cells that the correlation is from.
    worth
        Log likelihood that each loading of a regulator has to gain, on average, for it to have any.
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
        before = loading.copy()
        for r in used:
            rest, own = _rest(correlation, loading, r, members[r]), loading[r, members[r]]  # (m, m), (m,)
            for i in range(len(own)):
                weight = 1 / (1 + (rest[i] - own[i] * own) ** 2 / width2)
                weight[i] = 0.0
                others = weight @ own**2
                own[i] = weight * own @ rest[i] / others if others > TINY else 0.0
            loading[r, members[r]] = own
        if np.abs(loading - before).max() < STILL:
            break
    for r in used:
        rest, own = _rest(correlation, loading, r, members[r]), loading[r, members[r]]
        left = rest - np.outer(own, own)
        np.fill_diagonal(left, 0.0)
        gain = 0.5 * TAILS**2 * (np.log1p(rest**2 / width2) - np.log1p(left**2 / width2)).sum()
        if not gain / 2 > worth * len(own):  # pairs stand there twice
            loading[r] = 0.0
    return loading


def _rest(correlation: np.ndarray, loading: np.ndarray, r: int, genes: np.ndarray) -> np.ndarray:
    """Correlations of the genes of a regulator ``(m, m)`` without what the others explain, and without a diagonal."""
    others = loading[:, genes].T @ loading[:, genes] - np.outer(loading[r, genes], loading[r, genes])
    rest = correlation[np.ix_(genes, genes)] - others
    np.fill_diagonal(rest, 0.0)
    return np.asarray(rest)


def noise_covariance(moments: Moments, effects: np.ndarray) -> np.ndarray:
    """Covariance ``(G, G)`` within contexts of what `effects` ``(G, G)`` of genes leave, with hidden causes in it."""
    left = np.eye(len(effects)) - effects
    step = moments.n_functions
    cov = left.T @ moments.within[::step, ::step] @ left
    if moments.hidden is not None:
        total = moments.hidden.loading if moments.hidden.total is None else moments.hidden.total @ left
        cov = cov + total.T @ total
    return np.asarray(cov)


def loadings_of_others(
    correlation: np.ndarray, loading: np.ndarray, named: np.ndarray, n: float
) -> tuple[np.ndarray, np.ndarray]:
    """Loadings ``(T, G)`` that genes would have which the network does not name, by their pairs with those that it does.

    With standard errors ``(T,)``: no less than those of the cells, and no less than most of these genes show, which no
    regulator moves.

    Parameters
    ----------
    correlation, n
        As in `regulator_loadings`.
    loading
        ``(T, G)``; of the genes that are named.
    named
        ``(T, G)`` bool; those.
    """
    out, error = np.zeros(loading.shape), np.zeros(len(loading))
    rest, width2 = correlation - loading.T @ loading, TAILS**2 / n
    for r in np.flatnonzero(loading.any(axis=1)):
        other, own = ~named[r], loading[r, named[r]]
        pairs, found = rest[np.ix_(other, named[r])], np.zeros((other.sum(), 1))  # (o, m), (o, 1)
        for _ in range(N_STEPS):
            weight = 1 / (1 + (pairs - found * own) ** 2 / width2)
            found = (weight * pairs) @ own[:, None] / np.maximum(weight @ own**2, TINY)[:, None]
        out[r, other] = found[:, 0]
        usual = np.median(np.abs(found)) / MEDIAN_SIZE if other.any() else 0.0
        error[r] = max(usual, 1 / np.sqrt(n * (own**2).sum()))
    return out, error
