"""Drugs fitted one at a time, with many cells: are small shifts of other genes called, which are certain?

    python benchmarks/targets/alone.py

Systems of ``faults.py``, 1,000 cells of each of eight drugs and 5,000 controls. Beside its targets each drug moves every seventh gene or so by 0.1
standard deviations.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import argparse
from typing import Any

import _judge
import _real
import faults
import numpy as np
import pandas as pd

HERE = Path(__file__).parent
ROWS = "alone_seeds.csv"
SURE = 0.9
SHARE, DRIFT = 0.15, 0.1
SIZES: dict[str, dict[str, Any]] = {"usual": {}, "weak": {"effect_size": (0.3, 1.0)}}


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = _real.command(__doc__, quick="two drugs of few cells", size=SIZES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101, 102, 103, 104])
    return _real.parsed(parser, argv, HERE)


def score(size: str, seed: int, *, quick: bool) -> dict[str, float]:
    """Calls over all drugs, and those that are targets."""
    import scgim

    cells = (
        {"n_cells": 30, "n_control": 60, "n_drugs": 2} if quick else {"n_cells": 1000, "n_control": 5000, "n_drugs": 8}
    )
    adata = scgim.datasets.simulate(**faults.BASE | {"doses": (2.0,)} | cells | SIZES[size], features="noise", rng=seed)
    truth, drug = adata.uns["truth"], adata.obs["drug"].astype(str).to_numpy()
    x, rng = np.array(adata.X, float), np.random.default_rng(1000 + seed)
    unit = x[drug == "control"].std(axis=0)
    for name in truth["drugs"]:
        moved = rng.random(x.shape[1]) < SHARE
        x[drug == name] += moved * rng.choice([-1, 1], x.shape[1]) * DRIFT * unit
    adata.X = x.astype(np.float32)
    told, out = faults.without_truth(adata), {"targets": 0, "calls": 0, "true_calls": 0, "seconds": 0.0}
    for name, effect in zip(truth["drugs"], np.asarray(truth["drug_effect"]), strict=True):
        one = told[np.isin(drug, ["control", str(name)])].copy()
        one.obs["drug"] = one.obs["drug"].astype(str).astype("category")
        table, seconds = _judge.fit(one, perturbation_key="drug", control="control", dose_key="dose")
        table = _judge.by_drug(table).set_index("gene").loc[list(told.var_names)]
        called = (table["probability"] > SURE).to_numpy()
        counts = {"targets": effect != 0, "calls": called, "true_calls": called & (effect != 0)}
        out = {key: out[key] + float(np.sum(counts.get(key, seconds))) for key in out}
    return out


def summarise(path: Path) -> pd.DataFrame:
    """Sums over seeds, and the shares that they give."""
    rows = _real.read(path)
    total = rows.groupby("size", sort=False).sum(numeric_only=True)
    table = pd.DataFrame({"seeds": rows.groupby("size", sort=False)["seed"].nunique(), "targets": total["targets"]})
    table[f"calls_{SURE}"], table[f"true_{SURE}"], table[f"found_{SURE}"] = _judge.shares(total)
    table["seconds"] = total["seconds"]
    return table.reset_index()


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    cases = _real.cases(size=arguments.size, seed=arguments.seeds)
    one = partial(score, quick=arguments.quick)
    path = _real.complete(arguments, ROWS, __file__, cases, one)
    _real.keep(summarise(path), arguments.tables / "alone.csv")


if __name__ == "__main__":
    main()
