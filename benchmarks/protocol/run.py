"""The published experiment: every system, method and seed, one long table.

    python benchmarks/protocol/run.py --seeds 0 1 2 3 4
    python benchmarks/protocol/run.py --system "er-linear-shift-*" --method scgim gp --seeds 0
    python benchmarks/protocol/run.py --quick --out quick

What is in the table already is not run again (``--again`` runs it again), so an interrupted command continues. Then
``python benchmarks/protocol/summary.py`` makes the tables and pictures. Systems are named ``graph-mechanism-intervention-
features``; ``seconds`` is processor time of this process, which on a shared machine says more than ``wall_seconds``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # before numpy
    os.environ.setdefault(_name, "1")
sys.path.insert(0, str(Path(__file__).parent))

import argparse
import logging
import time
import traceback
import warnings

import _methods
import _store
import _systems
import pandas as pd

HERE = Path(__file__).parent
KEYS = ["system", "seed", "method"]
SLOW = ("published", "scgim_no_features", "bacadi_style")  # the same on all features: only run on the first


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = _store.command(__doc__, seeds=5, quick="tiny systems")
    parser.add_argument("--system", nargs="+", default=["*"], help="patterns, such as 'er-*-shift-*'")
    parser.add_argument("--method", nargs="+", help="only these, see _methods.py")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--again", action="store_true", help="replace what is in the table already")
    return parser.parse_args(argv)


def jobs(arguments: argparse.Namespace) -> list[tuple[str, int, str]]:
    """What is to be run: system, seed and method, those of one system and seed together."""
    out = []
    for system in _systems.systems(arguments.system):
        known = _methods.methods(system)
        unknown = set(arguments.method or ()) - set(_methods.ALL)
        if unknown:
            raise SystemExit(f"--method: unknown {sorted(unknown)}; expected some of {', '.join(_methods.ALL)}")
        names = [name for name in known if not arguments.method or name in arguments.method]
        if not system.endswith(_systems.AXES[-1][0]):
            names = [name for name in names if name not in SLOW]
        out += [(system, seed, name) for seed in arguments.seeds for name in names]
    return out


def one(case: _systems.Case, name: str) -> tuple[dict[str, float], list[pd.DataFrame]]:
    """A method on a system; a failure is a result too."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            values, tables = _methods.methods(case.name)[name](case)
        said = any("features" in str(w.message) and "predict" in str(w.message) for w in caught)
        return values | {"failed": 0.0, "warned_of_features": float(said)}, tables
    except Exception:  # noqa: BLE001 - the other methods go on; the table says that this one failed
        traceback.print_exc()
        return {"failed": 1.0}, []


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    runs, reliability = arguments.out / _store.RUNS, arguments.out / _store.RELIABILITY
    done = set() if arguments.again else _store.finished(runs, KEYS)
    todo = [job for job in jobs(arguments) if job not in done]
    print(f"{len(todo)} of {len(jobs(arguments))} runs to do, into {arguments.out}", flush=True)
    if not todo:
        return
    made_by, case, began = _store.versions(), None, time.perf_counter()
    for place, (system, seed, name) in enumerate(todo, 1):
        if case is None or (case.name, case.seed) != (system, seed):
            case = _systems.simulate(system, seed, quick=arguments.quick)
        values, tables = one(case, name)
        keys = {"system": system, "seed": seed, "method": name}
        if arguments.again:
            for path in (runs, reliability):
                _store.drop(path, keys)
        for table in tables:
            for column, (key, value) in enumerate(keys.items()):
                table.insert(column, key, value)
            _store.append(reliability, table)
        _store.append(runs, _store.rows(keys, values, made_by))
        shown = (
            "edge_f1",
            "shd",
            "target_f1",
            "mean_distance_new_doses",
            "mean_distance_new_drugs",
            "seconds",
            "failed",
        )
        text = "  ".join(f"{k} {values[k]:.3g}" for k in shown if k in values and (k != "failed" or values[k]))
        minutes = (time.perf_counter() - began) / 60
        print(f"[{place}/{len(todo)} {minutes:.1f} min] {system} seed {seed} {name}: {text}", flush=True)


if __name__ == "__main__":
    main()
