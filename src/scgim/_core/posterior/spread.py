"""Variances of single contexts, drawn towards those of all contexts (layer `_core`).

Empirical Bayes with a scaled inverse chi-squared prior, as for microarrays :cite:p:`smyth2004`. Where the variance of a
gene follows its mean, as that of counts does, a context is also asked how it would vary without its change
(`beside_changes`; not from the paper).
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import digamma, gammaln, polygamma

FEWEST_CONTEXTS = 3  # from which anything can be said of how variances differ
LARGEST_FREEDOM = 1e4  # of the prior: as good as variances that do not differ otherwise
MOST_CHANCE = 4.0  # standard errors by which chance moves a mean
TINY = 1e-12  # in place of zeros that are divided by
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
    log = np.log(np.maximum(ratio, TINY)) - digamma(half) + np.log(half)  # (K, G)
    log = log - log.mean(axis=0)
    total = (log**2).sum() / max(log.size - log.shape[1], 1)
    excess = float(total - polygamma(1, freedom / 2).mean())
    return np.inf if excess < SMALLEST_EXCESS else 2 * inverse_trigamma(excess)


def freedom_beside(square: np.ndarray, freedom: np.ndarray, variance: np.ndarray) -> float:
    """Degrees of freedom that variances ``(K, G)`` count for, by sums of squares with some ``(K,)``; finite."""
    return min(prior_freedom(square / freedom[:, None] / variance, freedom), LARGEST_FREEDOM)


def log_density(square: np.ndarray, freedom: np.ndarray, variance: np.ndarray, prior: float) -> np.ndarray:
    """Log density ``(K, G)`` of sums of squares with these degrees of freedom ``(K,)``, but for a constant.

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
    """Log evidence of sums of squares for some expected variances ``(K, G)``, and the freedom that these count for."""
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


def following(ratio: np.ndarray, weight: np.ndarray, change: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Slopes ``(G,)`` of variances on changes of means within baseline groups, as far as they are more than chance.

    By least squares, ``slope = sum w x y / sum w x^2``, shrunk by ``1 - E F / F`` with the square F of its t value and
    the mean of that by chance, ``v / (v - 2)`` for v degrees of freedom.

    Parameters
    ----------
    ratio, change
        ``(K, G)``; variances of contexts over those that are expected, and changes of their means.
    weight
        ``(K,)``; degrees of freedom of the variances.
    group
        ``(K,)``; baseline group of each context.
    """
    names, of_group = np.unique(group, return_inverse=True)
    member = (group == names[:, None]) * weight  # (C, K)
    share = member / np.maximum(member.sum(axis=1, keepdims=True), TINY)
    x, y = (values - (share @ values)[of_group] for values in (change, ratio))  # (K, G)
    length = np.maximum(weight @ x**2, TINY)  # (G,)
    slope = weight @ (x * y) / length
    freedom = int((weight > 0).sum()) - len(names) - 1
    if freedom <= 2:  # the F of chance has no mean
        return np.zeros(len(slope))
    chance = weight @ (y - slope * x) ** 2 / (freedom - 2) / length  # mean of F times the squared error of the slope
    return np.asarray(slope * np.maximum(1 - chance / np.maximum(slope**2, TINY), 0.0))


def without_chance(ratio: np.ndarray, slope: np.ndarray, change: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Variances ``(K, G)``, larger where chance may have lowered a mean and its variance together.

    Where a gene is skewed, chance that moves the mean of n cells moves their variance s^2 with it,
    ``cov(mean, s^2) = mu_3 / n``: a rare gene that few cells of a context happen to have seems to vary little there,
    and its loss to be sure. Without a change m by chance the variance would be ``v_0 = s^2 - slope m``, at the most the
    pooled one. Where a variance is linear in the mean, minus twice the log likelihood ratio of the change, for each
    cell, is ``m^2 / ((2 v_0 + s^2) / 3)`` up to third order in m. Chance is at the most `MOST_CHANCE` standard errors:
    what goes beyond is a change, which keeps its variance.

    Parameters
    ----------
    ratio
        ``(K, G)``; variances over the pooled ones.
    slope
        ``(G,)``; of these on changes of the mean, see `following`.
    change, error
        ``(K, G)``; changes of the means from the controls, and their standard errors by pooled variances.
    """
    chance = np.clip(change, -MOST_CHANCE * error, MOST_CHANCE * error)
    still = np.minimum(ratio - slope * chance, 1.0)
    return np.asarray(np.maximum(ratio, (2 * still + ratio) / 3))


def beside_changes(
    square: np.ndarray, n: np.ndarray, pooled: np.ndarray, change: np.ndarray, group: np.ndarray
) -> np.ndarray:
    """The variances of `moderated`, from those that chance did not lower together with means.

    Parameters
    ----------
    square, n, pooled
        As in `moderated`.
    change
        ``(K, G)``; changes of the means from the controls of the group, or from all its contexts where it has none.
    group
        ``(K,)``; baseline group of each context.
    """
    freedom = np.maximum(n - 1.0, 0.0)  # (K,)
    expected = np.maximum(np.broadcast_to(pooled, square.shape), TINY)  # (K, G)
    ratio = square / np.maximum(freedom, 1.0)[:, None] / expected
    error = np.sqrt(expected / np.maximum(n, 1.0)[:, None])
    ratio = without_chance(ratio, following(ratio, freedom, change, group), change, error)
    return moderated(ratio * expected * freedom[:, None], n, pooled)
