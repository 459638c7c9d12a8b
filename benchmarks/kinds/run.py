"""Drugs that shift and drugs that inhibit in one screen: what weighing both kinds finds, and what it costs.

    python benchmarks/kinds/run.py

``mixed``: 11 genes, four drugs that shift one gene and four that inhibit one, on the same system, each in one context of 800 cells, beside
1,600 controls. ``shifts``: 20 genes and 40 drugs that shift one to three, each in one context of 200 cells. ``doses``: the published protocol's
shift systems (40 drugs at 4 doses, features), where new doses and drugs are predicted. Mechanisms are linear or neural, and fitted as linear ones.
``background_sd`` is the standard deviation of a shift of every gene in every perturbed context. ``reciprocal_rank`` ranks each target among the
genes that are no targets of the drug, so that 1 is best whatever the number of targets.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import argparse
import time
import warnings
from functools import partial
from typing import Any

import _real
import numpy as np
import pandas as pd

HERE = Path(__file__).parent
KEYS = {"perturbation_key": "drug", "control": "control"}
METHODS = ("auto", "shift")
SURE = 0.9
SCREENS = {"mixed": (0.0, 0.3, 0.7), "shifts": (0.0, 0.3), "doses": (0.0,)}
ONE_DOSE: dict[str, Any] = {"doses": (1.5,), "new_doses": (), "n_new_drugs": 0}
SIZES: dict[str, dict[str, Any]] = {
    "mixed": {"n_genes": 11, "n_drugs": 4, "edges_per_gene": 1.6, "max_targets": 1, "n_control": 1600, "n_cells": 800},
    "shifts": {"n_genes": 20, "n_drugs": 40, "n_control": 800, "n_cells": 200},
    "doses": {},
}
QUICK = {"n_genes": 5, "n_drugs": 3, "n_control": 150, "n_cells": 40}


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    return _real.parsed(_real.command(__doc__, seeds=5, quick="tiny systems", screen=SCREENS), argv, HERE)


def simulate(screen: str, mechanism: str, background: float, seed: int, *, quick: bool):
    """Cells without the truth, true targets of each drug by its kind, and the graph."""
    import anndata

    import scgim

    size = SIZES[screen] | (QUICK if quick else {}) | {"mechanism": mechanism, "background_sd": background, "rng": seed}
    parts, targets, graph = [], {}, None
    for kind in ("shift", "activity") if screen == "mixed" else ("shift",):
        one = scgim.datasets.simulate(**size, **ONE_DOSE, intervention=kind)
        truth = one.uns["truth"]
        if graph is not None and not np.array_equal(graph, truth["graph"]):
            raise SystemExit("the kinds were simulated on different systems")
        graph = truth["graph"]
        targets |= {f"{kind}_{d}": (kind, e != 0) for d, e in zip(truth["drugs"], truth["drug_effect"], strict=True)}
        one.obs["drug"] = [d if d == "control" else f"{kind}_{d}" for d in one.obs["drug"].astype(str)]
        one.obs_names = kind + "_" + one.obs_names
        for slot in (one.uns, one.obsm):
            slot.clear()
        parts.append(one[(one.obs["drug"] != "control").to_numpy() | (kind == "shift")])
    return anndata.concat(parts), targets, graph


def among_others(rank: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Ranks from 1 on, (D, G), with the drug's other targets taken out: 1 where no gene that is no target stands before."""
    before = (rank[:, None, :] < rank[:, :, None]) & true[:, None, :]  # (D, G, G): the last a target before the other
    return rank - before.sum(-1)


def score_targets(screen: str, mechanism: str, background: float, seed: int, method: str, *, quick: bool):
    """Ranks and F1 of targets by the kind of the drug, and the graph."""
    import scgim

    adata, targets, graph = simulate(screen, mechanism, background, seed, quick=quick)
    start = time.process_time()
    model = scgim.tl.fit(adata, **KEYS, intervention=method, progress=False, accelerator="cpu")
    values = {"seconds": time.process_time() - start}
    table = model.get_targets().astype({"drug": str, "gene": str})
    drugs, true = list(targets), np.stack([hit for _, hit in targets.values()])
    kind = np.array([kind for kind, _ in targets.values()])
    rank, probability = (
        table.pivot(index="drug", columns="gene", values=name).loc[drugs, model.genes].to_numpy(float)
        for name in ("rank", "probability")
    )
    for name in sorted(set(kind)):
        of_kind = true & (kind == name)[:, None]
        found = (probability > 0.5) & (kind == name)[:, None]
        values[f"reciprocal_rank_{name}"] = float((1 / among_others(rank, true)[of_kind]).mean())
        values[f"target_f1_{name}"] = float(2 * (of_kind & found).sum() / (of_kind.sum() + found.sum()))
    called = probability > SURE
    values |= {f"calls_{SURE}": int(called.sum()), f"true_calls_{SURE}": int((called & true).sum())}
    values["edge_f1"] = scgim.metrics.edge_f1(graph, model.get_graph()[0].toarray() != 0)
    return values


def score_doses(mechanism: str, seed: int, method: str, *, quick: bool) -> dict[str, float]:
    """A system of the protocol, as its benchmark scores it."""
    import _methods
    import _systems

    case = _systems.simulate(f"er-{mechanism}-shift-principal_components", seed, quick=quick)
    values, _ = _methods.fitted(case, mechanism="linear", intervention=method, features_key="features")
    kept = ("target_f1", "edge_f1", "mean_distance_new_doses", "mean_distance_new_drugs", "seconds")
    return {"target_f1_shift" if name == "target_f1" else name: values[name] for name in kept}


def score(screen: str, mechanism: str, background_sd: float, seed: int, method: str, *, quick: bool) -> pd.DataFrame:
    """One row a metric."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="features")
        if screen == "doses":
            values = score_doses(mechanism, seed, method, quick=quick)
        else:
            values = score_targets(screen, mechanism, background_sd, seed, method, quick=quick)
    return pd.DataFrame({"metric": list(values), "value": list(values.values())})


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    rest = {"seed": arguments.seeds, "method": METHODS}
    cases = [
        case
        for screen in arguments.screen
        for case in _real.cases(screen=[screen], mechanism=("linear", "neural"), background_sd=SCREENS[screen], **rest)
    ]
    path = _real.complete(arguments, "seeds.csv", __file__, cases, partial(score, quick=arguments.quick))
    by = ["screen", "mechanism", "background_sd"]
    print(_real.summarise(path, by, arguments.tables / "average.csv", list(METHODS)).round(3).to_string())


if __name__ == "__main__":
    main()
