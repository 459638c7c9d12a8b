"""`scgim.metrics.baselines.mlp`."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from scgim._checks import SEED, checked
from scgim.metrics.baselines._inputs import check, documented, standardise

MEMBERS = 3  # networks


@documented
@checked(rng=SEED)
def mlp(
    train_features: Any,
    train_means: Any,
    new_features: Any,
    *,
    control_mean: Any = None,
    rng: int | np.random.Generator | None = 0,
) -> np.ndarray:
    """Average of three small neural networks (two hidden layers of 64) from the features to the means.

    %(baseline)s
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    x, y, new, _ = check(train_features, train_means, new_features, control_mean)
    x, new = standardise(x, new)
    loc, scale = y.mean(0), y.std(0)
    scale = np.where(scale > 1e-12, scale, 1.0)
    z = (y - loc) / scale
    total = np.zeros((len(new), y.shape[1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for seed in np.random.default_rng(rng).integers(2**31, size=MEMBERS):
            model = MLPRegressor(
                hidden_layer_sizes=(64, 64), alpha=1e-2, learning_rate_init=3e-3, max_iter=500, random_state=int(seed)
            )
            total += model.fit(x, z if z.shape[1] > 1 else z.ravel()).predict(new).reshape(len(new), -1)
    return total / MEMBERS * scale + loc
