"""Fewer data, same defaults: fewer drugs, fewer cells a context, fewer control cells.

    python benchmarks/protocol/degradation.py --seeds 0 1 2

The targets of scgim stand beside the ranking of genes by their mean shift. Rows are added to ``degradation.csv``; what is
there already is not run again (``--again`` runs it again). Then the table ``degradation_medians`` is made, and its picture in --out.
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

import _pictures
import _store
import _systems
from run import one

KEYS = ["system", "varied", "amount", "seed", "method"]
AMOUNTS = {"n_drugs": (10, 20, 40), "n_cells": (10, 25, 50), "n_control": (80, 250, 800)}
SHOWN = [
    "edge_f1",
    "target_f1",
    "target_ap",
    "mean_distance_new_doses",
    "mean_distance_new_drugs",
    "warned_of_features",
]


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = _store.command(__doc__, seeds=3, quick="tiny systems")
    parser.add_argument("--system", default="er-linear-shift-principal_components")
    parser.add_argument("--method", nargs="+", default=["mean_shift", "control", "ridge", "gp", "scgim"])
    parser.add_argument("--vary", nargs="+", choices=sorted(AMOUNTS), default=list(AMOUNTS))
    parser.add_argument("--fewest", action="store_true", help="only the smallest amount of each")
    parser.add_argument("--again", action="store_true", help="replace what is in the table already")
    return _store.parsed(parser, argv, Path(__file__).parent)


def make_rows(arguments: argparse.Namespace, path: Path) -> None:
    """Add to the rows what is not among them yet."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    done, made_by = set() if arguments.again else _store.finished(path, KEYS), _store.versions()
    for seed in arguments.seeds:
        for varied in arguments.vary:
            for amount in AMOUNTS[varied][: 1 if arguments.fewest else None]:
                keys = {"system": arguments.system, "varied": varied, "amount": amount, "seed": seed}
                todo = [name for name in arguments.method if (*keys.values(), name) not in done]
                if not todo:
                    continue
                few = {"n_test_cells": 100} | {varied: amount}  # the floor of the distances does not matter here
                case = _systems.simulate(arguments.system, seed, quick=arguments.quick, **few)
                for name in todo:
                    values, _ = one(case, name)
                    if arguments.again:
                        _store.drop(path, keys | {"method": name})
                    _store.append(path, _store.rows(keys | {"method": name}, values, made_by))
                    text = "  ".join(f"{k} {values[k]:.3g}" for k in (*SHOWN, "failed") if k in values)
                    print(f"{varied} {amount} seed {seed} {name}: {text}", flush=True)


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    path = arguments.out / "degradation.csv"
    if arguments.summary:
        _store.need(path, __file__)
    else:
        make_rows(arguments, path)
    runs = _store.read(path)
    shown = runs[runs["metric"].isin(SHOWN) & ((runs["metric"] != "warned_of_features") | (runs["method"] == "scgim"))]
    table = shown.groupby([*KEYS[:3], "method", "metric"])["value"].median().unstack()
    table = table.reindex(columns=[name for name in SHOWN if name in table]).reset_index()
    table.to_csv(arguments.tables / "degradation_medians.csv", index=False, float_format="%.4g", lineterminator="\n")
    part = runs[runs["system"] == arguments.system]
    print(*_pictures.save(_pictures.degradation(part), "degradation_medians", arguments.out, arguments.out))


if __name__ == "__main__":
    main()
