"""`scgim.metrics.baselines.shifted_control`."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._checks import SEED, checked, count
from scgim.metrics._checks import dense


@checked(n_cells=count(), rng=SEED)
def shifted_control(means: Any, control: Any, n_cells: int, *, rng: int | np.random.Generator | None = 0) -> np.ndarray:
    """Cells for predicted means: control cells, drawn with replacement and moved to each mean.

    Parameters
    ----------
    means
        Predicted means, (m, G).
    control
        Control cells, (n, G).
    n_cells
        Cells for each mean.
    rng
        Seed or generator.

    Returns
    -------
    Cells in blocks of `n_cells`, (m * n_cells, G).

    Raises
    ------
    ValueError
        If the genes differ, there is no control cell, or `n_cells` is not positive.

    Examples
    --------
    >>> shifted_control([[1]], [[0], [2]], 3)
    """
    means, control = dense("means", means).astype(float), dense("control", control).astype(float)
    if means.ndim != 2 or control.ndim != 2 or len(control) == 0 or means.shape[1] != control.shape[1]:
        raise ValueError(
            f"control: expected cells x the genes of means, found shapes {control.shape} and {means.shape}."
        )
    drawn = np.random.default_rng(rng).integers(len(control), size=(len(means), n_cells))
    return (means[:, None] + (control - control.mean(0))[drawn]).reshape(-1, control.shape[1])
