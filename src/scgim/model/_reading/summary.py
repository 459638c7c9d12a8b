"""What one pass over the expression tells: range, variance within contexts, whether values are counts (layer `model`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from scgim._core.moments.blocks import BlockSummary, join
from scgim._core.moments.moments import ROUNDING
from scgim.model._reading.cells import Cells
from scgim.model._reading.expression import is_lazy, matrices
from scgim.model._reading.passes import map_cells


@dataclass
class Summary:
    """What one pass over the expression tells."""

    # (G,) smallest and largest value of each gene, on the scale of the data
    low: np.ndarray
    high: np.ndarray
    within: np.ndarray  # (G,) variance within contexts, pooled, in squared units of the data
    # number of NaN or infinite values in the first block that holds any; there the pass has stopped, at `bad_gene`
    n_bad: int = 0
    bad_gene: int = -1
    counts: bool = False  # whether all values are whole and none is negative, with some above 1


def _shift(cells: Cells) -> np.ndarray:
    """The first cell where the expression is dense, zero where it is sparse."""
    first = [m[:1].compute() if is_lazy(m) else m[:1] for m in matrices(cells.data, cells.spec)]
    row = join(first)
    return np.zeros(row.shape[1]) if sparse.issparse(row) else np.nan_to_num(np.asarray(row[0], dtype=np.float64))


def summarise(cells: Cells, n_contexts: int) -> Summary:
    """Range, variance within contexts, and whether values are counts; stops at the first block with NaN or infinite values."""
    shift = _shift(cells)
    n_genes = len(shift)
    low, high = np.full(n_genes, np.inf), np.full(n_genes, -np.inf)
    total, square, whole = np.zeros((n_contexts, n_genes)), np.zeros(n_genes), True
    for part in map_cells(BlockSummary(shift), cells, cells.index):
        if part.n_bad:
            return Summary(low, high, np.zeros(n_genes), part.n_bad, part.bad_gene)
        whole = whole and part.whole
        low, high = np.minimum(low, part.low), np.maximum(high, part.high)
        total[part.contexts] += part.total
        square += part.square
    n = np.maximum(np.bincount(cells.index, minlength=n_contexts), 1)[:, None]
    within = np.maximum(square - (total**2 / n).sum(axis=0), 0.0)
    within[within <= ROUNDING * square] = 0.0
    counts = whole and low.min() >= 0 and high.max() > 1
    return Summary(low, high, within / max(cells.n_cells, 1), counts=bool(counts))
