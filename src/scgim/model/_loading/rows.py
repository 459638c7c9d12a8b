"""Which cells an epoch shows, and how they are read from disk (layer `model`; not from the paper).

An epoch visits chunks of neighbouring rows in random order, so that a file is read in pieces and not row by row; several
chunks make a window, whose cells are shuffled before they are cut into minibatches. All processes draw the same visit from
the same seed and take equal parts of it: disjoint, together complete, with the same number of minibatches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from scgim._core.arrays import rank_within
from scgim.model._reading.expression import by_row, is_lazy, is_loaded

CHUNK_ROWS = 256
"""Neighbouring rows that are read together from a file."""
WINDOW_VALUES = 16_000_000
"""Values of a window: 64 MB as float32."""


@dataclass(frozen=True)
class Draws:
    """How often the cells of each context are drawn in an epoch."""

    rows: np.ndarray  # (n,) the training cells
    context: np.ndarray  # (n,) their contexts
    count: np.ndarray  # (K,) training cells of each context
    draws: np.ndarray  # (K,) how many of them an epoch shows, repeats included

    @classmethod
    def make(cls, rows: np.ndarray, context: np.ndarray, balance: float = 0.0) -> Draws:
        """Draws in proportion to ``count ** (1 - balance)``, at least one from each context that has cells.

        Parameters
        ----------
        rows
            ``(n,)``; training cells.
        context
            ``(N,)``; contexts of all cells.
        balance
            0 shows every cell once, 1 every context equally often.
        """
        own = np.asarray(context)[rows]
        count = np.bincount(own)
        if balance == 0:
            return cls(np.asarray(rows), own, count, count)
        share = np.where(count > 0, np.maximum(count, 1.0) ** (1 - balance), 0.0)
        exact = share / share.sum() * len(rows)
        draws = np.floor(exact).astype(np.int64)
        rest = len(rows) - int(draws.sum())
        draws[np.argsort(draws - exact, kind="stable")[:rest]] += 1  # those that lost most by rounding
        return cls(np.asarray(rows), own, count, np.where(count > 0, np.maximum(draws, 1), 0))

    @property
    def total(self) -> int:
        """Cells that an epoch shows."""
        return int(self.draws.sum())

    def weights(self) -> np.ndarray:
        """Importance weights ``(K,)``: an epoch's mean of weighted losses is that over the training cells."""
        return self.count / np.maximum(self.draws, 1) * (self.total / max(len(self.rows), 1))

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        """Rows of one epoch ``(total,)``: all cells of a context equally often, up to one."""
        order = rng.permutation(len(self.rows))
        order = order[np.argsort(self.context[order], kind="stable")]
        k = self.context[order]
        count = np.maximum(self.count, 1)
        times = (self.draws // count)[k] + (rank_within(k) < (self.draws % count)[k])
        return np.repeat(self.rows[order], times)


def chunk_starts(sources: list[Any]) -> np.ndarray | None:
    """First rows of the pieces that are read together; None where all is in memory and order costs nothing."""
    if all(is_loaded(m) for m in sources):
        return None
    lazy = [m for m in sources if is_lazy(m)]
    if lazy:
        return np.concatenate([[0], np.cumsum(lazy[0].chunks[0])[:-1]]).astype(np.int64)
    return np.arange(0, sources[0].shape[0], CHUNK_ROWS)


def visit(rows: np.ndarray, starts: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """The same rows, chunk after chunk in random order."""
    if starts is None:
        return rng.permutation(rows)
    chunk = np.searchsorted(starts, rows, side="right") - 1
    return rows[np.argsort(rng.permutation(len(starts))[chunk], kind="stable")]


def shard(rows: np.ndarray, rank: int, world: int) -> np.ndarray:
    """Equal part of a process; up to ``world - 1`` rows occur twice to even the parts out."""
    per = -(-len(rows) // world)
    return np.resize(rows, per * world)[rank * per : (rank + 1) * per] if len(rows) else rows


class RowReader:
    """Any rows of matrices in memory, backed or lazy, read in pieces.

    Parameters
    ----------
    sources
        Matrices whose columns together are the modelled genes.
    starts
        See `chunk_starts`.
    """

    def __init__(self, sources: list[Any], starts: np.ndarray | None) -> None:
        self.sources, self.starts = [by_row(m) for m in sources], starts

    def read(self, rows: np.ndarray) -> list[Any]:
        """The rows, in their order, of each matrix ``(n, G)``, in units of the data; sparse where the matrix is."""
        if self.starts is None:
            return [m[rows] for m in self.sources]
        unique, place = np.unique(rows, return_inverse=True)
        chunk = np.searchsorted(self.starts, unique, side="right") - 1
        pieces = np.split(unique, np.flatnonzero(np.diff(chunk)) + 1)
        return [_stack([self._piece(m, piece) for piece in pieces])[place.ravel()] for m in self.sources]

    @staticmethod
    def _piece(matrix: Any, rows: np.ndarray) -> Any:
        """Sorted rows that lie close together: one read of all between the first and the last."""
        first = int(rows[0])
        block = matrix[first : int(rows[-1]) + 1]
        block = block.compute() if is_lazy(block) else block
        block = block.tocsr() if sparse.issparse(block) else np.asarray(block)
        return block[rows - first]


def _stack(blocks: list[Any]) -> Any:
    return sparse.vstack(blocks, format="csr") if sparse.issparse(blocks[0]) else np.concatenate(blocks)


def windows(rows: np.ndarray, size: int, rng: np.random.Generator | None) -> Iterator[np.ndarray]:
    """Parts of a visit, each shuffled where there is a generator."""
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        yield part if rng is None else rng.permutation(part)
