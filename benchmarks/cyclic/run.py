"""Linear systems with feedback: a model with cycles beside the search over orders.

    python benchmarks/cyclic/run.py

12 genes with two edges that close cycles, 30 drugs at 2 of 4 doses with 50 cells a context, five seeds. The same cells are fitted
with ``structure="cyclic"`` and with the default, which has no cycles. New doses are scored against the exact means. Then the
averages over seeds.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import argparse
import time
from functools import partial
from typing import Any

import _real
import numpy as np
import pandas as pd

HERE = Path(__file__).parent
METHODS = ("cyclic", "search", "control")
DOSES, NEW_DOSES = ((0.5, 1.5), (1.0, 2.0)), (0.75, 1.25, 1.75)
"""Two doses a drug, by turns, so that all drugs together tell the form of the dose response; and the doses to predict."""
SIZE = {"n_genes": 12, "n_drugs": 30, "n_control": 800, "n_cells": 50}
QUICK = {"n_genes": 5, "n_drugs": 10, "n_control": 300, "n_cells": 40}
RADIUS = 0.8
"""Largest spectral radius of the coefficients: below 1 the feedback settles."""


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    return _real.parsed(_real.command(__doc__, seeds=5, quick="tiny systems", method=METHODS), argv, HERE)


def coefficients(n_genes: int, rng: np.random.Generator, n_cycles: int = 2) -> np.ndarray:
    """Stable coefficients (G, G): a random order with 1.5 edges a gene, and `n_cycles` edges from a descendant back."""
    order, graph = rng.permutation(n_genes), np.zeros((n_genes, n_genes), dtype=bool)
    while True:
        graph[np.ix_(order, order)] = np.triu(rng.random(graph.shape) < 3.0 / (n_genes - 1), 1)
        reached = np.linalg.matrix_power(np.eye(n_genes) + graph, n_genes) > 0
        back = np.argwhere(reached & ~np.eye(n_genes, dtype=bool))  # ancestor, descendant
        if len(back) >= n_cycles:
            break
    for ancestor, descendant in rng.permutation(back)[:n_cycles]:
        graph[descendant, ancestor] = True
    weights = graph * rng.uniform(0.5, 1.0, graph.shape) * rng.choice([-1.0, 1.0], graph.shape)
    radius = np.abs(np.linalg.eigvals(weights)).max()
    return weights * min(1.0, RADIUS / radius)


def simulate(seed: int, n_genes: int, n_drugs: int, n_control: int, n_cells: int) -> tuple[Any, dict[str, Any]]:
    """Training cells and the truth: cells solve ``x = x A + b + shift + noise``."""
    import anndata

    rng = np.random.default_rng(seed)
    weights = coefficients(n_genes, rng)
    effect = rng.uniform(2, 6, (n_drugs, n_genes)) * rng.choice([-1.0, 1.0], (n_drugs, n_genes))
    for row in effect:
        row[rng.permutation(n_genes)[rng.integers(1, 4) :]] = 0  # one to three targets
    baseline, sd = rng.uniform(-1, 1, n_genes), np.exp(rng.uniform(-0.7, 0.3, n_genes))
    tables, shift = {}, {}
    for name, doses in (("train", DOSES), ("new", (NEW_DOSES,))):
        pairs = [(d, dose) for d in range(n_drugs) for dose in doses[d % len(doses)]]
        drug, dose = np.array(pairs).T
        shift[name] = effect[drug.astype(int)] / (1 + (0.75 / dose[:, None]) ** 4)
        tables[name] = pd.DataFrame({"drug": [f"drug{d:.0f}" for d in drug], "dose": dose})
    solve = np.linalg.inv(np.eye(n_genes) - weights)
    context = np.repeat(np.arange(len(tables["train"]) + 1), [n_control, *[n_cells] * len(tables["train"])])
    pushed = np.vstack([np.zeros((1, n_genes)), shift["train"]])[context]
    x = (baseline + pushed + sd * rng.normal(size=pushed.shape)) @ solve
    obs = pd.concat([pd.DataFrame({"drug": ["control"], "dose": [0.0]}), tables["train"]]).iloc[context]
    obs.index = [f"cell{i}" for i in range(len(x))]
    adata = anndata.AnnData(x.astype(np.float32), obs=obs.astype({"drug": "category"}))
    adata.var_names = [f"gene{j}" for j in range(n_genes)]
    means = {"control": baseline @ solve, "new": (baseline + shift["new"]) @ solve}
    return adata, {"weights": weights, "tables": tables, "targets": shift["train"] != 0, "means": means}


def score(method: str, seed: int, *, quick: bool) -> pd.DataFrame:
    """One row a metric."""
    import scgim

    adata, truth = simulate(seed, **(QUICK if quick else SIZE))
    new = truth["means"]["new"]  # (M, G)
    values = {}
    if method == "control":
        predicted = np.broadcast_to(truth["means"]["control"], new.shape)
    else:
        keys = {"perturbation_key": "drug", "dose_key": "dose", "control": "control"}
        began = time.process_time()
        model = scgim.tl.fit(adata, **keys, structure=method, rng=seed, accelerator="cpu", progress=False)
        seconds = time.process_time() - began
        weights, _ = (matrix.toarray() for matrix in model.get_graph())
        table = model.get_targets(truth["tables"]["train"])
        probability = table["probability"].to_numpy(float).reshape(truth["targets"].shape)
        values["edge_f1"] = scgim.metrics.edge_f1(truth["weights"] != 0, weights)
        values["target_f1"] = scgim.metrics.target_f1(truth["targets"], probability)
        values["seconds"] = seconds
        predicted = model.predict_mean(truth["tables"]["new"]).to_numpy(float)
    values["mean_distance_new_doses"] = float(np.linalg.norm(predicted - new, axis=1).mean())
    return pd.DataFrame({"metric": list(values), "value": list(values.values())})


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    cases = _real.cases(seed=arguments.seeds, method=arguments.method)
    path = _real.complete(arguments, "seeds.csv", __file__, cases, partial(score, quick=arguments.quick))
    wide = _real.summarise(path, [], arguments.tables / "average.csv", list(METHODS))
    print(wide.round(3).to_string())


if __name__ == "__main__":
    main()
