"""Poisson log-normal counts: moments of the latent layer from moments of the counts (layer `_core`; not from the paper).

A count is Poisson with rate ``size * exp(z)``, and the latent z is Gaussian within a context, around a mean of the
context and with one covariance in all of them :cite:p:`aitchison1989`. Then ``E[y] = size * m`` with
``log m = mean + variance / 2``, and ``E[y_i y_j] = size**2 m_i m_j exp(cov_ij)``, with ``y (y - 1)`` for ``i = j``, so
that means and covariances of counts tell those of the latent layer in closed form, without any cell's posterior.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from scipy import sparse

from scgim._core.observation.latent import SMALLEST_VARIANCE, Latent

CountChunk = tuple[Any, np.ndarray, np.ndarray]  # counts (n, G), dense or sparse; context (n,) and size factor (n,)
HALF = 0.5  # added to the counts of a context before the logarithm


def _member(context: np.ndarray, n_contexts: int) -> sparse.csr_matrix:
    return sparse.csr_matrix(
        (np.ones(len(context)), (np.asarray(context), np.arange(len(context)))), shape=(n_contexts, len(context))
    )


def poisson_lognormal_moments(chunks: Callable[[], Iterable[CountChunk]], n_contexts: int) -> Latent:
    """Moments of the latent layer, in two passes over the cells.

    Parameters
    ----------
    chunks
        A function without arguments that returns an iterator over ``(counts (n, G), contexts (n,), size factors (n,))``.
    n_contexts
        Number of contexts K.
    """
    n, power, total = np.zeros(n_contexts), np.zeros((3, n_contexts)), None
    for x, context, size in chunks():
        member = _member(context, n_contexts)
        n += np.bincount(context, minlength=n_contexts)
        power += np.stack([member @ size**p for p in (1, 2, 3)])
        part = np.asarray((member @ x).todense() if sparse.issparse(x) else member @ x, dtype=float)
        total = part if total is None else total + part
    if total is None:
        raise ValueError("chunks: expected at least one chunk of cells, found none.")
    s1, s2, s3 = np.maximum(power, 1e-300)[:, :, None]  # (K, 1)
    cells = np.maximum(n, 1)[:, None]
    rate, depth = total / s1, s1 / cells
    weight = total / cells / (1 + total / cells)  # (K, G), of a gene where its counts are informative
    gain = depth / (1 + total / cells)  # weight / rate
    products = _products(chunks, rate, gain)
    products[np.diag_indices_from(products)] -= (gain**2 * rate * (s1 - s2 / s1)).sum(axis=0)  # of Poisson noise
    used = s2 - 2 * s3 / s1 + s2**2 / s1**2  # (K, 1), sum of squares less what the estimated rates take
    norm = np.maximum((weight * used).T @ weight, 1e-12)
    within = np.log(np.maximum(1 + products / norm, 0.05))
    variance = np.maximum(np.diag(within), SMALLEST_VARIANCE)
    excess = np.expm1(variance) * s2 / s1**2  # (K, G), relative variance of a context's counts beyond Poisson's
    mean = np.log((total + HALF) / s1) + excess / 2 - variance / 2
    spread = np.maximum(1 / (total + HALF) + excess - variance / cells, 0.0)
    relative = cells / np.maximum(total, HALF) + np.expm1(variance)  # (K, G), of one cell
    noise = weight**2 * relative
    pair = (noise * used).T @ noise / norm**2
    return Latent(n, mean, spread, within, pair)


def _products(chunks: Callable[[], Iterable[CountChunk]], rate: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Sums over the cells of products of weighted differences from the context's rate, ``(G, G)``."""
    out = np.zeros((rate.shape[1],) * 2)
    for x, context, size in chunks():
        dense = np.asarray(x.toarray() if sparse.issparse(x) else x, dtype=float)
        e = (dense - size[:, None] * rate[context]) * gain[context]
        out += e.T @ e
    return out
