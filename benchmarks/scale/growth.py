"""Time and memory of the search with many genes and a prior that leaves 50 candidate parents a gene.

    python benchmarks/scale/growth.py            # 500 genes x 101 contexts
    python benchmarks/scale/growth.py --full     # and 5,000 genes x 1,001 contexts

Moments are drawn without cells, as in `real.py`. The prior names the true parents and random other genes. Each size runs in a process of
its own on one thread, and ends after ``--timeout`` seconds of search at the best so far, which ``stopped`` says. The table is
``tables/growth.csv``.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import numpy as np
from _fits import dense
from _measure import measure, peak_mb, show, tell, write
from real import engine, found

CANDIDATES = 50  # of each gene
SIZES = ((500, 101, 100_000), (5_000, 1_001, 1_000_000))  # genes, contexts, cells


def prior_of(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Probability of every edge ``(G, G)``: that of two parents among the candidates, which include the true ones."""
    G = len(weights)
    out = np.zeros((G, G))
    for j in range(G):
        true = np.flatnonzero(weights[:, j])
        others = rng.choice(np.setdiff1d(np.arange(G), [*true, j]), CANDIDATES - len(true), replace=False)
        out[np.concatenate([true, others]), j] = 2 / CANDIDATES
    return out


def one(genes: int, contexts: int, cells: int, timeout: float) -> dict[str, Any]:
    """Searches a system of one size."""
    data = dense(genes, contexts, cells)
    fit_search, moments_class, design_class, mechanisms = engine()
    moments = moments_class(**data.moments | {"mechanism": mechanisms[data.moments["mechanism"]]})
    named = {k: tuple(map(str, v)) if k in ("drugs", "group_names") else v for k, v in data.design.items()}
    prior, before, began = prior_of(data.truth["weights"], np.random.default_rng(1)), peak_mb(), time.process_time()
    fit = fit_search(
        moments,
        design_class(**named),
        genes=[f"gene {j}" for j in range(genes)],
        rng=0,
        graph_prior=prior,
        timeout=timeout,
    )
    row = {"genes": genes, "contexts": contexts, "candidates": CANDIDATES, "cpu_s": time.process_time() - began}
    row |= {"peak_mb": peak_mb(), "added_mb": peak_mb() - before, "stopped": fit.settings.get("stopped", "")}
    return row | found(data, fit.graph.weights, fit.of_drug.probability)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="also 5,000 genes")
    parser.add_argument("--timeout", type=float, default=1_800.0, help="seconds of search")
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.size is not None:
        tell(one(*SIZES[arguments.size], arguments.timeout))
        return
    rows = []
    for k in range(len(SIZES) if arguments.full else 1):
        rows.append(measure(__file__, {"size": k, "timeout": arguments.timeout}))
        show(rows[-1:])
        write("growth", rows)


if __name__ == "__main__":
    main()
