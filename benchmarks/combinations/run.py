"""Pairs of drugs: trained on the single drugs and 30 % of 60 pairs, tested on the other pairs, five seeds.

    python benchmarks/combinations/run.py

Systems are those of the protocol (20 genes, 40 drugs at 4 doses, 50 cells a context, shifts; see
``scgim.datasets.simulate``), with 60 pairs, each at one random dose of both drugs. ``additive_baseline`` adds up the
measured changes of the two drugs at these doses, and uses the training pairs too (least squares).
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import argparse
import time
from functools import partial

import _real
import numpy as np
import pandas as pd

HERE = Path(__file__).parent
METRICS = ("mean_distance", "pearson_mean_change", "energy_distance")
SYSTEMS = {"linear": {"mechanism": "linear"}, "neural": {"mechanism": "neural"}}
METHODS = {"scgim": {"mechanism": "linear"}, "scgim_additive_mechanisms": {"mechanism": "additive"}}
ORDER = [*METHODS, "additive_baseline", "ridge", "knn", "training_mean", "control", "floor"]


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    return _real.parsed(_real.command(__doc__, seeds=5, quick="tiny systems", system=SYSTEMS), argv, HERE)


def simulate(system: str, seed: int, *, quick: bool):
    """Training cells without the truth, and cells of the other pairs."""
    import scgim

    size = {"n_genes": 6, "n_drugs": 6, "n_pairs": 6, "n_test_cells": 60} if quick else {"n_pairs": 60}
    adata = scgim.datasets.simulate(**SYSTEMS[system], **size, new_doses=(), n_new_drugs=0, rng=seed)
    for slot in (adata.uns, adata.obsm):
        slot.clear()
    train, test = (adata[(adata.obs["split"] == split).to_numpy()].copy() for split in ("train", "new_pair"))
    return train, test


def floor(system: str, seed: int, *, quick: bool) -> pd.DataFrame:
    """What the true means would score: half of the test cells of a pair against the other half, on the scale of all."""
    test = simulate(system, seed, quick=quick)[1]
    x, context = np.asarray(test.X, dtype=float), test.obs["context"].to_numpy()
    value = []
    for k in np.unique(context):
        cells = x[context == k]
        value.append(np.linalg.norm(cells[::2].mean(axis=0) - cells[1::2].mean(axis=0)) / 2)
    return pd.DataFrame({"method": "floor", "metric": "mean_distance", "value": [float(np.mean(value))]})


def score(system: str, seed: int, *, quick: bool) -> pd.DataFrame:
    """Averages over the pairs, one row a method and metric."""
    import scgim

    parts = [floor(system, seed, quick=quick)]
    for name, settings in METHODS.items():
        if system == "linear" and name != "scgim":
            continue
        train, test = simulate(system, seed, quick=quick)
        start = time.process_time()
        model = scgim.tl.fit(
            train,
            perturbation_key=["drug_1", "drug_2"],
            dose_key=["dose_1", "dose_2"],
            control="control",
            progress=False,
            accelerator="cpu",
            **settings,
        )
        seconds = time.process_time() - start
        others = ("control", "training_mean", "ridge", "knn", "additive") if name == "scgim" else ()
        table = scgim.tl.evaluate(model, test, metrics=METRICS, baselines=others)
        table = table.replace({"method": {"gim": name, "additive": "additive_baseline"}})
        parts.append(table.groupby(["method", "metric"], sort=False)["value"].mean().reset_index())
        parts.append(pd.DataFrame({"method": [name], "metric": ["seconds"], "value": [seconds]}))
    return pd.concat(parts, ignore_index=True)


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    cases = _real.cases(system=arguments.system, seed=arguments.seeds)
    path = _real.complete(arguments, "seeds.csv", __file__, cases, partial(score, quick=arguments.quick))
    wide = _real.summarise(path, ["system"], arguments.tables / "median.csv", ORDER, "median")
    base = wide[wide["method"] == "additive_baseline"].set_index("system")["mean_distance"]
    wide.insert(3, "ratio_to_additive_baseline", wide["mean_distance"] / wide["system"].map(base).to_numpy())
    wide.to_csv(arguments.tables / "median.csv", index=False, float_format="%.6g", lineterminator="\n")
    print(wide.round(3).to_string())


if __name__ == "__main__":
    main()
