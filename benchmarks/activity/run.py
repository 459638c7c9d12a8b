"""Drugs that change the activity of genes, with and without a drift of every gene: are the targets found?

    python benchmarks/activity/run.py

Linear systems of 20 genes and 20 inhibitors at 4 doses, 50 cells a context (``scgim.datasets.simulate`` with
``intervention="activity"``), five seeds; ``background_sd`` is the standard deviation of a shift of every gene in every perturbed
context, in those of the gene. The same cells are fitted with ``activity``, ``auto`` and the default ``shift``.
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
METHODS = ("activity", "auto", "shift")
BACKGROUNDS = (0.0, 0.2)


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    return _real.parsed(_real.command(__doc__, seeds=5, quick="tiny systems", method=METHODS), argv, HERE)


def score(method: str, background_sd: float, seed: int, *, quick: bool) -> pd.DataFrame:
    """One row a metric."""
    import scgim

    size = {"n_genes": 6, "n_drugs": 4, "n_control": 200} if quick else {"n_genes": 20, "n_drugs": 20}
    adata = scgim.datasets.simulate(
        **size, intervention="activity", new_doses=(), n_new_drugs=0, background_sd=background_sd, rng=seed
    )
    truth = adata.uns["truth"]
    for slot in (adata.uns, adata.obsm):
        slot.clear()
    start = time.process_time()
    model = scgim.tl.fit(
        adata,
        perturbation_key="drug",
        dose_key="dose",
        control="control",
        intervention=method,
        progress=False,
        accelerator="cpu",
    )
    seconds = time.process_time() - start
    contexts = truth["contexts"].reset_index(drop=True)
    perturbed = contexts["drug"].astype(str) != "control"
    table = model.get_targets(contexts.loc[perturbed, ["drug", "dose"]].reset_index(drop=True))
    probability = table["probability"].to_numpy().reshape(-1, adata.n_vars)  # (K, G)
    graph = scgim.get.graph(adata)
    edges = np.array([[graph.has_edge(i, j) for j in adata.var_names] for i in adata.var_names])
    values = {
        "target_f1": scgim.metrics.target_f1(np.asarray(truth["targets"])[perturbed.to_numpy()], probability),
        "edge_f1": scgim.metrics.edge_f1(truth["graph"], edges),
        "seconds": seconds,
    }
    return pd.DataFrame({"metric": list(values), "value": list(values.values())})


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    cases = _real.cases(background_sd=BACKGROUNDS, seed=arguments.seeds, method=arguments.method)
    path = _real.complete(arguments, "seeds.csv", __file__, cases, partial(score, quick=arguments.quick))
    wide = _real.summarise(path, ["background_sd"], arguments.tables / "median.csv", list(METHODS), "median")
    print(wide.round(3).to_string())


if __name__ == "__main__":
    main()
