"""Rows and tables of the benchmarks: rows are only ever added, in a folder that git ignores; tables are made of them."""

from __future__ import annotations

import argparse
import io
import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

RUNS, RELIABILITY = "runs.csv", "reliability.csv"


def command(about: str | None, *, seeds: int = 0, quick: str = "", **choices: Iterable[str]) -> argparse.ArgumentParser:
    """A command that says what it is for; each of `choices` is an option that takes some of its values, by default all."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    if seeds:
        parser.add_argument("--seeds", type=int, nargs="+", default=list(range(seeds)))
    for name, values in choices.items():
        parser.add_argument(f"--{name}", nargs="+", choices=list(values), default=list(values))
    if quick:
        parser.add_argument("--quick", action="store_true", help=f"{quick}, to see that everything runs")
    return parser


def parsed(
    parser: argparse.ArgumentParser, argv: list[str] | None, here: Path, *, summary: bool = True
) -> argparse.Namespace:
    """Arguments of a command in the folder `here`, with the options for its rows and tables; `summary`: it makes both."""
    rows, tables = here / "results", here / "tables"
    parser.add_argument(
        "--out", type=Path, default=rows, help="folder of the rows (default: results beside the script)"
    )
    parser.add_argument(
        "--tables",
        type=Path,
        help="folder of tables and pictures (default: tables beside the script, or --out where it is given)",
    )
    if summary:
        parser.add_argument("--summary", action="store_true", help="make the tables only, from the rows that are there")
    arguments = parser.parse_args(argv)
    if arguments.tables is None:
        arguments.tables = tables if arguments.out.resolve() == rows.resolve() else arguments.out
    arguments.tables.mkdir(parents=True, exist_ok=True)
    return arguments


def need(path: Path, script: Path | str) -> None:
    """End with a sentence that says which command makes the rows, where there are none."""
    if not path.is_file():
        maker = Path(script)
        raise SystemExit(f"{path} is not there: `python benchmarks/{maker.parent.name}/{maker.name}` makes it.")


def versions() -> str:
    """Versions of what the numbers depend on, with the commit of scgim where it is run from a checkout."""
    import scgim

    folder = Path(scgim.__file__).parent
    git = subprocess.run(["git", "-C", folder, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    commit = f" {git.stdout.strip()}" if git.returncode == 0 else ""
    if commit and subprocess.run(["git", "-C", folder, "diff", "--quiet", "HEAD", "--", "."]).returncode:
        commit += "+changes"
    names = ("numpy", "scipy", "torch", "scvi-tools", "scikit-learn")
    return f"python {platform.python_version()} scgim {scgim.__version__}{commit} " + " ".join(
        f"{name} {version(name)}" for name in names
    )


def read(path: Path) -> pd.DataFrame:
    """A table, or an empty one if there is none yet."""
    return pd.read_csv(path) if path.is_file() else pd.DataFrame()


def finished(path: Path, columns: list[str]) -> set[tuple[Any, ...]]:
    """Values of the columns that are in the table already."""
    table = read(path)
    return set() if table.empty else set(table[columns].itertuples(index=False, name=None))


def append(path: Path, table: pd.DataFrame) -> None:
    """Add rows at once, so that several commands may share a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    table.to_csv(text, index=False, float_format="%.6g", header=not path.is_file(), lineterminator="\n")
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, text.getvalue().encode())
    finally:
        os.close(handle)


def rows(keys: dict[str, Any], values: dict[str, float], made_by: str) -> pd.DataFrame:
    """One row a metric."""
    table = pd.DataFrame({"metric": list(values), "value": [float(v) for v in values.values()]})
    for place, (name, value) in enumerate(keys.items()):
        table.insert(place, name, value)
    table["versions"] = made_by
    return table


def drop(path: Path, keys: dict[str, Any]) -> None:
    """Remove the rows with these values."""
    table = read(path)
    if not table.empty:
        same = pd.Series(True, index=table.index)
        for name, value in keys.items():
            same &= table[name] == value
        if same.any():
            table[~same].to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
