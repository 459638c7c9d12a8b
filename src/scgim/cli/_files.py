"""Reading and writing the files of the commands."""

from pathlib import Path
from typing import Any

from scgim.cli._console import InputError

READABLE = (".h5ad", ".h5mu", ".zarr")


def read(path: Path) -> Any:
    """An AnnData or MuData; an InputError where it cannot be read."""
    if not path.exists():
        raise InputError(f"{path}: no such file.")
    if path.suffix not in READABLE:
        raise InputError(f"{path}: expected a file that ends in {', '.join(READABLE)}.")
    import anndata
    import mudata

    try:
        if path.suffix == ".h5ad":
            return anndata.read_h5ad(path)
        return anndata.read_zarr(path) if path.suffix == ".zarr" else mudata.read_h5mu(path)
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: cannot be read ({str(error).splitlines()[0] if str(error) else error!r})."
        ) from error


def write(data: Any, path: Path) -> None:
    """Write an AnnData or MuData in the format of the suffix."""
    import shutil

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zarr":
        if path.is_dir():
            shutil.rmtree(path)
        data.write_zarr(path)
    elif path.suffix == ".h5mu":
        data.write(path)
    else:
        data.write_h5ad(path)


def folder(path: Path) -> Path:
    """Make a folder for results."""
    if path.exists() and not path.is_dir():
        raise InputError(f"--out {path}: expected a folder, found a file.")
    path.mkdir(parents=True, exist_ok=True)
    return path


def pictures(data: Any, out: Path, *, key: str = "scgim") -> list[str]:
    """Save the two overview pictures."""
    import matplotlib.pyplot as plt

    from scgim import pl

    for name, draw in (("mechanisms.png", pl.mechanisms), ("graph.png", pl.graph)):
        figure = draw(data, key=key, return_fig=True)
        figure.savefig(out / name, dpi=150, bbox_inches="tight", facecolor="white")
        plt.close(figure)
    return ["mechanisms.png", "graph.png"]
