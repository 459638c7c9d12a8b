"""One drug against control, the most common experiment: are ten known targets among hundreds of genes found?

    python benchmarks/targets/one_drug.py

Simulated from the moments of real control cells (glioblastoma, DMSO, 300 genes): means, variances, and a sparse linear system that
explains the correlations: genes in a random order, each with up to three parents, chosen among the genes before it by how much of its
variance they explain. A drug shifts ten genes by one of their standard deviations, and the shifts are passed on. ``drift`` is the standard
deviation of a shift of every gene under the drug, in standard deviations of the gene, as two cultures of the same cells differ.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import argparse

import _judge
import _real
import numpy as np
import pandas as pd

HERE = Path(__file__).parent
ROWS = "one_drug_seeds.csv"
KEYS = {"perturbation_key": "drug", "control": "control"}
N_TARGETS, PRECISION, N_CELLS = 10, 0.8, 1000
MOST_PARENTS = 3
LEAST_GAIN = 0.02
"""Share of its variance that a further parent must explain; below it the correlations of 2,500 cells are noise."""
DRIFTS = (0.0, 0.1)


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = _real.command(__doc__, seeds=5, quick="few genes and cells")
    parser.add_argument("--drift", type=float, nargs="+", default=list(DRIFTS))
    return _real.parsed(parser, argv, HERE)


def moments(n_genes: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Mean (G,) and covariance (G, G) of control cells within patients."""
    import anndata

    adata = anndata.read_h5ad(_real.data_file("gbm_panobinostat", "gbm_panobinostat.h5ad"))
    x = _real.log_normalise(adata.X).astype(float)
    control = (adata.obs["drug"] == "DMSO").to_numpy()
    x, patient = x[control][:, :n_genes], adata.obs["patient_id"].astype(str).to_numpy()[control]
    mean = x.mean(0)
    for name in set(patient):
        x[patient == name] -= x[patient == name].mean(0)
    return mean, np.cov(x.T)


def sparse_system(covariance: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Weights (G, G), row causes column, and noise variances (G,) with the variances of `covariance`, in units of these."""
    sd = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(sd, sd)
    n_genes = len(sd)
    weights, implied = np.zeros((n_genes, n_genes)), np.zeros((n_genes, n_genes))  # implied: covariance of the system
    noise = np.ones(n_genes)
    order = rng.permutation(n_genes)
    for place, j in enumerate(order):
        before, parents, left = order[:place], [], 1.0
        while len(parents) < MOST_PARENTS and len(before):
            gains = explained(implied, correlation[:, j], np.array([[*parents, i] for i in before]))
            best = int(np.argmax(gains))
            if before[best] in parents or gains[best] - (1 - left) < LEAST_GAIN:
                break
            parents, left = [*parents, before[best]], 1 - gains[best]
        if parents:
            weights[parents, j] = np.linalg.solve(implied[np.ix_(parents, parents)], correlation[parents, j])
        noise[j] = max(left, 0.05)
        implied[:, j] = implied[j] = implied @ weights[:, j]
        implied[j, j] = weights[:, j] @ implied @ weights[:, j] + noise[j]
    return weights, noise


def explained(implied: np.ndarray, target: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """Share of a gene's variance that each of n sets of k parents ``(n, k)`` explains, ``(n,)``."""
    inner = implied[parents[:, :, None], parents[:, None, :]] + 1e-9 * np.eye(parents.shape[1])  # (n, k, k)
    return (target[parents] * np.linalg.solve(inner, target[parents][..., None])[..., 0]).sum(axis=1)


def simulate(drift: float, seed: int, *, quick: bool = False):
    """Cells of one drug and of controls, and the genes that are its targets."""
    import anndata

    rng = np.random.default_rng(seed)
    mean, covariance = moments(20 if quick else None)
    sd, n_genes, n_cells = np.sqrt(np.diag(covariance)), len(mean), 100 if quick else N_CELLS
    weights, noise = sparse_system(covariance, rng)
    targets = rng.choice(n_genes, min(N_TARGETS, n_genes // 4), replace=False)
    shift = rng.normal(0, drift, n_genes)
    shift[targets] += rng.choice([-1.0, 1.0], len(targets))
    drugged = np.repeat([0, 1], n_cells)
    own = rng.normal(size=(2 * n_cells, n_genes)) * np.sqrt(noise) + drugged[:, None] * shift
    x = mean + sd * (own @ np.linalg.inv(np.eye(n_genes) - weights))
    obs = pd.DataFrame({"drug": np.where(drugged == 1, "drug", "control")}, index=[f"c{i}" for i in range(len(x))])
    var = pd.DataFrame(index=[f"gene_{g}" for g in range(n_genes)])
    return anndata.AnnData(x.astype(np.float32), obs=obs, var=var), {f"gene_{g}" for g in targets}


def recall_at_precision(table: pd.DataFrame, targets: set[str], precision: float = PRECISION) -> float:
    """Largest share of the targets among the first genes of the ranking of which at least this part are targets."""
    hit = table.sort_values("rank")["gene"].isin(targets).to_numpy()
    enough = hit.cumsum() / np.arange(1, len(hit) + 1) >= precision
    return float(hit.cumsum()[enough].max(initial=0) / len(targets))


def score(drift: float, seed: int, *, quick: bool) -> dict[str, float]:
    """Recall at the precision asked for, by rank; calls and true calls by probability."""
    adata, targets = simulate(drift, seed, quick=quick)
    table, seconds = _judge.fit(adata, **KEYS)
    table = _judge.ranked(_judge.by_drug(table))
    out = {"recall": recall_at_precision(table, targets), "targets": len(targets), "seconds": seconds}
    for threshold in _judge.THRESHOLDS:
        called = table["probability"] > threshold
        out |= {f"calls_{threshold}": int(called.sum())}
        out |= {f"true_calls_{threshold}": int((called & table["gene"].isin(targets)).sum())}
    return out


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    cases = _real.cases(drift=arguments.drift, seed=arguments.seeds)
    one = partial(score, quick=arguments.quick)
    path = _real.complete(arguments, ROWS, __file__, cases, one)
    rows = _real.read(path)
    table = rows.groupby("drift").agg(seeds=("seed", "nunique"), recall_at_precision=("recall", "mean"))
    total = rows.groupby("drift").sum(numeric_only=True)
    for threshold in _judge.THRESHOLDS:
        table[f"calls_{threshold}"] = total[f"calls_{threshold}"]
        table[f"true_{threshold}"] = total[f"true_calls_{threshold}"] / total[f"calls_{threshold}"]
        table[f"found_{threshold}"] = total[f"true_calls_{threshold}"] / total["targets"]
    table["seconds"] = rows.groupby("drift")["seconds"].mean()
    _real.keep(table.reset_index(), arguments.tables / "one_drug.csv")


if __name__ == "__main__":
    main()
