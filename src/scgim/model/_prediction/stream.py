"""AnnData stores written in blocks of cells (layer `model`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata.io import write_elem

CHUNK_ROWS = 4096


def write_stream(
    path: Path,
    shape: tuple[int, int],
    blocks: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]],
    make_obs: Callable[[np.ndarray, np.ndarray], pd.DataFrame],
    var: pd.DataFrame,
    uns: dict[str, Any],
) -> None:
    """Write cells as they come.

    Parameters
    ----------
    path
        New ``.h5ad`` or ``.zarr`` store.
    shape
        Cells and genes.
    blocks
        ``(cells (n, G), row (n,), group (n,))``.
    make_obs
        Table of the cells from their rows and groups.
    var, uns
        What else the store holds.
    """
    chunks = (min(CHUNK_ROWS, shape[0]), shape[1])
    if path.suffix == ".h5ad":
        import h5py

        with h5py.File(path, "w") as store:
            _fill(store, store.create_dataset("X", shape, np.float32, chunks=chunks), blocks, make_obs, var, uns)
    else:
        import zarr

        store = zarr.open_group(str(path), mode="w")
        create = getattr(store, "create_array", None) or store.create_dataset  # zarr 3, 2
        _fill(store, create("X", shape=shape, dtype=np.float32, chunks=chunks), blocks, make_obs, var, uns)


def _fill(store: Any, x: Any, blocks: Any, make_obs: Any, var: pd.DataFrame, uns: dict[str, Any]) -> None:
    x.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    rows, groups, start = [], [], 0
    for cells, row, group in blocks:
        x[start : start + len(cells)] = cells.astype(np.float32)
        start += len(cells)
        rows.append(row.astype(np.int32))
        groups.append(group.astype(np.int32))
    store.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
    write_elem(store, "obs", make_obs(np.concatenate(rows), np.concatenate(groups)))
    write_elem(store, "var", var)
    write_elem(store, "uns", uns)
    for empty in ("layers", "obsm", "varm", "obsp", "varp"):
        write_elem(store, empty, {})
