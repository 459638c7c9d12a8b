"""The 188 compounds of sci-Plex 3 through fingerprints: targets follow from the real structures, 30 drugs are held out.

    python benchmarks/drugs188/run.py
    python benchmarks/drugs188/run.py --baselines ridge knn mlp --out FOLDER  # without the Gaussian process, seconds a row

Structures are real (``scgim.pp.fingerprints``), cells are simulated (20 genes, 158 drugs at 4 doses, 50 cells a context;
``scgim.datasets.simulate`` with the table as features). Targets and effects follow by a hidden rule, the same for
all drugs: a random map from the first principal axes of the fingerprints. A second setting draws targets that have
nothing to do with the structures; there the right answer is the average drug.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import argparse
import time
from collections.abc import Sequence
from functools import partial

import _real
import numpy as np
import pandas as pd

HERE = Path(__file__).parent
METRICS = ("mean_distance", "pearson_mean_change")
BASELINES = ("control", "training_mean", "ridge", "knn", "gp", "mlp")
ORDER = ["scgim", "gp", "ridge", "mlp", "knn", "training_mean", "control"]
N_HELD_OUT = 30


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    choices = {"rules": ["structure", "unrelated"], "baselines": BASELINES}
    parser = _real.command(__doc__, seeds=3, quick="few drugs and cells", **choices)
    parser.add_argument("--bits", type=int, default=1024, help="length of the fingerprints")
    return _real.parsed(parser, argv, HERE)


def compounds() -> pd.Series:
    """SMILES by name, 188 of them."""
    path = _real.data_file("sciplex_drugs", "sciplex3_drugs_targets_smiles.csv")
    return pd.read_csv(path).drop_duplicates("product_name").set_index("product_name")["SMILES"]


def simulate(table: pd.DataFrame, rule: str, seed: int, *, quick: bool):
    """Training cells, cells of held-out drugs, and the true targets, (contexts of the test, G)."""
    import scgim

    n_new = 4 if quick else N_HELD_OUT
    size = {"n_genes": 6, "n_control": 100, "n_cells": 20, "n_test_cells": 40} if quick else {"n_test_cells": 200}
    settings = {"n_drugs": len(table) - n_new, "n_new_drugs": n_new, "new_doses": (), "rng": seed}
    adata = scgim.datasets.simulate(features=table, **settings, **size)
    truth = adata.uns.pop("truth")
    if rule == "unrelated":  # every drug gets the structure of another
        features = adata.uns["features"]
        order = np.random.default_rng(seed).permutation(len(features))
        adata.uns["features"] = pd.DataFrame(features.to_numpy()[order], index=features.index, columns=features.columns)
    train, test = (adata[(adata.obs["split"] == split).to_numpy()].copy() for split in ("train", "new_drug"))
    known = train.obs["drug"].unique()
    train.uns["features"] = train.uns["features"].loc[lambda t: t.index.isin(known)]
    return train, test, pd.DataFrame(truth["drug_effect"] != 0, index=truth["drugs"], columns=adata.var_names)


def score(
    table: pd.DataFrame, rule: str, seed: int, *, quick: bool, baselines: Sequence[str] = BASELINES
) -> pd.DataFrame:
    """Averages over the contexts of the held-out drugs, one row a method and metric."""
    import scgim

    train, test, true = simulate(table, rule, seed, quick=quick)
    keys = {"perturbation_key": "drug", "dose_key": "dose", "control": "control", "features_key": "features"}
    start = time.process_time()
    model = scgim.tl.fit(train, **keys, progress=False, accelerator="cpu")
    seconds = time.process_time() - start
    new = sorted(test.obs["drug"].astype(str).unique())
    features = test.uns["features"].loc[new]
    scores = scgim.tl.evaluate(model, test, features=features, metrics=METRICS, baselines=baselines, n_cells=200)
    scores = scores.replace({"method": {"gim": "scgim"}})
    asked = pd.DataFrame({"drug": new, "dose": float(test.obs["dose"].max())})
    called = model.get_targets(asked, features=features).pivot(index="drug", columns="gene", values="probability")
    probability = called.loc[new, true.columns].to_numpy(float)
    known = model.get_targets().query("dose == dose.max()").pivot(index="drug", columns="gene", values="probability")
    extra = {
        "seconds": seconds,
        "target_f1": scgim.metrics.target_f1(true.loc[new].to_numpy(), probability),
        "target_average_precision": scgim.metrics.target_average_precision(true.loc[new].to_numpy(), probability),
        "target_f1_of_training_drugs": scgim.metrics.target_f1(
            true.loc[known.index].to_numpy(), known[list(true.columns)].to_numpy(float)
        ),
    }
    mean = scores.groupby(["method", "metric"], sort=False)["value"].mean().reset_index()
    rows = pd.DataFrame({"method": "scgim", "metric": list(extra), "value": list(extra.values())})
    return pd.concat([mean, rows], ignore_index=True)


def make_rows(arguments: argparse.Namespace, path: Path) -> None:
    """Add to the rows what is not among them yet."""
    import scgim

    _real.quiet()
    smiles = compounds()
    table = scgim.pp.fingerprints(smiles.iloc[:16] if arguments.quick else smiles, n_bits=arguments.bits)
    made_by = _real.versions()
    for seed in arguments.seeds:
        for rule in arguments.rules:
            if (rule, seed) in _real.finished(path, ["rule", "seed"]):
                continue
            scores = score(table, rule, seed, quick=arguments.quick, baselines=arguments.baselines)
            _real.record(path, {"rule": rule, "seed": seed}, scores, made_by)
            shown = scores.set_index(["method", "metric"])["value"].round(3)
            print(rule, seed, shown.xs("mean_distance", level="metric").to_dict(), flush=True)
            print("   ", shown.loc["scgim"].to_dict(), flush=True)


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    path = _real.rows_of(arguments, "seeds.csv", __file__, partial(make_rows, arguments))
    print(_real.summarise(path, ["rule"], arguments.tables / "median.csv", ORDER, "median").round(3).to_string())


if __name__ == "__main__":
    main()
