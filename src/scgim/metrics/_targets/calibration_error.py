"""`scgim.metrics.calibration_error`."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._checks import checked, count
from scgim.metrics._targets.reliability_table import reliability_table


@checked(n_bins=count())
def calibration_error(truth: Any, probability: Any, *, n_bins: int = 10) -> float:
    """Expected calibration error: mean distance between probability and frequency, bins weighed by their size.

    With few targets and edges nearly all values lie near 0, where it is easy to be right: read `reliability_table` as well.

    Parameters
    ----------
    truth
        Array of any shape; not zero: true.
    probability
        Array of the same shape.
    n_bins
        Number of bins of equal width between 0 and 1.

    Returns
    -------
    Between 0 and 1; NaN if the arrays are empty.

    Raises
    ------
    ValueError
        If shapes differ, a probability is outside 0 to 1, or `n_bins` is not positive.

    Examples
    --------
    >>> calibration_error([1, 0], [0.9, 0.2])
    """
    table = reliability_table(truth, probability, n_bins=n_bins)
    if table.empty:
        return float("nan")
    return float(np.average((table["probability"] - table["frequency"]).abs(), weights=table["n"]))
