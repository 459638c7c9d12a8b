"""`scgim.metrics.baselines.ridge`."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._checks import SEED, checked
from scgim.metrics.baselines._inputs import check, documented, standardise


@documented
@checked(rng=SEED)
def ridge(
    train_features: Any,
    train_means: Any,
    new_features: Any,
    *,
    control_mean: Any = None,
    rng: int | np.random.Generator | None = 0,
) -> np.ndarray:
    """Ridge regression of the means on the features, its penalty chosen by leave-one-out.

    %(baseline)s
    """
    from sklearn.linear_model import RidgeCV

    x, y, new, _ = check(train_features, train_means, new_features, control_mean)
    if len(x) == 1:  # nothing to leave out
        return np.repeat(y, len(new), axis=0)
    x, new = standardise(x, new)
    return np.asarray(RidgeCV(alphas=np.logspace(-3, 4, 22)).fit(x, y).predict(new)).reshape(len(new), -1)
