"""Measurements in processes of their own, scaling exponents and tables."""

import csv
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

TABLES = Path(__file__).parent / "tables"
MARK = "RESULT "
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    if not (_name.startswith("NUMBA") and "numba" in sys.modules):  # which refuses another number once it runs
        os.environ.setdefault(_name, "1")


def peak_mb() -> float:
    """Largest resident memory of this process so far, in MB; the children's where they held more."""
    each = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return max(each) / (1024 if sys.platform != "darwin" else 1024**2)


def tell(row: dict[str, Any]) -> None:
    """Hand a measurement to the process that asked for it."""
    print(MARK + json.dumps(row), flush=True)


def measure(script: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Run `script --NAME VALUE ...` in a fresh process; what it told."""
    command = [sys.executable, script]
    for name, value in arguments.items():
        command += [f"--{name}", str(value)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if done.returncode or not lines:
        raise SystemExit(
            f"{' '.join(command)}\nended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        )
    return json.loads(lines[-1][len(MARK) :])


def versions() -> dict[str, str]:
    """Versions and threads that a row was measured with."""
    import scipy

    import scgim

    threads = os.environ["OMP_NUM_THREADS"]
    return {"scgim": scgim.__version__, "numpy": np.__version__, "scipy": scipy.__version__, "threads": threads}


def write(name: str, rows: list[dict[str, Any]]) -> Path:
    """A table in ``tables``; columns in the order in which they first appear."""
    TABLES.mkdir(exist_ok=True)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    path = TABLES / f"{name}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in row.items()})
    return path


def exponent(size: list[float], value: list[float]) -> float:
    """Slope of log value over log size; NaN with fewer than two sizes or a value that is not positive."""
    x, y = np.asarray(size, float), np.asarray(value, float)
    keep = (x > 0) & (y > 0)
    if len(np.unique(x[keep])) < 2:
        return float("nan")
    return float(np.polyfit(np.log(x[keep]), np.log(y[keep]), 1)[0])


def show(rows: list[dict[str, Any]]) -> None:
    """The table, to the terminal."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    print("  ".join(columns))
    for row in rows:
        values = (row.get(c, "") for c in columns)
        print("  ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in values))
