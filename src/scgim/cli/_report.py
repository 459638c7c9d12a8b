"""``scgim report``."""

from pathlib import Path
from typing import Any

from scgim.cli import _files
from scgim.cli._console import InputError, console, load, step

N_BYTES = 5_000_000  # of a page, at most


def run(
    results: Path, *, out: Path, title: str | None, gene_symbols: str | None, key: str, overwrite: bool
) -> dict[str, Any]:
    """Read results and write the page; returns what is printed as JSON."""
    if out.suffix != ".html":
        raise InputError(f"--out {out}: expected a file that ends in .html.")
    path = _files.results_in(results)
    _files.check_data(path)
    _files.check_file(out, n_bytes=N_BYTES, overwrite=overwrite)
    load()
    with step(f"reading {path.name}"):
        data = _files.read(path)
    from scgim import tl

    with step(f"writing {out}"):
        heading = results.resolve().stem if title is None else title
        tl.report(data, out, key=key, title=heading, gene_symbols=gene_symbols)
    console().print(f"{out}: open it in a browser", markup=False)
    return {"command": "report", "out": str(out), "bytes": out.stat().st_size}
