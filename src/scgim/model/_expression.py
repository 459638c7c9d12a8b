"""Expression matrices, dense, sparse, backed or lazy, read in blocks of rows (layer `model`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from anndata import AnnData
from scipy import sparse

from scgim.model._spec import Spec

CHUNK_VALUES = 4_000_000
"""Values read at once: 32 MB as float64."""


def locate(layer: str | None, modality: str | None = None) -> str:
    """A matrix as one would write it in Python, for messages."""
    owner = "adata" if modality is None else f"mdata[{modality!r}]"
    return f"{owner}.X" if layer is None else f"{owner}.layers[{layer!r}]"


def parts(data: Any, spec: Spec) -> list[tuple[str | None, Any]]:
    """``(modality, AnnData)`` of each part of the modelled matrix; one part for AnnData."""
    if isinstance(data, AnnData):
        return [(None, data)]
    return [(name, data.mod[name]) for name in spec.layers if name is not None]


def matrices(data: Any, spec: Spec) -> list[Any]:
    """The matrices whose columns together are the modelled genes."""
    out = []
    for modality, adata in parts(data, spec):
        layer = spec.layers[modality]
        out.append(adata.X if layer is None else adata.layers[layer])
    return out


def joint_names(named: list[tuple[str | None, str]]) -> list[str]:
    """Names of variables of several modalities; one that occurs in two of them is written as ``modality:name``."""
    owners: dict[str, set] = {}
    for modality, name in named:
        owners.setdefault(name, set()).add(modality)
    return [f"{modality}:{name}" if len(owners[name]) > 1 else name for modality, name in named]


def gene_names(data: Any, spec: Spec) -> list[str]:
    """Names of the modelled variables, see `joint_names`."""
    return joint_names([(modality, str(name)) for modality, adata in parts(data, spec) for name in adata.var_names])


def chunk_rows(n_genes: int) -> int:
    """Rows that are read at once."""
    return max(64, CHUNK_VALUES // max(n_genes, 1))


def _by_row(matrix: Any) -> Any:
    """The matrix in a form whose blocks of rows are cheap to read."""
    if sparse.issparse(matrix):
        return matrix.tocsr()
    if getattr(matrix, "format", None) == "csc" and hasattr(matrix, "to_memory"):  # backed
        return matrix.to_memory().tocsr()
    return matrix


def _block(matrix: Any, start: int, stop: int) -> Any:
    block = matrix[start:stop]
    if hasattr(block, "compute"):  # dask
        block = block.compute()
    return block if sparse.issparse(block) else np.asarray(block)


def iterate(data: Any, spec: Spec, size: int | None = None) -> Iterator[tuple[slice, Any]]:
    """Blocks of cells ``(rows, (n, G))`` over all modalities; sparse where all of them are.

    Parameters
    ----------
    data
        AnnData or MuData.
    spec
        What was registered.
    size
        Rows in a block.
    """
    sources = [_by_row(matrix) for matrix in matrices(data, spec)]
    size = size or chunk_rows(sum(m.shape[1] for m in sources))
    for start in range(0, data.n_obs, size):
        rows = slice(start, min(start + size, data.n_obs))
        blocks = [_block(m, rows.start, rows.stop) for m in sources]
        if len(blocks) == 1:
            yield rows, blocks[0]
        elif all(sparse.issparse(b) for b in blocks):
            yield rows, sparse.hstack(blocks, format="csr")
        else:
            yield rows, np.hstack([b.toarray() if sparse.issparse(b) else b for b in blocks])


@dataclass
class Summary:
    """What one pass over the expression tells.

    Attributes
    ----------
    low, high
        ``(G,)``; smallest and largest value of each gene.
    within
        ``(G,)``; variance within contexts, pooled.
    n_bad
        Number of NaN or infinite values; where it is not 0 the pass has stopped at `bad_gene`.
    counts
        Whether all values are whole and none is negative, with some above 1.
    """

    low: np.ndarray
    high: np.ndarray
    within: np.ndarray
    n_bad: int = 0
    bad_gene: int = -1
    counts: bool = False


def summarise(data: Any, spec: Spec, index: np.ndarray, n_contexts: int) -> Summary:
    """Range, variance within contexts and kind of the values; stops at the first NaN or infinite value."""
    n_genes = sum(m.shape[1] for m in matrices(data, spec))
    low, high = np.full(n_genes, np.inf), np.full(n_genes, -np.inf)
    total, square, whole = np.zeros((n_contexts, n_genes)), np.zeros(n_genes), True
    shift: np.ndarray | None = None
    for rows, block in iterate(data, spec):
        values = block.data if sparse.issparse(block) else block
        bad = ~np.isfinite(values)
        if bad.any():
            at = int(np.flatnonzero(bad.ravel())[0])
            gene = int(block.indices[at]) if sparse.issparse(block) else at % n_genes
            return Summary(low, high, np.zeros(n_genes), int(bad.sum()), gene)
        whole = whole and bool((values == np.floor(values)).all())
        member = _membership(index[rows], n_contexts)
        if sparse.issparse(block):
            block = block.astype(np.float64)
            smallest, largest = (np.asarray(f(axis=0).toarray()).ravel() for f in (block.min, block.max))
            total += (member @ block).toarray()
            square += np.asarray(block.multiply(block).sum(axis=0)).ravel()
        else:
            block = block.astype(np.float64)
            smallest, largest = block.min(axis=0), block.max(axis=0)
            shift = block[0].copy() if shift is None else shift  # guards against cancellation
            block -= shift
            total += member @ block
            square += np.einsum("ij,ij->j", block, block)
        low, high = np.minimum(low, smallest), np.maximum(high, largest)
    n = np.maximum(np.bincount(index, minlength=n_contexts), 1)[:, None]
    within = np.maximum(square - (total**2 / n).sum(axis=0), 0.0)
    within[within <= 1e-12 * square] = 0.0
    counts = whole and low.min() >= 0 and high.max() > 1
    return Summary(low, high, within / max(data.n_obs, 1), counts=bool(counts))


def _membership(index: np.ndarray, n_contexts: int) -> sparse.csr_matrix:
    n = len(index)
    return sparse.csr_matrix((np.ones(n), (index, np.arange(n))), shape=(n_contexts, n))
