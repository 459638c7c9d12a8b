"""`scgim.metrics.baselines.additive`."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._checks import SEED, checked
from scgim.metrics.baselines._inputs import check, documented


@documented
@checked(rng=SEED)
def additive(
    train_features: Any,
    train_means: Any,
    new_features: Any,
    *,
    control_mean: Any = None,
    rng: int | np.random.Generator | None = 0,
) -> np.ndarray:
    """Add up the changes that the parts of a combination make.

    The features must be indicators: one column for each drug at each dose, 1 where it is part of the context, as
    `indicators` makes them. Changes are fitted by least squares on single drugs and combinations together, so where only
    single drugs were measured the prediction is the sum of their measured changes.

    %(baseline)s
    """
    x, y, new, mean = check(train_features, train_means, new_features, control_mean)
    if mean is None:
        raise ValueError("control_mean: expected the mean of control cells, to which this baseline adds, found None.")
    change = np.linalg.lstsq(x, y - mean, rcond=1e-8)[0]  # (Q, G); least norm: 0 for what was never measured
    return mean + new @ change
