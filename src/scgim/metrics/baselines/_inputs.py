"""What the mean baselines share: their arguments, described and checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._docstrings import splice
from scgim.metrics._checks import dense

documented = splice(
    {
        "baseline": """
            Parameters
            ----------
            train_features
                What is known of the K training contexts, such as features and dose, ``(K, Q)``.
            train_means
                Their mean expression, ``(K, G)``, on the scale on which predictions are wanted.
            new_features
                Contexts to predict, ``(m, Q)``.
            control_mean
                Mean expression of the control, ``(G,)``; used by `control` and `additive`, which predict changes against it.
            rng
                Seed or generator; used by `mlp` for the starts of its networks.

            Returns
            -------
            Predicted mean expression ``(m, G)``, on the scale of `train_means`.

            Raises
            ------
            ValueError
                If shapes do not match, a value is not finite, or a control mean that is needed is missing.

            Examples
            --------
            >>> MEAN_BASELINES["ridge"]([[0], [1], [2]], [[0, 5], [1, 5], [2, 5]], [[1.5]])  # (1, 2), about 1.5 and 5
            """
    }
)
"""Splices the description of arguments, result and errors into the docstring of a baseline."""


def check(
    train_features: Any, train_means: Any, new_features: Any, control_mean: Any = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Float arrays (K, Q), (K, G), (m, Q) and (G,) or None, or a ValueError that names the argument."""
    given = {"train_features": train_features, "train_means": train_means, "new_features": new_features}
    x, y, new = (finite(name, value) for name, value in given.items())
    for name, array in zip(given, (x, y, new), strict=True):
        if array.ndim != 2:
            raise ValueError(f"{name}: expected two dimensions (contexts x columns), found shape {array.shape}.")
    if len(x) != len(y) or len(x) == 0:
        raise ValueError(
            f"train_means: expected one row for each of the {len(x)} rows of train_features, found {len(y)}."
        )
    if new.shape[1] != x.shape[1]:
        raise ValueError(f"new_features: expected the {x.shape[1]} columns of train_features, found {new.shape[1]}.")
    if control_mean is None:
        return x, y, new, None
    control = dense("control_mean", control_mean).astype(float)
    if control.shape != (y.shape[1],) or not np.all(np.isfinite(control)):
        raise ValueError(f"control_mean: expected {y.shape[1]} finite numbers, found shape {control.shape}.")
    return x, y, new, control


def doses(name: str, values: Any) -> np.ndarray:
    """Doses of drugs in contexts, (K, D)."""
    array = finite(name, values)
    if array.ndim != 2 or (array < 0).any():
        raise ValueError(f"{name}: expected doses of at least 0, contexts x drugs, found shape {array.shape}.")
    return array


def finite(name: str, values: Any) -> np.ndarray:
    """An array of finite numbers."""
    array = dense(name, values).astype(float)
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name}: expected finite numbers, found NaN or infinite values.")
    return array


def standardise(x: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns with mean 0 and sd 1 over the training rows; constant columns become 0."""
    loc, scale = x.mean(0), x.std(0)
    scale = np.where(scale > 1e-12, scale, np.inf)
    return (x - loc) / scale, (new - loc) / scale
