"""`scgim.metrics.baselines.training_mean`."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim.metrics.baselines._inputs import check


def training_mean(
    train_features: Any,
    train_means: Any,
    new_features: Any,
    *,
    control_mean: Any = None,
    rng: int | np.random.Generator | None = 0,
) -> np.ndarray:
    """Predict the average of the training contexts for every new one.

    Parameters
    ----------
    train_features
        What is known of the training contexts, such as features and dose, (K, Q).
    train_means
        Their mean expression, (K, G).
    new_features
        Contexts to predict, (m, Q).
    control_mean
        Mean expression of the control, (G,); not used.
    rng
        Seed or generator; not used.

    Returns
    -------
    Predicted mean expression, (m, G).

    Raises
    ------
    ValueError
        If shapes do not match or a value is not finite.
    """
    _, y, new, _ = check(train_features, train_means, new_features, control_mean)
    return np.tile(y.mean(0), (len(new), 1))
