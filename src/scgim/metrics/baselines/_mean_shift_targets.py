"""`scgim.metrics.baselines.mean_shift_targets`."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._checks import checked, count
from scgim.metrics.baselines._inputs import finite


@checked(n_control=count())
def mean_shift_targets(means: Any, n_cells: Any, control_mean: Any, n_control: int, sd: Any) -> np.ndarray:
    """Rank targets by how far the mean of each gene moved: the z score of the change, in absolute value.

    Parameters
    ----------
    means
        Mean expression of the contexts, (K, G).
    n_cells
        Their numbers of cells, (K,).
    control_mean
        Mean expression of the control, (G,).
    n_control
        Number of control cells.
    sd
        Standard deviation of each gene within contexts, (G,).

    Returns
    -------
    Scores, (K, G); the largest marks the most likely target.

    Raises
    ------
    ValueError
        If shapes do not match or a standard deviation is not positive.

    Examples
    --------
    >>> mean_shift_targets([[1, 0]], [50], [0, 0], 100, [1, 1])
    """
    given = {"means": means, "n_cells": n_cells, "control_mean": control_mean, "sd": sd}
    means, n_cells, control_mean, sd = (finite(name, value) for name, value in given.items())
    if means.ndim != 2 or n_cells.shape != means.shape[:1] or control_mean.shape != means.shape[1:]:
        raise ValueError(
            "means, n_cells and control_mean: expected shapes (K, G), (K,) and (G,), "
            f"found {means.shape}, {n_cells.shape} and {control_mean.shape}."
        )
    if sd.shape != means.shape[1:] or not np.all(sd > 0):
        raise ValueError(f"sd: expected a positive number for each of {means.shape[1]} genes, found shape {sd.shape}.")
    if not np.all(n_cells >= 1):
        raise ValueError(f"n_cells: expected at least 1 in every context, found {n_cells.min():g}.")
    return np.abs(means - control_mean) / (sd * np.sqrt(1 / n_cells + 1 / n_control)[:, None])
