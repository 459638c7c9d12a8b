"""Variances of single contexts, drawn towards those of all contexts (layer `_core`).

A context of 30 cells knows its own variance badly, all contexts together know that of the gene well: empirical Bayes with
a scaled inverse chi-squared prior, as for microarrays :cite:p:`smyth2004`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import digamma, gammaln, polygamma

FEWEST_CONTEXTS = 3  # from which anything can be said of how variances differ
LARGEST_FREEDOM = 1e4  # of the prior: as good as variances that do not differ otherwise
SMALLEST_EXCESS = 1e-4  # variance of log variances beyond sampling, below which the variances are one


def inverse_trigamma(value: float) -> float:
    """The argument at which the trigamma function takes a positive value, by Newton's method."""
    x = 0.5 + 1 / value
    for _ in range(50):
        now = float(polygamma(1, x))
        step = now * (1 - now / value) / float(polygamma(2, x))
        x += step
        if -step / x < 1e-8:
            break
    return x


def prior_freedom(ratio: np.ndarray, freedom: np.ndarray) -> float:
    """Degrees of freedom that the pooled variance counts for; infinite where contexts do not differ.

    Parameters
    ----------
    ratio
        ``(K, G)``; variances of the contexts over the pooled ones.
    freedom
        ``(K,)``; their degrees of freedom, at least 2.
    """
    half = freedom[:, None] / 2
    log = np.log(np.maximum(ratio, 1e-12)) - digamma(half) + np.log(half)  # (K, G)
    log = log - log.mean(axis=0)
    total = (log**2).sum() / max(log.size - log.shape[1], 1)
    excess = float(total - polygamma(1, freedom / 2).mean())
    return np.inf if excess < SMALLEST_EXCESS else 2 * inverse_trigamma(excess)


def freedom_beside(square: np.ndarray, freedom: np.ndarray, variance: np.ndarray) -> float:
    """Degrees of freedom that variances ``(K, G)`` count for, by sums of squares with these degrees of freedom ``(K,)``; finite."""
    return min(prior_freedom(square / freedom[:, None] / variance, freedom), LARGEST_FREEDOM)


def log_density(square: np.ndarray, freedom: np.ndarray, variance: np.ndarray, prior: float) -> np.ndarray:
    """Log density ``(K, G)`` of sums of squares with these degrees of freedom ``(K,)``, but for what is the same for all arguments.

    True variances lie around `variance` ``(K, G)`` as if known from `prior` degrees of freedom.
    """
    nu = freedom[:, None]
    constant = gammaln((nu + prior) / 2) - gammaln(prior / 2) - 0.5 * nu * np.log(prior)
    return np.asarray(
        constant - 0.5 * nu * np.log(variance) - 0.5 * (nu + prior) * np.log1p(square / (prior * variance))
    )


def log_evidence(
    square: np.ndarray, freedom: np.ndarray, variances: Sequence[np.ndarray]
) -> tuple[list[float], list[float]]:
    """Of sums of squares under each of some expected variances ``(K, G)``, and the degrees of freedom that each of these counts for."""
    prior = [freedom_beside(square, freedom, v) for v in variances]
    return [float(log_density(square, freedom, v, d).sum()) for v, d in zip(variances, prior, strict=True)], prior


def moderated(square: np.ndarray, n: np.ndarray, pooled: np.ndarray) -> np.ndarray:
    """Variance of every gene in every context.

    Parameters
    ----------
    square
        ``(K, G)``; sums of squares around the means of the contexts.
    n
        ``(K,)``; cells.
    pooled
        ``(G,)``; variances within contexts, over all of them, or ``(K, G)`` those that are expected of each.

    Returns
    -------
    ``(d0 pooled + square) / (d0 + n - 1)``, ``(K, G)``, with d0 learned from all contexts and genes.
    """
    freedom = np.maximum(n - 1.0, 0.0)  # (K,)
    known = freedom >= 2
    pooled = np.array(np.broadcast_to(pooled, square.shape))  # (K, G)
    varied = (pooled > 0).all(axis=0)
    if known.sum() < FEWEST_CONTEXTS or not varied.any():
        return pooled
    at = np.ix_(known, varied)
    ratio = square[at] / freedom[known, None] / pooled[at]
    d0 = prior_freedom(ratio, freedom[known])
    if np.isinf(d0):
        return pooled
    return np.asarray((d0 * pooled + square) / (d0 + freedom[:, None]))
