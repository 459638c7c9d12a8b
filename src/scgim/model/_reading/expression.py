"""Expression matrices, dense, sparse, backed or lazy, read in blocks of rows (layer `model`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from anndata import AnnData
from scipy import sparse

from scgim._core.moments.blocks import chunk_rows, join
from scgim.model._reading.spec import Spec


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


def is_lazy(matrix: Any) -> bool:
    """Whether the matrix is a Dask array."""
    return hasattr(matrix, "__dask_graph__")


def is_loaded(matrix: Any) -> bool:
    """Whether the matrix is in memory."""
    return isinstance(matrix, np.ndarray) or sparse.issparse(matrix)


def by_row(matrix: Any) -> Any:
    """The matrix in a form whose blocks of rows are cheap to read."""
    if sparse.issparse(matrix):
        return matrix.tocsr()
    if getattr(matrix, "format", None) == "csc" and hasattr(matrix, "to_memory"):  # backed
        return matrix.to_memory().tocsr()
    return matrix


def _block(matrix: Any, start: int, stop: int) -> Any:
    block = matrix[start:stop]
    return block.compute() if is_lazy(block) else block


def _spans(sources: list[Any], n_obs: int, size: int) -> Iterator[tuple[int, int]]:
    """Rows to read together: `size` of them, or whole blocks of a lazy matrix, so that none is read twice."""
    lazy = next((m for m in sources if is_lazy(m)), None)
    if lazy is None:
        yield from ((start, min(start + size, n_obs)) for start in range(0, n_obs, size))
        return
    start, stop = 0, 0
    for rows in lazy.chunks[0]:
        stop += int(rows)
        if stop - start >= size or stop == n_obs:
            yield start, stop
            start = stop


def iterate(data: Any, spec: Spec, size: int | None = None) -> Iterator[tuple[slice, Any]]:
    """Blocks of cells ``(rows, (n, G))`` over all modalities, in units of the data; sparse where all of them are.

    Parameters
    ----------
    data
        AnnData or MuData.
    spec
        What was registered.
    size
        Rows in a block.
    """
    sources = [by_row(matrix) for matrix in matrices(data, spec)]
    size = size or chunk_rows(sum(m.shape[1] for m in sources))
    for start, stop in _spans(sources, data.n_obs, size):
        block = join([_block(m, start, stop) for m in sources])
        for first in range(start, stop, size):
            rows = slice(first, min(first + size, stop))
            yield rows, block[rows.start - start : rows.stop - start]
