"""`scgim.metrics.centroid_accuracy`."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._checks import checked
from scgim.metrics._checks import two_tables


@checked()
def centroid_accuracy(true_mean: Any, mean: Any) -> float:
    """Whether each predicted mean is nearer to its own condition than to the others.

    For each condition the share of the other conditions whose true mean is farther from the prediction than its own true mean is;
    1 if every prediction is nearest to its own condition, 1/2 by chance. It asks whether predictions tell
    conditions apart, which a prediction of the same mean for all cannot, however small its error.

    Parameters
    ----------
    true_mean, mean
        Mean expression of K conditions and its prediction, (K, G).

    Returns
    -------
    Average over conditions, between 0 and 1; NaN for a single condition.

    Raises
    ------
    ValueError
        If shapes differ or a value is not finite.

    Examples
    --------
    >>> centroid_accuracy([[0, 0], [1, 1]], [[0.1, 0], [0.2, 0]])
    0.5
    """
    true_mean, mean = two_tables(("true_mean", "mean"), true_mean, mean)
    return float(np.mean(centroid_shares(true_mean, mean))) if len(mean) > 1 else float("nan")


def centroid_shares(true_mean: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Share of other conditions that are farther than the own one, ``(K,)``; ties count one half."""
    square = (mean**2).sum(1)[:, None] + (true_mean**2).sum(1)[None] - 2 * mean @ true_mean.T  # (K, K)
    own = np.diagonal(square)[:, None]
    near = np.isclose(square, own, rtol=1e-9, atol=1e-9)
    farther = (square > own) & ~near
    others = max(len(mean) - 1, 1)
    return (farther.sum(1) + 0.5 * (near.sum(1) - 1)) / others  # the condition itself is one of the near ones
