"""Small things that many files need: grouped sums, dense blocks, log odds of what is known (layer `_core`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import logit, logsumexp

KNOWN = 30.0
"""Log odds of a target that is known: its probability differs from one by less than any figure that is shown (1e-13), and
the odds stay small enough to be added to evidence without losing its digits."""


def dense(x: Any, dtype: Any = np.float64) -> np.ndarray:
    """A block of cells ``(n, G)``, dense or sparse, as an array."""
    return np.asarray(x.toarray() if sparse.issparse(x) else x, dtype=dtype)


def member(context: np.ndarray, n_contexts: int) -> sparse.csr_matrix:
    """``(K, n)``; one where the cell is in the context, so that ``member @ x`` sums the cells of each."""
    n = len(context)
    return sparse.csr_matrix((np.ones(n), (np.asarray(context), np.arange(n))), shape=(n_contexts, n))


def sum_by(values: np.ndarray, index: np.ndarray, n: int) -> np.ndarray:
    """Sums of the rows with each index, ``(m, ...)`` -> ``(n, ...)``; rows with a negative index are left out."""
    out = np.zeros((n, *values.shape[1:]))
    used = index >= 0
    np.add.at(out, index[used], values[used])
    return out


def rank_within(group: np.ndarray) -> np.ndarray:
    """How many entries of the same group come before each one, ``(n,)``; groups are numbers from zero."""
    order, count = np.argsort(group, kind="stable"), np.bincount(group)
    out = np.empty(len(group), dtype=int)
    out[order] = np.arange(len(group)) - np.repeat(np.cumsum(count) - count, count)
    return out


def override(log_odds: np.ndarray, known: np.ndarray | None) -> np.ndarray:
    """The log odds where nothing is known, else those of certainty.

    Parameters
    ----------
    log_odds
        ``(D, G)``.
    known
        ``(D, G)``; 1 for known targets, 0 for known others, NaN where nothing is known; or None.
    """
    if known is None:
        return log_odds
    return np.where(np.isnan(known), log_odds, np.where(known == 1, KNOWN, -KNOWN))


LARGEST_ODDS = 700.0
"""Log odds of a probability that is 0 or 1 to all its digits."""


def as_log_odds(probability: np.ndarray) -> np.ndarray:
    """Log odds that are numbers where probabilities are 0 or 1."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.clip(logit(probability), -LARGEST_ODDS, LARGEST_ODDS))


def log_odds_of_any(log_odds: np.ndarray) -> np.ndarray:
    """Log odds that any of c independent things holds, ``(c, ...)`` -> ``(...)``, with all digits where it is near certain.

    ``log(exp(s) - 1)`` with ``s = -log(prod(1 - p)) = sum(log(1 + exp(log_odds)))``.
    """
    s = np.logaddexp(0.0, log_odds).sum(axis=0)
    with np.errstate(divide="ignore"):
        any_ = np.where(s > 1, s + np.log1p(-np.exp(-np.maximum(s, 1e-300))), np.log(np.expm1(np.minimum(s, 1.0))))
        return np.where((s > 0) | (len(log_odds) == 0), any_, logsumexp(log_odds, axis=0))  # s has no digits left at 0


def mean_log_odds(log_odds: np.ndarray) -> np.ndarray:
    """Log odds of the mean of c probabilities, ``(c, ...)`` -> ``(...)``."""
    return np.asarray(logsumexp(-np.logaddexp(0, -log_odds), axis=0) - logsumexp(-np.logaddexp(0, log_odds), axis=0))
