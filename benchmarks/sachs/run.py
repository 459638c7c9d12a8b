"""Sachs et al. 2005: is the intended target of each of seven drugs ranked first, and is the consensus graph found?

    python benchmarks/sachs/run.py

Logarithms of 11 proteins, conditions 1 and 2 as control, everything else at the defaults of ``scgim.tl.fit``, with and without
the consensus graph as prior: ``mask`` allows its 18 edges only, ``probability`` gives each of them 0.9. What is in
``settings.csv`` already is not run again.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import argparse
import time
import warnings

import _real
import numpy as np
import pandas as pd

HERE = Path(__file__).parent
MECHANISMS = ("linear", "additive", "neural")
KINDS = ("shift", "hard", "activity", "auto")
PRIORS = ("none", "probability", "mask")
KEYS = ["mechanism", "intervention", "prior"]


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = _real.command(__doc__, mechanism=MECHANISMS, intervention=KINDS, prior=PRIORS)
    parser.add_argument(
        "--out", type=Path, default=HERE / "tables", help="folder of the table (default: tables beside the script)"
    )
    return parser.parse_args(argv)


def intended(adata) -> pd.Series:
    """Intended target of each drug, in the order of the conditions."""
    table = adata.obs.drop_duplicates("drug").set_index("drug")["target"].astype(str)
    return table.drop("none")


def reciprocal(ranks: list[int]) -> float:
    return float(np.mean(1 / np.array(ranks)))


def mean_shift(adata) -> dict[str, object]:
    """Proteins by their change of mean, in standard errors."""
    x, drug = np.asarray(adata.X, float), adata.obs["drug"].astype(str).to_numpy()
    control, out = x[drug == "none"], []
    for name, target in intended(adata).items():
        cells = x[drug == name]
        error = np.sqrt(control.var(axis=0) / len(control) + cells.var(axis=0) / len(cells))
        order = np.argsort(-np.abs(cells.mean(axis=0) - control.mean(axis=0)) / error, kind="stable")
        out.append(1 + int(np.flatnonzero(adata.var_names[order] == target)[0]))
    return {"ranks": " ".join(map(str, out)), "mean_reciprocal_rank": reciprocal(out)}


def prior_of(adata, name: str) -> dict[str, object]:
    edges = adata.uns["consensus_edges"]
    return {"none": {}, "mask": {"graph_prior": edges}, "probability": {"graph_prior": edges.assign(probability=0.9)}}[
        name
    ]


def score(mechanism: str, intervention: str, prior: str) -> dict[str, object]:
    """One row of the table."""
    import scgim

    adata = scgim.datasets.sachs()
    settings = {"mechanism": mechanism, "intervention": intervention, **prior_of(adata, prior)}
    start = time.process_time()
    model = scgim.tl.fit(adata, perturbation_key="drug", control="none", progress=False, accelerator="cpu", **settings)
    seconds = time.process_time() - start
    table = model.get_targets()
    ranks = [
        int(table.loc[(table["drug"] == drug) & (table["gene"] == target), "rank"].iloc[0])
        for drug, target in intended(adata).items()
    ]
    weights = scgim.get.graph(adata)
    found = {(str(i), str(j)) for i, j in weights.edges}
    truth = set(adata.uns["consensus_edges"][["source", "target"]].itertuples(index=False, name=None))
    names = list(adata.var_names)
    matrices = [np.array([[(i, j) in edges for j in names] for i in names]) for edges in (truth, found)]
    return {
        "ranks": " ".join(map(str, ranks)),
        "mean_reciprocal_rank": reciprocal(ranks),
        "targets_a_drug": float((table["probability"] > 0.5).sum() / len(ranks)),
        "edges": len(found),
        "in_consensus": len(found & truth),
        "reversed": len({(j, i) for i, j in found} & truth),
        "shd": scgim.metrics.structural_hamming_distance(*matrices),
        "seconds": seconds,
    }


def main(argv: list[str] | None = None) -> None:
    import scgim

    arguments = parse(argv)
    _real.quiet()
    path = arguments.out / "settings.csv"
    made_by = " ".join(_real.versions().split()[2:5])  # scgim and its commit; the README names the rest once
    done = _real.finished(path, KEYS)
    if ("mean shift", "none", "none") not in done:
        row = dict(zip(KEYS, ("mean shift", "none", "none"), strict=True)) | mean_shift(scgim.datasets.sachs())
        columns = ("targets_a_drug", "edges", "in_consensus", "reversed", "shd", "seconds")
        _real.append(path, pd.DataFrame([row | dict.fromkeys(columns, np.nan)]).assign(versions=made_by))
    for mechanism in arguments.mechanism:
        for intervention in arguments.intervention:
            for prior in arguments.prior:
                if (mechanism, intervention, prior) in done:
                    continue
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    row = dict(zip(KEYS, (mechanism, intervention, prior), strict=True))
                    row |= score(mechanism, intervention, prior)
                _real.append(path, pd.DataFrame([row]).assign(versions=made_by))
                print(row, flush=True)


if __name__ == "__main__":
    main()
