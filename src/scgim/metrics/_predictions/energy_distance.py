"""`scgim.metrics.energy_distance`."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._checks import FLAG, checked
from scgim.metrics._checks import two_samples


@checked(squared=FLAG)
def energy_distance(x: Any, y: Any, *, squared: bool = True) -> float:
    r"""Energy distance between two sets of cells.

    Parameters
    ----------
    x, y
        Cells, (n, G) and (m, G).
    squared
        Return the value below, which the literature calls the squared distance; otherwise its square root.

    Returns
    -------
    At least 0, and 0 only if the sets are equal:

    .. math::

        E^2 = \frac{2}{nm} \sum_{ij} \lVert x_i - y_j \rVert - \frac{1}{n^2} \sum_{ij} \lVert x_i - x_j \rVert
        - \frac{1}{m^2} \sum_{ij} \lVert y_i - y_j \rVert

    with Euclidean norms (not squared) and all n and m squared pairs, a cell with itself included, so two samples of one
    population do not have distance 0: they have about :math:`(1/n + 1/m)` times their mean pairwise distance.

    Raises
    ------
    ValueError
        If a set is empty, a value is not finite, or the numbers of genes differ.

    Examples
    --------
    >>> energy_distance([[0.0], [1.0]], [[2.0]])
    2.5
    """
    x, y = two_samples(x, y)
    value = max(2 * _mean_pair(x, y) - _mean_pair(x, x) - _mean_pair(y, y), 0.0)
    return float(value if squared else np.sqrt(value))


def _mean_pair(x: np.ndarray, y: np.ndarray, rows: int = 2000) -> float:
    """Mean Euclidean distance over all pairs, in blocks of rows."""
    from scipy.spatial.distance import cdist

    total = sum(cdist(x[start : start + rows], y).sum() for start in range(0, len(x), rows))
    return float(total) / (len(x) * len(y))
