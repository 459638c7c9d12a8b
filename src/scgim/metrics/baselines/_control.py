"""`scgim.metrics.baselines.control`."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._checks import SEED, checked
from scgim.metrics.baselines._inputs import check, documented


@documented
@checked(rng=SEED)
def control(
    train_features: Any,
    train_means: Any,
    new_features: Any,
    *,
    control_mean: Any = None,
    rng: int | np.random.Generator | None = 0,
) -> np.ndarray:
    """Predict the control: nothing changes.

    %(baseline)s
    """
    _, _, new, mean = check(train_features, train_means, new_features, control_mean)
    if mean is None:
        raise ValueError("control_mean: expected the mean of control cells, which this baseline predicts, found None.")
    return np.tile(mean, (len(new), 1))
