"""What is computed from one block of cells, wherever it is read (layer `_core`; not from the paper).

The tasks are classes whose instances survive pickling, and this file imports little: a worker of a Dask cluster needs
nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from scgim._core.arrays import member
from scgim._core.moments.moments import Frame, Sums, chunk_sums

CHUNK_VALUES = 4_000_000
"""Values worked on at once: 32 MB as float64."""


def chunk_rows(n_genes: int) -> int:
    """Rows that are worked on at once."""
    return max(64, CHUNK_VALUES // max(n_genes, 1))


def join(blocks: list[Any]) -> Any:
    """The same cells of several matrices side by side; sparse (by row) where all of them are."""
    blocks = [b.tocsr() if sparse.issparse(b) else np.asarray(b) for b in blocks]
    if len(blocks) == 1:
        return blocks[0]
    if all(sparse.issparse(b) for b in blocks):
        return sparse.hstack(blocks, format="csr")
    return np.hstack([b.toarray() if sparse.issparse(b) else b for b in blocks])


def reduce_block(*arrays: Any, task: Any, n_matrices: int, flat: tuple[bool, ...]) -> np.ndarray:
    """The result of a task for one block, in an array of one element, as Dask wants it.

    Parameters
    ----------
    arrays
        Matrices of the block, then columns with one row a cell ``(n, q)``.
    task
        Called with the joint matrix and the columns.
    n_matrices
        Number of matrices among `arrays`.
    flat
        Of each column, whether the task expects it as ``(n,)``.
    """
    values = [a[:, 0] if one else a for a, one in zip(arrays[n_matrices:], flat, strict=True)]
    out = np.empty((1, 1), dtype=object)
    out[0, 0] = task(join(list(arrays[:n_matrices])), *values)
    return out


@dataclass(frozen=True)
class BlockSums:
    """Sums for moments, a few thousand rows at a time."""

    frame: Frame  # functions to sum
    pool: np.ndarray | None = None  # (K,) pool of each context, or None
    # mean `(q,)` of covariates whose effect is removed, in their units, and slopes `(q, G)`, in units of the data a
    # unit of the covariate; or None
    covariates: tuple[np.ndarray, np.ndarray] | None = None

    def __call__(self, x: Any, context: np.ndarray, values: np.ndarray | None = None) -> Sums:
        """Sums of cells ``(n, G)`` in units of the data, with contexts ``(n,)`` and covariates ``(n, q)``."""
        contexts, local = np.unique(context, return_inverse=True)
        pools, of = None, None
        if self.pool is not None:
            pools, of = np.unique(self.pool[contexts], return_inverse=True)
            of = of.ravel()
        n_functions = self.frame.n_functions * x.shape[1]
        total = Sums.zeros(len(contexts), n_functions, None if pools is None else len(pools))
        size = chunk_rows(x.shape[1])
        for start in range(0, x.shape[0], size):
            rows = slice(start, start + size)
            part = x[rows]
            if self.covariates is not None and values is not None:
                mean, slope = self.covariates
                part = (part.toarray() if sparse.issparse(part) else part) - (values[rows] - mean) @ slope
            total.add(chunk_sums(part, local.ravel()[rows], self.frame, of))
        total.contexts, total.pools = contexts, pools
        return total


@dataclass
class SummaryPart:
    """Range, sums around `BlockSummary.shift` of a block, for the contexts that occur in it."""

    low: np.ndarray  # (G,), units of the data, as all below
    high: np.ndarray  # (G,)
    contexts: np.ndarray
    total: np.ndarray  # (contexts, G)
    square: np.ndarray  # (G,), squared units
    whole: bool = True
    n_bad: int = 0  # NaN or infinite values
    bad_gene: int = -1


@dataclass(frozen=True)
class BlockSummary:
    """Range and sums by context, and whether values are whole."""

    # (G,) subtracted from dense values, against cancellation; zero for sparse ones; in units of the data
    shift: np.ndarray

    def __call__(self, x: Any, context: np.ndarray) -> SummaryPart:
        """Summary of cells ``(n, G)`` in units of the data, with contexts ``(n,)``; stops at the first NaN or infinite values."""
        contexts, local = np.unique(context, return_inverse=True)
        G = x.shape[1]
        zeros = np.zeros((len(contexts), G))
        part = SummaryPart(np.full(G, np.inf), np.full(G, -np.inf), contexts, zeros, np.zeros(G))
        size = chunk_rows(G)
        for start in range(0, x.shape[0], size):
            self._add(part, x[start : start + size], local.ravel()[start : start + size])
            if part.n_bad:
                break
        return part

    def _add(self, part: SummaryPart, x: Any, context: np.ndarray) -> None:
        values = x.data if sparse.issparse(x) else x
        bad = ~np.isfinite(values)
        if bad.any():
            at = int(np.flatnonzero(bad.ravel())[0])
            part.n_bad, part.bad_gene = int(bad.sum()), int(x.indices[at]) if sparse.issparse(x) else at % x.shape[1]
            return
        part.whole = part.whole and bool((values == np.floor(values)).all())
        sums = member(context, len(part.contexts))
        x = x.astype(np.float64)
        if sparse.issparse(x):
            low, high = (np.asarray(f(axis=0).toarray()).ravel() for f in (x.min, x.max))
            part.total += (sums @ x).toarray()
            part.square += np.asarray(x.multiply(x).sum(axis=0)).ravel()
        else:
            low, high = x.min(axis=0), x.max(axis=0)
            x -= self.shift
            part.total += sums @ x
            part.square += np.einsum("ij,ij->j", x, x)
        part.low, part.high = np.minimum(part.low, low), np.maximum(part.high, high)
