"""Result files: long tables of which rows are only ever added."""

from __future__ import annotations

import io
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

RUNS, RELIABILITY = "runs.csv", "reliability.csv"


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
