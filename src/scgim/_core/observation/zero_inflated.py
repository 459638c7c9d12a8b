"""Zero-inflated log-normal values: moments of their logarithms from the positive ones (layer `_core`; not from the paper).

A value is ``exp(z)``, or zero with a probability that does not depend on z within a context. Means and covariances of z
come from the values, and pairs of values, that are positive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from scipy import sparse

from scgim._core.moments.moments import Chunk
from scgim._core.observation.latent import SMALLEST_VARIANCE, Latent

UNKNOWN = 100.0  # variance of the mean of a gene without any positive value in a context, over the gene's variance
RIDGE = 1.0  # of the slope of zeros on means


def logs(x: Any) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of positive values ``(n, G)``, 0 elsewhere, and where values are positive."""
    dense = np.asarray(x.toarray() if sparse.issparse(x) else x, dtype=float)
    there = dense > 0
    return np.log(np.where(there, dense, 1.0)), there


def zero_inflated_moments(chunks: Callable[[], Iterable[Chunk]], n_contexts: int) -> tuple[Latent, np.ndarray]:
    """Moments of the logarithms, in two passes over the cells.

    Parameters
    ----------
    chunks
        A function without arguments that returns an iterator over ``(values (n, G), contexts (n,))``.
    n_contexts
        Number of contexts K.

    Returns
    -------
    The moments, and the part of zeros of each context and gene ``(K, G)``.
    """
    n, count, total = np.zeros(n_contexts), None, None
    for x, context in chunks():
        y, there = logs(x)
        member = sparse.csr_matrix((np.ones(len(y)), (context, np.arange(len(y)))), shape=(n_contexts, len(y)))
        n += np.bincount(context, minlength=n_contexts)
        parts = member @ there.astype(float), member @ y
        count = parts[0] if count is None else count + parts[0]
        total = parts[1] if total is None else total + parts[1]
    if count is None or total is None:
        raise ValueError("chunks: expected at least one chunk of cells, found none.")
    cells, seen = np.maximum(n, 1)[:, None], np.maximum(count, 1)
    overall = total.sum(axis=0) / np.maximum(count.sum(axis=0), 1)
    mean = np.where(count > 0, total / seen, overall)
    products, pairs = np.zeros((2, count.shape[1], count.shape[1]))
    for x, context in chunks():
        y, there = logs(x)
        e, there = np.where(there, y - mean[context], 0.0), there.astype(np.float32)
        products += e.T @ e
        pairs += there.T @ there
    # estimated means take degrees of freedom; positive values of two genes meet by chance
    share = count / cells
    taken = share.sum(axis=0)[:, None] + share.sum(axis=0) - share.T @ share
    np.fill_diagonal(taken, (count > 0).sum(axis=0))
    freedom = np.maximum(pairs - taken, 1.0)
    within = products / freedom
    variance = np.maximum(np.diag(within), SMALLEST_VARIANCE)
    spread = variance * np.where(count > 0, 1 / seen - 1 / cells, UNKNOWN)
    return Latent(n, mean, spread, within, np.outer(variance, variance) / freedom), 1 - share


def fit_zeros(n: np.ndarray, zeros: np.ndarray, mean: np.ndarray, n_steps: int = 20) -> tuple[np.ndarray, ...]:
    """Logistic regression of zeros on the mean of the context, gene by gene, by Newton steps with a ridge on the slope.

    Parameters
    ----------
    n
        ``(K,)``; cells.
    zeros
        ``(K, G)``; part of zeros.
    mean
        ``(K, G)``; means of the logarithms.

    Returns
    -------
    Intercept, slope and centre of the means, ``(G,)`` each.
    """
    weight = n[:, None] * np.ones_like(mean)
    centre = (weight * mean).sum(axis=0) / weight.sum(axis=0)
    d = mean - centre
    p = np.clip((weight * zeros).sum(axis=0) / weight.sum(axis=0), 1e-4, 1 - 1e-4)
    a, b = np.log(p / (1 - p)), np.zeros_like(p)
    for _ in range(n_steps):
        q = 1 / (1 + np.exp(-np.clip(a + b * d, -30, 30)))
        w = weight * np.maximum(q * (1 - q), 1e-6)
        r = weight * (zeros - q)
        ga, gb = r.sum(axis=0), (r * d).sum(axis=0) - RIDGE * b
        haa, hab, hbb = w.sum(axis=0) + 1e-6, (w * d).sum(axis=0), (w * d**2).sum(axis=0) + RIDGE
        det = haa * hbb - hab**2
        a = np.clip(a + (hbb * ga - hab * gb) / det, -12, 12)
        b = np.clip(b + (haa * gb - hab * ga) / det, -5, 5)
    return a, b, centre
