"""`scgim.metrics.baselines.knn`."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._checks import SEED, checked
from scgim.metrics.baselines._inputs import check, documented, standardise


@documented
@checked(rng=SEED)
def knn(
    train_features: Any,
    train_means: Any,
    new_features: Any,
    *,
    control_mean: Any = None,
    rng: int | np.random.Generator | None = 0,
) -> np.ndarray:
    """Average of the nearest training contexts, their number (1 to 10) chosen by leave-one-out.

    %(baseline)s
    """
    x, y, new, _ = check(train_features, train_means, new_features, control_mean)
    x, new = standardise(x, new)
    among = _distances(x, x)
    np.fill_diagonal(among, np.inf)
    errors = {k: ((_average(among, y, k) - y) ** 2).sum() for k in (1, 2, 3, 5, 10) if k < len(x)}
    k = min(errors, key=lambda k: errors[k]) if errors else 1
    return _average(_distances(new, x), y, k)


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Euclidean distances, (len(a), len(b))."""
    from scipy.spatial.distance import cdist

    return cdist(a, b)


def _average(distance: np.ndarray, y: np.ndarray, k: int) -> np.ndarray:
    """Mean of the k nearest rows of y, weighed by inverse distance."""
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :k]
    weight = 1 / np.maximum(np.take_along_axis(distance, nearest, 1), 1e-9)
    weight /= weight.sum(1, keepdims=True)
    return np.einsum("mk,mkg->mg", weight, y[nearest])
