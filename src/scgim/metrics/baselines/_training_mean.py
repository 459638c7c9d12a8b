"""`scgim.metrics.baselines.training_mean`."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._checks import SEED, checked
from scgim.metrics.baselines._inputs import check, documented


@documented
@checked(rng=SEED)
def training_mean(
    train_features: Any,
    train_means: Any,
    new_features: Any,
    *,
    control_mean: Any = None,
    rng: int | np.random.Generator | None = 0,
) -> np.ndarray:
    """Predict the average of the training contexts for every new one.

    %(baseline)s
    """
    _, y, new, _ = check(train_features, train_means, new_features, control_mean)
    return np.tile(y.mean(0), (len(new), 1))
