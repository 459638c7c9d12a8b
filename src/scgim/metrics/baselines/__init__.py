"""Simple baselines that a model should beat; numpy arrays in and out.

``MEAN_BASELINES`` maps a name to a function ``(train_features (K, Q), train_means (K, G), new_features (m, Q), *,
control_mean (G,), rng) -> (m, G)``. `additive` has the same form, but its features must come from `indicators`.
"""

from collections.abc import Callable

import numpy as np

from scgim.metrics.baselines._additive import additive
from scgim.metrics.baselines._control import control
from scgim.metrics.baselines._gp import gp
from scgim.metrics.baselines._indicators import indicators
from scgim.metrics.baselines._knn import knn
from scgim.metrics.baselines._mean_shift_targets import mean_shift_targets
from scgim.metrics.baselines._mlp import mlp
from scgim.metrics.baselines._ridge import ridge
from scgim.metrics.baselines._shifted_control import shifted_control
from scgim.metrics.baselines._training_mean import training_mean

MEAN_BASELINES: dict[str, Callable[..., np.ndarray]] = {
    "control": control,
    "training_mean": training_mean,
    "ridge": ridge,
    "knn": knn,
    "gp": gp,
    "mlp": mlp,
}

__all__ = [
    "MEAN_BASELINES",
    "additive",
    "control",
    "gp",
    "indicators",
    "knn",
    "mean_shift_targets",
    "mlp",
    "ridge",
    "shifted_control",
    "training_mean",
]
