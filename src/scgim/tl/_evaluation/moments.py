"""Means, variances and a sample of the cells of each context, in one pass over the cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scgim._core.arrays import dense, member, rank_within
from scgim.model._reading.cells import Cells


@dataclass
class ContextCells:
    """What is kept of the cells of K contexts."""

    n: np.ndarray  # (K,)
    mean: np.ndarray  # (K, G)
    variance: np.ndarray  # (K, G), within each context
    cells: np.ndarray  # (S, G), the sampled cells
    context: np.ndarray  # (S,), their contexts

    def of(self, k: int) -> np.ndarray:
        """Sampled cells of one context, (n, G)."""
        return self.cells[self.context == k]

    def part(self, contexts: np.ndarray) -> ContextCells:
        """Some of the contexts, numbered anew, with their sampled cells."""
        place = np.full(len(self.n), -1)
        place[contexts] = np.arange(len(contexts))
        context = place[self.context]
        kept = context >= 0
        statistics = (self.n[contexts], self.mean[contexts], self.variance[contexts])
        return ContextCells(*statistics, self.cells[kept], context[kept])


def collect(
    source: Cells,
    n_contexts: int,
    *,
    n_cells: int = 0,
    rng: np.random.Generator,
) -> ContextCells:
    """One pass over the cells.

    Parameters
    ----------
    source
        The cells.
    n_contexts
        Number of contexts K.
    n_cells
        Cells to sample from each context.
    rng
        Random generator.
    """
    index = source.index
    chosen = sample_rows(index, n_cells, rng)
    total = square = shift = None
    kept, owner, start = [], [], 0
    for block, context in source():
        x = dense(block)
        if shift is None:
            shift = x.mean(0)  # sums around a typical value lose no digits
            total, square = np.zeros((n_contexts, x.shape[1])), np.zeros((n_contexts, x.shape[1]))
        of_context = member(context, n_contexts)
        total += of_context @ (x - shift)
        square += of_context @ (x - shift) ** 2
        rows = np.flatnonzero(chosen[start : start + len(x)])
        kept.append(x[rows].astype(np.float32))
        owner.append(np.asarray(context)[rows])
        start += len(x)
    if shift is None or total is None or square is None:
        raise ValueError("adata: expected at least one cell, found none.")
    n = np.bincount(index, minlength=n_contexts).astype(float)
    safe = np.maximum(n, 1)[:, None]
    mean = total / safe
    variance = np.maximum(square / safe - mean**2, 0.0) * safe / np.maximum(safe - 1, 1)
    return ContextCells(n, mean + shift, variance, np.concatenate(kept), np.concatenate(owner))


def sample_rows(index: np.ndarray, n_cells: int, rng: np.random.Generator) -> np.ndarray:
    """Which cells to keep so that each context has at most ``n_cells``, (N,) bool."""
    order = rng.permutation(len(index))
    chosen = np.zeros(len(index), bool)
    chosen[order] = rank_within(index[order]) < n_cells
    return chosen
