"""`scgim.metrics.mean_distance`."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._checks import checked
from scgim.metrics._checks import two_samples


@checked()
def mean_distance(x: Any, y: Any) -> float:
    """Euclidean distance between the mean expression of two sets of cells :cite:p:`schneider2025`.

    Parameters
    ----------
    x, y
        Cells, (n, G) and (m, G). Pass a mean as one cell, (1, G).

    Returns
    -------
    At least 0.

    Raises
    ------
    ValueError
        If a set is empty, a value is not finite, or the numbers of genes differ.

    Examples
    --------
    >>> mean_distance([[0, 0]], [[3, 4]])
    5.0
    """
    x, y = two_samples(x, y)
    return float(np.linalg.norm(x.mean(0) - y.mean(0)))
