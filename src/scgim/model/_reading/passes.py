"""Passes over the cells, in memory or on disk; with Dask where the expression is lazy (layer `model`; not from the paper).

A lazy matrix is read block by block by Dask's scheduler: threads of this process, or the workers of a
`dask.distributed` client. Each block is reduced where it is read, and only its sums travel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from scgim._core.mechanisms.base import Basis
from scgim._core.mechanisms.linear import Linear
from scgim._core.moments.blocks import BlockSums, join, reduce_block
from scgim._core.moments.moments import Frame, Moments, Sums, compute_moments, finish, location_scale, origin
from scgim.model._reading.expression import is_lazy, iterate, matrices

if TYPE_CHECKING:
    from scgim.model._reading.cells import Cells

RESULT_BYTES = 256_000_000
"""Results of blocks that may wait in memory at once."""
SMALLEST_BLOCK = 1_000_000
"""Values; smaller blocks are read together."""
FIRST_CELLS = 256
"""Cells whose mean is the origin of the sums."""


def map_cells(
    task: Callable[..., Any], cells: Cells, *per_cell: np.ndarray, result_bytes: int = 1_000_000
) -> Iterator[Any]:
    """Results of `task` for blocks of cells as they are stored, not adjusted, in the order of the cells.

    Parameters
    ----------
    task
        Called with a block ``(n, G)`` of expression, dense or sparse by row, and the same rows of each of `per_cell`. It
        has to survive pickling where the workers of a cluster call it.
    cells
        Registered cells.
    per_cell
        Arrays with one row a cell, ``(N,)`` or ``(N, q)``.
    result_bytes
        Size of one result, which bounds how many blocks are under way at once.
    """
    sources = matrices(cells.data, cells.spec)
    if not all(is_lazy(m) for m in sources):
        for rows, block in iterate(cells.data, cells.spec):
            yield task(block, *(values[rows] for values in per_cell))
        return
    out = _lazy_results(task, sources, per_cell)
    window = max(4, RESULT_BYTES // max(result_bytes, 1))
    for start in range(0, out.numblocks[0], window):
        yield from out.blocks[start : start + window].compute().ravel()


def _lazy_results(task: Callable[..., Any], sources: list[Any], per_cell: tuple[np.ndarray, ...]) -> Any:
    """Dask array ``(blocks, 1)`` of results; reading a block and reducing it are one task."""
    import dask.array as da

    rows, n_genes = sources[0].chunks[0], sum(m.shape[1] for m in sources)
    if len(rows) > 1 and np.median(rows) * n_genes < SMALLEST_BLOCK:
        together = max(1, SMALLEST_BLOCK // n_genes)
        rows = da.core.normalize_chunks((together,), shape=(sources[0].shape[0],))[0]
    blocks = [m if m.chunks == (rows, (m.shape[1],)) else m.rechunk((rows, (m.shape[1],))) for m in sources]
    tables = [np.reshape(values, (len(values), -1)) for values in per_cell]
    columns = [da.from_array(values, chunks=(rows, (values.shape[1],))) for values in tables]
    return da.map_blocks(
        reduce_block,
        *blocks,
        *columns,
        dtype=object,
        chunks=((1,) * len(rows), (1,)),
        meta=np.empty((0, 0), dtype=object),
        task=task,
        n_matrices=len(blocks),
        flat=tuple(np.ndim(values) == 1 for values in per_cell),
    )


def _sum_blocks(cells: Cells, n_contexts: int, frame: Frame, pool: np.ndarray | None) -> Sums:
    """Sums over all cells of a lazy matrix."""
    columns, covariates = [cells.index], None
    if cells.adjustment is not None and cells.covariates is not None:
        columns, covariates = [cells.index, cells.covariates], (cells.adjustment.mean, cells.adjustment.coef)
    n_functions = len(frame.loc) * frame.n_functions
    total = Sums.zeros(n_contexts, n_functions, None if pool is None else int(pool.max()) + 1)
    task = BlockSums(frame, pool, covariates)
    for part in map_cells(task, cells, *columns, result_bytes=total.second.nbytes):
        total.add(part)
    return total


def cell_moments(
    cells: Cells, n_contexts: int, *, mechanism: Basis = Linear(), pool: np.ndarray | None = None
) -> Moments:
    """Moments of the registered cells, wherever they are; one pass for linear mechanisms, two for additive ones.

    Parameters
    ----------
    cells
        Registered cells.
    n_contexts
        Number of contexts K.
    mechanism, pool
        See :func:`scgim._core.moments.moments.compute_moments`.
    """
    sources = matrices(cells.data, cells.spec)
    if not all(is_lazy(m) for m in sources):
        return compute_moments(cells, n_contexts, mechanism=mechanism, pool=pool)
    few = min(FIRST_CELLS, int(sources[0].chunks[0][0]) or FIRST_CELLS)  # of the first block alone
    first = join([m[:few].compute() for m in sources])
    frame = Frame(Linear(), origin(first), np.ones(first.shape[1]))
    linear = _sum_blocks(cells, n_contexts, frame, pool if mechanism.linear else None)
    if mechanism.linear:
        return finish(linear, frame, pool)
    loc, scale = location_scale(linear, frame)
    frame = Frame(mechanism, loc, np.where(scale > 0, scale, 1.0))
    return finish(_sum_blocks(cells, n_contexts, frame, pool), frame, pool)
