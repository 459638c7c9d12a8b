"""`scgim.metrics.pearson_mean_change`."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._checks import checked
from scgim.metrics._checks import two_changes


@checked()
def pearson_mean_change(true_mean: Any, mean: Any, control_mean: Any) -> float:
    """Pearson correlation, over genes, of true and predicted changes of the mean against the control.

    Parameters
    ----------
    true_mean, mean
        Mean expression of the perturbed cells and its prediction, (G,) each, or (K, G): then the average over contexts.
    control_mean
        Mean expression of the control, (G,) or (K, G).

    Returns
    -------
    Between -1 and 1. A prediction without any change counts 0 in its context; NaN if the truth does not change anywhere.

    Raises
    ------
    ValueError
        If shapes differ or a value is not finite.

    Examples
    --------
    >>> pearson_mean_change([1, 2, 3], [2, 4, 7], [0, 0, 0])
    """
    truth, change = two_changes(true_mean, mean, control_mean)
    truth = truth - truth.mean(1, keepdims=True)
    change = change - change.mean(1, keepdims=True)
    size = np.linalg.norm(truth, axis=1) * np.linalg.norm(change, axis=1)
    value = np.where(size > 0, (truth * change).sum(1) / np.where(size > 0, size, 1.0), 0.0)
    changed = np.linalg.norm(truth, axis=1) > 0
    return float(value[changed].mean()) if changed.any() else float("nan")
