"""``scgim report``."""

from pathlib import Path

from scgim.cli import _files
from scgim.cli._console import InputError, console, quiet, step

NAMES = ("adata.h5ad", "adata.zarr", "mdata.h5mu")
"""Files with results in a folder that ``scgim fit`` has written."""


def run(results: Path, *, out: Path, title: str | None, gene_symbols: str | None, key: str) -> None:
    """Read results and write the page."""
    path = results
    if results.is_dir() and results.suffix != ".zarr":
        found = [results / name for name in NAMES if (results / name).exists()]
        if not found:
            raise InputError(f"{results}: expected one of {', '.join(NAMES)} in it, as written by scgim fit --out.")
        path = found[0]
    with step(f"reading {path.name}"):
        data = _files.read(path)
        quiet()
    from scgim import tl

    with step(f"writing {out}"):
        heading = results.resolve().stem if title is None else title
        tl.report(data, out, key=key, title=heading, gene_symbols=gene_symbols)
    console().print(f"{out}: open it in a browser", markup=False)
