"""`scgim.metrics.baselines.gp`."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from scgim._checks import SEED, checked
from scgim.metrics.baselines._inputs import check, documented, standardise

MOST_GENES = 100  # more share their hyperparameters
RANK = 1e-10  # singular values below this part of the largest are rounding


@documented
@checked(rng=SEED)
def gp(
    train_features: Any,
    train_means: Any,
    new_features: Any,
    *,
    control_mean: Any = None,
    rng: int | np.random.Generator | None = 0,
) -> np.ndarray:
    """Gaussian process with an RBF plus linear kernel, one a gene (one for all genes if there are more than 100).

    %(baseline)s
    """
    x, y, new, _ = check(train_features, train_means, new_features, control_mean)
    x, new = standardise(x, new)
    n_features = max(x.shape[1], 1)
    x, new = _turned(x, new)
    loc, scale = y.mean(0), y.std(0)
    scale = np.where(scale > 1e-12, scale, 1.0)
    z = (y - loc) / scale
    if y.shape[1] > MOST_GENES:
        return _fit_predict(x, z, new, n_features) * scale + loc
    return np.column_stack([_fit_predict(x, z[:, [g]], new, n_features) for g in range(y.shape[1])]) * scale + loc


def _turned(x: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features in as few dimensions as have the same inner products and distances: those of the training rows, and what lies outside."""
    _, s, axes = np.linalg.svd(x, full_matrices=False)
    axes = axes[s > RANK * s.max(initial=0.0)]  # (r, Q)
    if len(axes) + 1 >= x.shape[1]:
        return x, new
    inside = new @ axes.T
    outside = np.linalg.norm(new - inside @ axes, axis=1)
    return np.c_[x @ axes.T, np.zeros(len(x))], np.c_[inside, outside]


def _fit_predict(x: np.ndarray, z: np.ndarray, new: np.ndarray, q: int) -> np.ndarray:
    """Posterior mean, (m, number of columns of z), with hyperparameters of highest marginal likelihood; they begin at sizes for q features."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

    rbf = ConstantKernel(0.5, (1e-4, 1e3)) * RBF(q**0.5, (0.05 * q**0.5, 50 * q**0.5))
    linear = ConstantKernel(0.5 / q, (1e-6, 1e2)) * DotProduct(1.0, (1e-3, 1e3))
    model = GaussianProcessRegressor(rbf + linear + WhiteKernel(0.05, (1e-5, 1e1)), alpha=1e-8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return np.asarray(model.fit(x, z).predict(new)).reshape(len(new), -1)
