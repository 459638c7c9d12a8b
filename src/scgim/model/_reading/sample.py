"""Cells of a model as dense arrays: a sample, or all of them in blocks (layer `model`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Iterator


def sample_cells(
    model: Any, n_cells: int, rng: np.random.Generator, without: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Cells of the model, adjusted for covariates, ``(n, G)``, and contexts ``(n,)``; all of them where they are few."""
    chunks = model.cells()
    keep = rng.random(len(chunks.index)) < n_cells / max(len(chunks.index), 1)
    if without is not None:
        keep[without] = False
    xs, ks, start = [], [], 0
    for x, context in chunks():
        rows = np.flatnonzero(keep[start : start + len(context)])
        start += len(context)
        x = x[rows]
        xs.append(np.asarray(x.toarray() if sparse.issparse(x) else x, dtype=np.float32))
        ks.append(context[rows])
    return np.concatenate(xs), np.concatenate(ks)


def dense_blocks(model: Any, size: int = 4096) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All cells of the model, adjusted for covariates, in blocks ``(n, G)`` with their contexts ``(n,)``."""
    for x, context in model.cells()():
        x = np.asarray(x.toarray() if sparse.issparse(x) else x, dtype=np.float32)
        for start in range(0, len(x), size):
            yield x[start : start + size], context[start : start + size]
