"""What the benchmarks share: where real data are, rows and tables, averages."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # before numpy
    os.environ.setdefault(_name, "1")

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "protocol"))

import logging

import numpy as np
import pandas as pd
from _store import append, command, drop, finished, need, parsed, read, versions

__all__ = [
    "append",
    "cases",
    "command",
    "complete",
    "data_file",
    "drop",
    "finished",
    "keep",
    "log_normalise",
    "need",
    "parsed",
    "quiet",
    "read",
    "record",
    "rows_of",
    "summarise",
    "versions",
]


def quiet() -> None:
    """No lines of Lightning between ours; the model is imported here, so that no fit is charged for it."""
    import scgim.model  # noqa: F401

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


def data_file(folder: str, name: str) -> Path:
    """A file in ``$SCGIM_DATA_DIR`` or in ``shared/data`` beside the checkout."""
    places = [Path(os.environ["SCGIM_DATA_DIR"])] if os.environ.get("SCGIM_DATA_DIR") else []
    places.append(HERE.parents[1] / "shared" / "data")
    for place in places:
        if (place / folder / name).is_file():
            return place / folder / name
    raise SystemExit(
        f"{folder}/{name} is in none of {[str(p) for p in places]}; set SCGIM_DATA_DIR to the folder of {folder}."
    )


def record(path: Path, keys: dict[str, object], table: pd.DataFrame, made_by: str) -> None:
    """Append rows under their keys, which become the first columns, with the versions that made them."""
    append(path, pd.concat([pd.DataFrame(keys, index=table.index), table], axis=1).assign(versions=made_by))


def cases(**values: Iterable[object]) -> list[dict[str, object]]:
    """All combinations; the last value changes first."""
    return [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]


def complete(
    arguments: argparse.Namespace,
    name: str,
    script: str,
    cases: list[dict[str, object]],
    score: Callable[..., pd.DataFrame | dict[str, float]],
) -> Path:
    """The file of the rows, to which ``score(**case)``, a row or a table, is added of each case that is not there yet."""

    def make(path: Path) -> None:
        quiet()
        made_by = versions()
        for case in cases:
            if tuple(case.values()) not in finished(path, list(case)):
                values = score(**case)
                table = values if isinstance(values, pd.DataFrame) else pd.DataFrame([values])
                record(path, case, table, made_by)
                print(*case.values(), flush=True)
                print(table.round(3).to_string(index=False), flush=True)

    return rows_of(arguments, name, script, make)


def log_normalise(counts: object) -> np.ndarray:
    """Counts to the median total of the cells, then log(1 + x), (n, G)."""
    x = np.asarray(counts.toarray() if hasattr(counts, "toarray") else counts, dtype=float)
    total = np.maximum(x.sum(axis=1, keepdims=True), 1)
    return np.log1p(x / total * np.median(total)).astype(np.float32)


def rows_of(arguments: argparse.Namespace, name: str, script: str, make: Callable[[Path], None]) -> Path:
    """The file of the rows, to which `make` adds those that are missing, unless the command asks for tables alone."""
    path = Path(arguments.out) / name
    if arguments.summary:
        need(path, script)
    else:
        make(path)
    return path


def keep(table: pd.DataFrame, path: Path, *, unseen: tuple[str, ...] = ()) -> None:
    """Write a table that the documentation shows, and show it here without the columns `unseen`."""
    table.to_csv(path, index=False, float_format="%.4g", lineterminator="\n")
    print(table.drop(columns=list(unseen)).round(3).to_string())


def summarise(runs: Path, by: list[str], path: Path, order: list[str], how: str = "mean") -> pd.DataFrame:
    """Average over everything but `by` and the method; one column a metric; methods in the given order."""
    table = read(runs)
    wide = table.groupby([*by, "method", "metric"], sort=False)["value"].agg(how).unstack("metric").reset_index()
    place = {name: i for i, name in enumerate(order)}
    wide = wide.sort_values([*by, "method"], key=lambda c: c.map(place) if c.name == "method" else c)
    wide.columns.name = None
    wide.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    return wide
