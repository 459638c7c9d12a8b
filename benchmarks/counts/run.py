"""Raw counts and zero-inflated values: the noise models beside the Gaussian on logarithms, on simulated screens.

    python benchmarks/counts/run.py --seeds 0 1 2
    python benchmarks/counts/run.py --quick --out quick

What is in the table already is not run again. ``seconds`` is processor time of the fit on one thread, after imports.
"""

from __future__ import annotations

import os
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # before numpy
    os.environ.setdefault(_name, "1")

import argparse
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
SCREEN = {"n_genes": 100, "n_drugs": 60, "n_cell_lines": 3, "n_control": 800, "n_cells": 40, "zeros": 0.6}
QUICK = {"n_genes": 10, "n_drugs": 8, "n_cell_lines": 2, "n_control": 100, "n_cells": 20, "zeros": 0.2}
COLUMNS = {
    "perturbation_key": "drug",
    "dose_key": "dose",
    "control": "control",
    "categorical_covariate_keys": ["cell_line"],
}
METHODS = {
    "counts": {
        "poisson_lognormal": {"noise": "poisson_lognormal", "size_factor_key": "size_factor"},
        "poisson_lognormal_library": {"noise": "poisson_lognormal"},
        "gaussian_log1p": {"noise": "gaussian"},
    },
    "zero_inflated_lognormal": {
        "zero_inflated_lognormal": {"noise": "zero_inflated_lognormal"},
        "gaussian_log1p": {"noise": "gaussian"},
    },
}


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--method", nargs="+", help="only these")
    parser.add_argument(
        "--out", type=Path, default=HERE / "tables", help="folder of the tables (default: tables beside the script)"
    )
    parser.add_argument("--quick", action="store_true", help="tiny screens, to see that everything runs")
    return parser.parse_args(argv)


def simulate(data: str, seed: int, *, quick: bool) -> Any:
    """A screen without test contexts; the truth is taken out and returned beside it."""
    from scgim import datasets

    size = QUICK if quick else SCREEN
    nothing = {"new_doses": (), "n_new_drugs": 0, "features": "noise", "n_features": 2}
    adata = datasets.simulate(**size, **nothing, noise=data, rng=seed)
    del adata.layers["latent"]
    return adata, adata.uns.pop("truth")


def log_normalised(adata: Any, data: str) -> Any:
    """Logarithms of one plus the value, counts first scaled to the median depth."""
    out = adata.copy()
    x = np.asarray(out.X, dtype=float)
    if data == "counts":
        size = np.asarray(adata.obs["size_factor"])[:, None]
        x = x / size * np.median(size)
    out.X = np.log1p(x).astype(np.float32)
    return out


def scores(model: Any, truth: dict[str, Any], context: np.ndarray) -> dict[str, float]:
    """Graph and targets against the truth; targets of the fitted contexts."""
    from scgim import metrics

    place = np.zeros(len(model.contexts), int)
    place[np.asarray(model.adata.obs["_scvi_context"])] = context
    on = ~np.asarray(model.design.control)
    true, probability = truth["targets"][place][on], model.fitted.of_context.probability[on]
    return {
        "edge_f1": metrics.edge_f1(truth["graph"], model.fitted.graph.weights),
        "edge_ap": metrics.edge_average_precision(truth["graph"], model.fitted.graph.probability),
        "target_f1": metrics.target_f1(true, probability),
        "target_ap": metrics.target_average_precision(true, probability),
    }


def one(adata: Any, truth: dict[str, Any], data: str, options: dict[str, Any]) -> dict[str, float]:
    """Fit and score; closed forms alone (``max_epochs=0``), as counts have no others."""
    from scgim import tl

    cells = log_normalised(adata, data) if options["noise"] == "gaussian" else adata.copy()
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = tl.fit(cells, **COLUMNS, **options, max_epochs=0, progress=False, rng=0)
    seconds = time.process_time() - began
    return scores(model, truth, adata.obs["context"].to_numpy()) | {"seconds": seconds}


def rows(arguments: argparse.Namespace, done: set[tuple]) -> Iterator[dict[str, Any]]:
    for seed in arguments.seeds:
        for data in arguments.data:
            wanted = [m for m in METHODS[data] if not arguments.method or m in arguments.method]
            todo = [m for m in wanted if (data, m, seed) not in done]
            if not todo:
                continue
            adata, truth = simulate(data, seed, quick=arguments.quick)
            for method in todo:
                keys = {"data": data, "method": method, "seed": seed, "zeros": float((adata.X == 0).mean())}
                yield keys | one(adata, truth, data, METHODS[data][method])


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "screens.csv"
    table = pd.read_csv(path) if path.is_file() else pd.DataFrame()
    done = set(table[["data", "method", "seed"]].itertuples(index=False, name=None)) if len(table) else set()
    for row in rows(arguments, done):
        table = pd.concat([table, pd.DataFrame([row])], ignore_index=True)
        table.sort_values(["data", "method", "seed"], ascending=[True, False, True]).round(4).to_csv(path, index=False)
        print("  ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{v}" for k, v in row.items()), flush=True)
    keys = ["data", "method"]
    medians = table.groupby(keys, sort=False)[["edge_f1", "edge_ap", "target_f1", "target_ap", "seconds"]].median()
    medians.reset_index().sort_values(keys, ascending=[True, False]).round(4).to_csv(
        arguments.out / "medians.csv", index=False
    )


if __name__ == "__main__":
    main()
