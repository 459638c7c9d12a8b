"""Continuous covariates: their linear effect on each gene is removed before fitting (layer `model`; not from the paper).

Slopes are estimated within contexts, so that a covariate that a drug changes (such as the cell cycle) does not take the
drug's effect with it. Categorical covariates and batches are baselines of the model instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from scgim.model._reading.expression import iterate
from scgim.model._reading.spec import Spec


@dataclass(frozen=True)
class Adjustment:
    """Linear effect of q continuous covariates.

    Attributes
    ----------
    mean
        ``(q,)``; value to which expression is adjusted.
    coef
        ``(q, G)``; change of expression per unit.
    """

    mean: np.ndarray
    coef: np.ndarray

    def effect(self, values: np.ndarray) -> np.ndarray:
        """Expression above that at the mean, ``(n, q)`` -> ``(n, G)``."""
        return (values - self.mean) @ self.coef

    def remove(self, block: Any, values: np.ndarray) -> np.ndarray:
        """Cells ``(n, G)``, dense or sparse, at the mean of the covariates."""
        return (block.toarray() if sparse.issparse(block) else block) - self.effect(values)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists."""
        return {"mean": self.mean.tolist(), "coef": self.coef.tolist()}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Adjustment:
        """Inverse of `to_dict`."""
        return cls(np.asarray(state["mean"], float), np.asarray(state["coef"], float))


def fit_adjustment(data: Any, spec: Spec, values: np.ndarray, index: np.ndarray, n_contexts: int) -> Adjustment:
    """Least-squares slopes within contexts; one pass over the cells.

    Parameters
    ----------
    values
        ``(N, q)``; covariates of the cells.
    index
        ``(N,)``; contexts of the cells.
    """
    n = np.maximum(np.bincount(index, minlength=n_contexts), 1)[:, None]
    member = sparse.csr_matrix((np.ones(len(index)), (index, np.arange(len(index)))), shape=(n_contexts, len(index)))
    centred = values - (member @ values / n)[index]
    cross: Any = 0.0
    for rows, block in iterate(data, spec):
        cross = cross + np.asarray(centred[rows].T @ block, dtype=float)
    return Adjustment(values.mean(axis=0), np.linalg.lstsq(centred.T @ centred, cross, rcond=1e-10)[0])


@dataclass(frozen=True)
class CellChunks:
    """Blocks of adjusted cells with their contexts; calling it starts a new pass."""

    data: Any
    spec: Spec
    index: np.ndarray
    adjustment: Adjustment | None = None
    values: np.ndarray | None = None

    def __call__(self) -> Iterator[tuple[Any, np.ndarray]]:
        for rows, block in iterate(self.data, self.spec):
            if self.adjustment is not None and self.values is not None:
                block = self.adjustment.remove(block, self.values[rows])
            yield block, self.index[rows]
