"""`scgim.metrics.sliced_wasserstein`."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._checks import SEED, checked, count
from scgim.metrics._checks import two_samples


@checked(n_projections=count(), rng=SEED)
def sliced_wasserstein(x: Any, y: Any, *, n_projections: int = 100, rng: int | np.random.Generator | None = 0) -> float:
    """Sliced 2-Wasserstein distance between two sets of cells.

    Parameters
    ----------
    x, y
        Cells, (n, G) and (m, G).
    n_projections
        Number of random directions.
    rng
        Seed or generator of the directions. Compare methods with the same seed.

    Returns
    -------
    Square root of the mean, over directions, of the squared 2-Wasserstein distance of the projected cells.

    Raises
    ------
    ValueError
        If a set is empty, a value is not finite, the numbers of genes differ, or `n_projections` is not positive.

    Examples
    --------
    >>> sliced_wasserstein([[0.0], [1.0]], [[2.0], [3.0]])
    2.0
    """
    x, y = two_samples(x, y)
    directions = np.random.default_rng(rng).normal(size=(x.shape[1], n_projections))
    directions /= np.linalg.norm(directions, axis=0)
    a, b = np.sort(x @ directions, axis=0), np.sort(y @ directions, axis=0)
    # quantile functions are constant between the steps of both samples
    steps = np.unique(np.concatenate([np.arange(1, len(a) + 1) / len(a), np.arange(1, len(b) + 1) / len(b)]).round(12))
    width = np.diff(steps, prepend=0.0)
    middle = steps - width / 2
    of_a = np.minimum((middle * len(a)).astype(int), len(a) - 1)
    of_b = np.minimum((middle * len(b)).astype(int), len(b) - 1)
    squared = width @ (a[of_a] - b[of_b]) ** 2  # (n_projections,)
    return float(np.sqrt(squared.mean()))
