"""`scgim.metrics.top_gene_overlap`."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._checks import checked, count
from scgim.metrics._checks import two_changes


@checked(n_top=count())
def top_gene_overlap(true_mean: Any, mean: Any, control_mean: Any, *, n_top: int = 20) -> float:
    """Share of the genes that change most which are also predicted to change most, in the same direction.

    Parameters
    ----------
    true_mean, mean
        Mean expression of the perturbed cells and its prediction, (G,) each, or (K, G): then the average over contexts.
    control_mean
        Mean expression of the control, (G,) or (K, G).
    n_top
        How many genes count as those that change most; all of them where there are fewer.

    Returns
    -------
    Between 0 and 1. A prediction without any change counts 0.

    Raises
    ------
    ValueError
        If shapes differ, a value is not finite, or `n_top` is below 1.

    Examples
    --------
    >>> top_gene_overlap([1, 0, 0], [2, 0, 1], [0, 0, 0], n_top=1)
    1.0
    """
    truth, change = two_changes(true_mean, mean, control_mean)
    size = min(n_top, truth.shape[1])
    shares = []
    for true_row, row in zip(truth, change, strict=True):
        first, second = (np.argsort(-np.abs(v), kind="stable")[:size] for v in (true_row, row))
        both = np.intersect1d(first, second)
        shares.append(float((true_row[both] * row[both] > 0).sum()) / size)
    return float(np.mean(shares))
