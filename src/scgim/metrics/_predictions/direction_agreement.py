"""`scgim.metrics.direction_agreement`."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._checks import checked, count
from scgim.metrics._checks import two_changes


@checked(n_top=count())
def direction_agreement(true_mean: Any, mean: Any, control_mean: Any, *, n_top: int = 20) -> float:
    """Share of the genes that change most whose change is predicted with the right sign.

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
    Between 0 and 1; 1/2 by chance. A gene that is predicted not to change counts one half.

    Raises
    ------
    ValueError
        If shapes differ, a value is not finite, or `n_top` is below 1.

    Examples
    --------
    >>> direction_agreement([1, -1], [2, 3], [0, 0], n_top=2)
    0.5
    """
    truth, change = two_changes(true_mean, mean, control_mean)
    top = np.argsort(-np.abs(truth), axis=1, kind="stable")[:, : min(n_top, truth.shape[1])]
    product = np.take_along_axis(truth * change, top, axis=1)
    return float(np.where(product > 0, 1.0, np.where(product == 0, 0.5, 0.0)).mean())
