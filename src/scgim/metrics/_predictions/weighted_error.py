"""`scgim.metrics.weighted_error`."""

from __future__ import annotations

from typing import Any

from scgim._checks import checked
from scgim.metrics._checks import of_each, two_tables


@checked()
def weighted_error(true_mean: Any, mean: Any, control_mean: Any) -> float:
    """Squared error of the mean, weighted by how much each gene really changes.

    Most genes do not change under a perturbation, and an average over all of them rewards a prediction of no change. Here gene j
    of a context weighs ``w_j = c_j^2 / sum_i c_i^2`` with the true change ``c``, so that the control itself scores about the
    square of the changes that matter.

    Parameters
    ----------
    true_mean, mean
        Mean expression of the perturbed cells and its prediction, (G,) each, or (K, G): then the average over contexts.
    control_mean
        Mean expression of the control, (G,) or (K, G).

    Returns
    -------
    At least 0, in squared units of expression; NaN if the truth does not change anywhere.

    Raises
    ------
    ValueError
        If shapes differ or a value is not finite.

    Examples
    --------
    >>> weighted_error([1, 0], [0.5, 2], [0, 0])
    0.25
    """
    true_mean, mean = two_tables(("true_mean", "mean"), true_mean, mean)
    _, control = two_tables(("true_mean", "control_mean"), true_mean, of_each("control_mean", control_mean, true_mean))
    change = (true_mean - control) ** 2
    total = change.sum(1)
    moved = total > 0
    if not moved.any():
        return float("nan")
    return float(((change * (mean - true_mean) ** 2).sum(1)[moved] / total[moved]).mean())
