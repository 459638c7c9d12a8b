"""Control cells of a batch, moved by the model to the conditions of held-out cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scgim.model._reading.cells import Transform

if TYPE_CHECKING:
    from scgim.model import GIM
    from scgim.tl._evaluation.held_out import Test

MOST_CONTROLS = 5000  # control cells of a group that are moved


def move_controls(
    model: GIM,
    test: Test,
    features: Any,
    n_cells: int,
    transform: Transform | None,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Means (m, G) of all moved control cells, and `n_cells` of them (m, n_cells, G), drawn with replacement if there are fewer.

    Parameters
    ----------
    model
        A fitted model with its training data.
    test
        The m conditions.
    features
        Of new drugs.
    n_cells
        Cells to keep of each condition.
    transform
        Scale of the comparison.
    rng
        Random generator.

    Raises
    ------
    ValueError
        The model has no training data, or a batch has no control cells.
    """
    if model.adata is None:
        raise ValueError(
            "population: 'control' moves control cells of the training data, and the model was loaded without them; use "
            "scgim.model.GIM.load(dir_path, adata)."
        )
    design, trained = model.design, model.cells()
    context, adjustment, covariates = trained.index, trained.adjustment, trained.covariates
    rows = test.table.drop(columns="n_cells")
    means, kept = [], []
    for k, group in enumerate(test.group):
        control = np.flatnonzero((design.control & (design.group == group))[context])
        if not len(control):
            raise ValueError(
                f"population: 'control' needs control cells of every batch, and {test.label[k]} has none; use 'model'."
            )
        if len(control) > MOST_CONTROLS:
            control = np.sort(rng.choice(control, MOST_CONTROLS, replace=False))
        cells = model.adata[control]
        cells = cells.to_memory() if cells.isbacked else cells.copy()
        own = features[k : k + 1] if isinstance(features, np.ndarray) else features
        moved = np.asarray(model.counterfactual(cells, rows.iloc[[k]], features=own, rng=rng).X, dtype=np.float64)
        if adjustment is not None and covariates is not None:  # as the held-out cells are
            moved = adjustment.remove(moved, covariates[control])
        moved = moved if transform is None else transform(moved)
        means.append(moved.mean(axis=0))
        kept.append(moved[rng.choice(len(moved), n_cells, replace=len(moved) < n_cells)])
    return np.stack(means), np.stack(kept)
