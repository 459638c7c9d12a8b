"""Cells: one class through which all expression is read, freed of continuous covariates (layer `model`; not from the paper).

The linear effect of continuous covariates on each gene is removed before fitting. Slopes are estimated within contexts,
so that a covariate that a drug changes (such as the cell cycle) does not take the drug's effect with it. Categorical
covariates and batches are baselines of the model instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from scgim._core.arrays import dense, member
from scgim._core.state import savable
from scgim.model._reading.expression import is_loaded, iterate, matrices
from scgim.model._reading.spec import Spec

Transform = Callable[[np.ndarray], np.ndarray]
"""From cells ``(n, G)`` to as many on another scale."""
SINGULAR = 1e-10
"""Relative size of singular values that count as zero: covariates that say the same share their slope."""
DENSE_ROWS = 4096
"""Cells of a dense block: some tens of megabytes at a few thousand genes."""


@savable
@dataclass(frozen=True)
class Adjustment:
    """Linear effect of q continuous covariates."""

    mean: np.ndarray  # (q,) value to which expression is adjusted, in the units of the covariates
    coef: np.ndarray  # (q, G) change of expression per unit of a covariate, on the scale of the data

    def effect(self, values: np.ndarray) -> np.ndarray:
        """Expression above that at the mean, ``(n, q)`` -> ``(n, G)``, in units of the data."""
        return (values - self.mean) @ self.coef

    def remove(self, block: Any, values: np.ndarray) -> np.ndarray:
        """Cells ``(n, G)``, dense or sparse, at the mean of the covariates, in units of the data."""
        return (block.toarray() if sparse.issparse(block) else block) - self.effect(values)


@dataclass(frozen=True)
class Cells:
    """Registered cells with their contexts: all that reads expression starts here. N cells, G genes, q covariates.

    Expression is in units of the data (`transform` may give others); nothing is standardised here.
    """

    data: Any  # AnnData or MuData
    spec: Spec  # what was registered
    index: np.ndarray  # (N,) context of each cell
    # effect of continuous covariates that blocks are freed of; None where there are none
    adjustment: Adjustment | None = None
    covariates: np.ndarray | None = None  # (N, q) continuous covariates, in the user's units
    # from cells `(n, G)` to as many on another scale, or None for the scale of the data
    transform: Transform | None = None
    kept: np.ndarray | None = None  # (N,) bool; cells that are shown, or None for all of them

    @property
    def n_cells(self) -> int:
        """Number of cells N, shown or not."""
        return len(self.index)

    @property
    def in_memory(self) -> bool:
        """Whether all expression is in memory."""
        return all(is_loaded(matrix) for matrix in matrices(self.data, self.spec))

    def only(self, rows: np.ndarray) -> Cells:
        """The same, showing only some cells: their positions ``(n,)``, or a mask ``(N,)``."""
        kept = np.zeros(self.n_cells, dtype=bool)
        kept[rows] = True
        return replace(self, kept=kept if self.kept is None else kept & self.kept)

    def on_scale(self, transform: Transform | None) -> Cells:
        """The same, on another scale."""
        return replace(self, transform=transform)

    def __call__(self) -> Iterator[tuple[Any, np.ndarray]]:
        """One pass: blocks ``(n, G)`` in the order of the cells, adjusted, sparse where the data are and can stay so, with contexts ``(n,)``."""
        for rows, block in iterate(self.data, self.spec):
            context = self.index[rows]
            if self.adjustment is not None and self.covariates is not None:
                block = self.adjustment.remove(block, self.covariates[rows])
            if self.transform is not None:
                block = _transformed(block, self.transform)
            if self.kept is not None:
                there = np.flatnonzero(self.kept[rows])
                block, context = block[there], context[there]
            yield block, context

    def dense(self, size: int = DENSE_ROWS) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """One pass in blocks of at most `size` cells, ``(n, G)`` dense float32 in units of the data, with contexts ``(n,)``."""
        for block, context in self():
            x = dense(block, np.float32)
            for start in range(0, len(x), size):
                yield x[start : start + size], context[start : start + size]

    def sample(
        self, n_cells: int, rng: np.random.Generator, without: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """About `n_cells` cells ``(n, G)``, dense float32 in units of the data, and contexts ``(n,)``; all where they are few.

        Parameters
        ----------
        n_cells
            Expected number of cells.
        rng
            Random generator.
        without
            Positions of cells that are left out.
        """
        kept = rng.random(self.n_cells) < n_cells / max(self.n_cells, 1)
        if without is not None:
            kept[without] = False
        blocks, contexts = zip(*((dense(x, np.float32), context) for x, context in self.only(kept)()), strict=True)
        return np.concatenate(blocks), np.concatenate(contexts)


def _transformed(block: Any, transform: Transform) -> np.ndarray:
    """A block ``(n, G)`` on another scale.

    Raises
    ------
    ValueError
        The function returns another shape.
    """
    x = dense(block)
    out = np.asarray(transform(x), dtype=np.float64)
    if out.shape != x.shape:
        raise ValueError(f"transform: expected an array of shape {x.shape} back, found {out.shape}.")
    return out


def fit_adjustment(cells: Cells, n_contexts: int) -> Adjustment:
    """Least-squares slopes of the covariates within contexts, in units of the data a unit of the covariate; one pass.

    Parameters
    ----------
    cells
        Cells with covariates, not adjusted yet.
    n_contexts
        Number of contexts K.

    Raises
    ------
    ValueError
        The cells have no covariates.
    """
    index, values = cells.index, cells.covariates
    if values is None:
        raise ValueError("cells: expected covariates, found none.")
    n = np.maximum(np.bincount(index, minlength=n_contexts), 1)[:, None]
    centred = values - (member(index, n_contexts) @ values / n)[index]  # (N, q), within contexts
    cross: Any = 0.0  # (q, G)
    for rows, block in iterate(cells.data, cells.spec):
        cross = cross + np.asarray(centred[rows].T @ block, dtype=float)
    return Adjustment(values.mean(axis=0), np.linalg.lstsq(centred.T @ centred, cross, rcond=SINGULAR)[0])
