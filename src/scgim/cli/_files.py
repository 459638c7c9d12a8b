"""Reading and writing the files of the commands."""

from pathlib import Path
from typing import Any

from scgim._writing import beside, check_room, recover
from scgim.cli._console import InputError, console

READABLE = (".h5ad", ".h5mu", ".zarr")
RESULTS = ("adata.h5ad", "adata.zarr", "mdata.h5mu")
"""Files with results in a folder that ``scgim fit`` has written."""
PICTURES = ("mechanisms.png", "graph.png")


def check_data(path: Path) -> None:
    """A file that may hold an AnnData or MuData; an InputError otherwise."""
    if not path.exists():
        raise InputError(f"{path}: no such file.")
    if path.suffix not in READABLE:
        raise InputError(
            f"{path}: expected a file that ends in {', '.join(READABLE)}; of tables of genes and of labels "
            "anndata.AnnData(genes, obs=labels).write_h5ad(...) makes one."
        )


def read(path: Path) -> Any:
    """An AnnData or MuData; an InputError where it cannot be read."""
    check_data(path)
    import anndata
    import mudata

    try:
        if path.suffix == ".h5ad":
            return anndata.read_h5ad(path)
        return anndata.read_zarr(path) if path.suffix == ".zarr" else mudata.read_h5mu(path)
    except Exception as error:  # readers of damaged files raise anything
        raise InputError(
            f"{path}: cannot be read ({str(error).splitlines()[0] if str(error) else error!r})."
        ) from error


def results_in(path: Path) -> Path:
    """The data with results in a folder that ``scgim fit`` has written, or the file itself."""
    if not path.is_dir() or path.suffix == ".zarr":
        return path
    found = [path / name for name in RESULTS if (path / name).exists()]
    if not found:
        raise InputError(f"{path}: expected one of {', '.join(RESULTS)} in it, as written by scgim fit --out.")
    return found[0]


def write(data: Any, path: Path) -> None:
    """Write an AnnData or MuData in the format of the suffix, as a new file."""
    if path.suffix == ".zarr":
        data.write_zarr(path)
    elif path.suffix == ".h5mu":
        data.write(path)
    else:
        data.write_h5ad(path)


def size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size


def check_folder(path: Path, names: list[str], *, n_bytes: int, overwrite: bool) -> None:
    """A folder in which results can be written, and are not there yet unless they may be replaced.

    Parameters
    ----------
    path
        The folder; it need not exist.
    names
        Files and folders that will be written in it.
    n_bytes
        About how much that will be.
    overwrite
        Whether they may be replaced.
    """
    if path.exists() and not path.is_dir():
        raise InputError(f"--out {path}: expected a folder, found a file.")
    recover(path)
    there = [name for name in names if (path / name).exists()]
    if there and not overwrite:
        raise InputError(
            f"--out {path}: the folder holds {', '.join(there)} already; name another folder, or replace them with --overwrite."
        )
    _check_room(path, n_bytes)


def check_file(path: Path, *, n_bytes: int, overwrite: bool) -> None:
    """A file that can be written, and is not there yet unless it may be replaced.

    Parameters
    ----------
    path
        The file.
    n_bytes
        About its size.
    overwrite
        Whether it may be replaced.
    """
    if path.exists() and not overwrite:
        raise InputError(f"--out {path}: the file exists already; name another, or replace it with --overwrite.")
    _check_room(path.parent, n_bytes)


def check_request(model_dir: Path, out: Path, *, overwrite: bool) -> Path:
    """A model to ask, in the folder of a fit or its own, and a file for the cells that it answers with; returns the model's folder."""
    if not model_dir.is_dir():
        raise InputError(f"{model_dir}: no such folder; expected the folder model/ that 'scgim fit' leaves.")
    if out.suffix not in (".h5ad", ".zarr"):
        raise InputError(f"--out {out}: expected a file that ends in .h5ad or .zarr.")
    check_file(out, n_bytes=0, overwrite=overwrite)
    return model_dir / "model" if (model_dir / "model").is_dir() else model_dir


def write_cells(cells: Any, out: Path) -> dict[str, Any]:
    """Write an answer and say so; where it is and its size, for JSON."""
    with beside(out, "--out") as stage:
        write(cells, stage)
    console().print(f"{out}: {cells.n_obs} cells x {cells.n_vars} genes", markup=False)
    return {"out": str(out), "cells": int(cells.n_obs), "genes": int(cells.n_vars)}


def _check_room(path: Path, n_bytes: int) -> None:
    try:
        check_room(path, n_bytes)
    except OSError as error:
        raise InputError(f"--out {error}") from error


def pictures(data: Any, out: Path, *, key: str = "scgim") -> list[str]:
    """Save the overview pictures."""
    import matplotlib.pyplot as plt

    from scgim import pl

    drawings: tuple[Any, ...] = (pl.mechanisms, pl.graph)
    for name, draw in zip(PICTURES, drawings, strict=True):
        figure = draw(data, key=key, return_fig=True)
        figure.savefig(out / name, dpi=150, bbox_inches="tight", facecolor="white")
        plt.close(figure)
    return list(PICTURES)
