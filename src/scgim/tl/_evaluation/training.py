"""What the training cells say of the conditions that predictions are compared with: controls, and the other perturbations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scgim._core.arrays import sum_by
from scgim.model._reading.cells import Transform
from scgim.tl._evaluation.moments import ContextCells, collect

if TYPE_CHECKING:
    from scgim.model import GIM


def read_training(
    model: GIM, n_cells: int, rng: np.random.Generator, transform: Transform | None = None
) -> ContextCells:
    """Means of the training contexts, and control cells."""
    if model.adata is None:
        raise ValueError(
            "model: it was loaded without its training data, from which baselines and changes are computed; use "
            "scgim.model.GIM.load(dir_path, adata), or baselines=() and metrics=('mean_distance',)."
        )
    return collect(model.cells().on_scale(transform), len(model.contexts), n_cells=max(n_cells, 500), rng=rng)


def control_means(model: GIM, train: ContextCells) -> np.ndarray:
    """Mean of the control cells of each baseline group, (C, G)."""
    total, n = _of_controls(model, train, train.mean)
    return total / np.maximum(n, 1)[:, None]


def control_variances(model: GIM, train: ContextCells) -> np.ndarray:
    """Sampling variance of the mean of the control cells of each baseline group, (C, G)."""
    total, n = _of_controls(model, train, train.variance)
    return total / np.maximum(n, 1)[:, None] ** 2


def _of_controls(model: GIM, train: ContextCells, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums over the control cells of each baseline group of values (K, G) of their contexts, (C, G), and their numbers (C,)."""
    design = model.design
    control, n_groups = np.flatnonzero(design.control), len(design.group_names)
    group, n = design.group[control], train.n[control]
    return sum_by(values[control] * n[:, None], group, n_groups), np.bincount(group, weights=n, minlength=n_groups)


def other_means(mean: np.ndarray, weight: np.ndarray, group: np.ndarray, control: np.ndarray) -> np.ndarray:
    """Mean over the perturbed training contexts of each baseline group, (C, G), weighted by cells; the control without any."""
    out = control.copy()
    for g in range(len(out)):
        own = (group == g) & (weight > 0)
        if own.any():
            out[g] = np.average(mean[own], axis=0, weights=weight[own])
    return out
