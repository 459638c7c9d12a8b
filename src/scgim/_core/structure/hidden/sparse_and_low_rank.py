"""Factors of a covariance whose inverse is sparse without them (layer `_core`).

The inverse covariance of genes that act on one another beside factors is a sparse matrix less one of low rank
:cite:p:`chandrasekaran2012`; a convex programme finds both, without a graph.
"""

import numpy as np

N_STEPS = 150  # of the alternating direction method of multipliers


def _root_of_quadratic(matrix: np.ndarray) -> np.ndarray:
    """The positive definite R with ``R - inv(R) = matrix``."""
    value, vector = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray(vector * ((value + np.sqrt(value**2 + 4)) / 2) @ vector.T)


def sparse_and_low_rank(correlation: np.ndarray, n: int, entry_price: float, rank_price: float) -> np.ndarray:
    """Loadings ``(n, G)`` of the n largest factors, what a unit of each does to the genes in the end.

    Parameters
    ----------
    correlation
        ``(G, G)``.
    n
        Number of factors, at the most; fewer rows where fewer were found.
    entry_price
        Price of absolute entries of the sparse matrix off its diagonal, in the log likelihood of half a cell.
    rank_price
        Price of the trace of the matrix of low rank, in that of entries.
    """
    G = len(correlation)
    low, dual, sparse = np.zeros((G, G)), np.zeros((G, G)), np.eye(G)
    for _ in range(N_STEPS):
        whole = _root_of_quadratic(sparse - low - dual - correlation)
        for _ in range(2):
            seen = whole + low + dual
            sparse = np.sign(seen) * np.maximum(np.abs(seen) - entry_price, 0)
            np.fill_diagonal(sparse, np.diag(seen))
            value, vector = np.linalg.eigh(sparse - (whole + whole.T) / 2 - (dual + dual.T) / 2)
            low = (vector * np.maximum(value - entry_price * rank_price, 0)) @ vector.T
        dual += whole - (sparse - low)
    value, vector = np.linalg.eigh(np.linalg.inv(whole) - np.linalg.inv(whole + low))
    found = value[-n:] > 1e-6
    return np.asarray((np.sqrt(value[-n:][found]) * vector[:, -n:][:, found]).T)
