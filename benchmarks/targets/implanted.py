"""Real control cells with knock-downs put into them: are these called, and nothing else?

    python benchmarks/targets/implanted.py

Cells without a drug of three sets are divided at random into drugs and controls. Each drug lowers one gene: of its counts, a tenth to a half are kept, in
80 % of the cells. Nothing follows from it, so every other call is false, and noise, correlations and means are those of real cells. Under
``composition`` the cells of a drug are not drawn evenly, but more of those that are high (or low) along the first principal component, as where a drug
arrests the cell cycle; under ``nothing`` they are drawn so and no gene is lowered. Beside the calls are those of
``scanpy.tl.rank_genes_groups`` (Wilcoxon, adjusted p below 0.05), and beside the ranks those of the simple scores of ``real.py``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import argparse
from typing import Any

import _judge
import _real
import _simple
import numpy as np
import pandas as pd
from _screens import FEWEST_CELLS, Screen, read

HERE = Path(__file__).parent
ROWS = "implanted_seeds.csv"
SURE, FAMILY = 0.9, 0.05
KEYS = {"perturbation_key": "drug", "control": "control", "batch_key": "batch"}
N_DRUGS, N_CELLS = 12, 80
RESPONDING = 0.8
KEPT = (0.1, 0.5)
"""Share of the counts of its target that a drug leaves, in the cells that respond."""
SEEN = 0.3
"""Genes with at least so many counts a cell can be targets."""
BIAS = 0.7
"""Standard deviation over drugs of the log odds that a standard deviation of the first component (of standardised genes) gives a cell to be drawn."""
CASES = {"even": (1, 0.0), "composition": (1, BIAS), "nothing": (0, BIAS)}
"""Targets a drug, and how unevenly cells are drawn."""


def _cells(adata, control: str, column: str) -> tuple[Any, np.ndarray, np.ndarray]:
    """Cells without a drug, their counts, and their batch in this column."""
    adata = adata[(adata.obs["drug"] == control).to_numpy()]
    counts = np.asarray(adata.X.toarray() if hasattr(adata.X, "toarray") else adata.X, float)
    return adata, counts, adata.obs[column].astype(str).to_numpy()


def tapseq_k562() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts, size factors and batches of cells with guides that have no target."""
    adata, counts, batch = _cells(read("tapseq_k562"), "control", "batch")
    return counts, adata.obs["size_factor"].to_numpy(float), batch


def eccite_thp1() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same; genes that hardly a cell has are cut."""
    _, counts, batch = _cells(read("eccite_thp1"), "control", "batch")
    total = counts.sum(1)
    return counts[:, (counts > 0).mean(0) >= FEWEST_CELLS], total / np.median(total), batch


def gbm_panobinostat() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vehicle; the patient is the batch."""
    import anndata

    file = _real.data_file("gbm_panobinostat", "gbm_panobinostat.h5ad")
    _, counts, batch = _cells(anndata.read_h5ad(file), "DMSO", "patient_id")
    total = counts.sum(1)
    return counts, total / np.median(total), batch


BACKGROUNDS: dict[str, Callable[[], tuple[np.ndarray, np.ndarray, np.ndarray]]] = {
    "tapseq_k562": tapseq_k562,
    "eccite_thp1": eccite_thp1,
    "gbm_panobinostat": gbm_panobinostat,
}


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    return _real.parsed(
        _real.command(__doc__, seeds=4, quick="few genes and cells", background=BACKGROUNDS, case=CASES), argv, HERE
    )


def first_component(logarithms: np.ndarray, batch: np.ndarray) -> np.ndarray:
    """Score of each cell on the first principal component within batches, in standard deviations, (n,)."""
    centred = logarithms - pd.DataFrame(logarithms).groupby(batch).transform("mean").to_numpy()
    left, size, _ = np.linalg.svd(centred / np.maximum(centred.std(0), 1e-6), full_matrices=False)
    score = left[:, 0] * size[0]
    return score / score.std()


def implant(counts: np.ndarray, size: np.ndarray, batch: np.ndarray, case: str, seed: int, *, quick: bool = False):
    """AnnData of logarithms, and the target of each drug."""
    import anndata

    rng = np.random.default_rng(seed)
    n_targets, bias = CASES[case]
    counts = counts[:, :12].copy() if quick else counts.copy()
    score = first_component(np.log1p(counts / size[:, None]), batch)
    drug, left = np.full(len(counts), "control", dtype=object), np.arange(len(counts))
    seen = np.flatnonzero(counts.mean(0) >= SEEN)
    names, truth = np.array([f"gene_{g}" for g in range(counts.shape[1])]), {}
    for d in range(3 if quick else N_DRUGS):
        weight = np.exp(rng.normal(0, bias) * score[left]) if bias else np.ones(len(left))
        cells = rng.choice(left, N_CELLS, replace=False, p=weight / weight.sum())
        left = np.setdiff1d(left, cells)
        drug[cells], truth[f"drug_{d}"] = f"drug_{d}", []
        for target in rng.choice(seen, n_targets, replace=False):
            responding = cells[rng.random(N_CELLS) < RESPONDING]
            counts[responding, target] = rng.binomial(counts[responding, target].astype(int), rng.uniform(*KEPT))
            truth[f"drug_{d}"].append(names[target])
    x = np.log1p(counts / size[:, None]).astype(np.float32)
    obs = pd.DataFrame({"drug": drug.astype(str), "batch": batch}, index=[f"cell_{n}" for n in range(len(x))])
    return anndata.AnnData(x, obs=obs, var=pd.DataFrame(index=names)), truth


def score(background: str, case: str, seed: int, *, quick: bool, loaded: dict[str, Any]) -> dict[str, float]:
    """Calls, those that are targets, and reciprocal ranks."""
    if background not in loaded:
        loaded[background] = BACKGROUNDS[background]()
    adata, truth = implant(*loaded[background], case, seed, quick=quick)
    simple = _simple.scores(Screen(adata, KEYS))
    table, seconds = _judge.fit(adata, **KEYS)
    table = _judge.ranked(_judge.by_drug(table))
    genes = list(adata.var_names)
    changed = wilcoxon(adata)
    called, true = table["probability"] > SURE, is_known(table, truth)
    out = {"genes": len(genes), "targets": true.sum(), "calls": called.sum(), "true_calls": (called & true).sum()}
    out |= {"wilcoxon_calls": len(changed), "wilcoxon_true": is_known(changed, truth).sum()}
    out |= {"mrr": mean_reciprocal_rank(table, truth)}
    for name, scores in simple.items():
        ranks = _judge.of_scores(scores[0], genes, scores[1])
        out[f"mrr_{name}"] = mean_reciprocal_rank(ranks, truth)
    return out | {"seconds": seconds}


def wilcoxon(adata) -> pd.DataFrame:
    """Genes that a usual test finds changed, a row for each drug and gene.

    As `scanpy.tl.rank_genes_groups` tests them, whose ranks take 8 seconds to compile.
    """
    from scipy.stats import false_discovery_control, norm, rankdata

    drug, found = adata.obs["drug"].to_numpy(), []
    control = adata.X[drug == KEYS["control"]]
    for name in np.setdiff1d(drug.astype(str), KEYS["control"]):
        own = adata.X[drug == name]
        n, both = len(own), len(own) + len(control)
        ranks = rankdata(np.concatenate([own, control]), axis=0)[:n].sum(axis=0)
        z = (ranks - n * (both + 1) / 2) / np.sqrt(n * len(control) * (both + 1) / 12)
        changed = false_discovery_control(2 * norm.sf(np.abs(z))) < FAMILY
        found.append(pd.DataFrame({"drug": name, "gene": adata.var_names[changed]}))
    return pd.concat(found)


def is_known(table: pd.DataFrame, truth: dict[str, list[str]]) -> np.ndarray:
    """Which rows are targets, (rows,)."""
    return np.array([g in truth[d] for d, g in zip(table["drug"], table["gene"], strict=True)], bool)


def mean_reciprocal_rank(table: pd.DataFrame, truth: dict[str, list[str]]) -> float:
    """Over targets; not a number where there are none."""
    return (1 / table["rank"][is_known(table, truth)]).mean()


def summarise(path: Path) -> pd.DataFrame:
    """Sums over seeds, and the shares that they give."""
    rows = _real.read(path)
    groups = rows.groupby(["background", "case"], sort=False)
    total, mean = groups.sum(numeric_only=True), groups.mean(numeric_only=True)
    table = pd.DataFrame(
        {"genes": mean["genes"].astype(int), "seeds": groups["seed"].nunique(), "targets": total["targets"]}
    )
    table[f"calls_{SURE}"], table[f"true_{SURE}"], table[f"found_{SURE}"] = _judge.shares(total)
    usual = _judge.shares(total, "wilcoxon_calls", "wilcoxon_true")
    table["wilcoxon_calls"], table["wilcoxon_true"], table["wilcoxon_found"] = usual
    ranks = [name for name in mean if name.startswith("mrr")]
    table[[*ranks, "seconds"]] = mean[[*ranks, "seconds"]]
    return table.reset_index()


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    cases = _real.cases(background=arguments.background, case=arguments.case, seed=arguments.seeds)
    one = partial(score, quick=arguments.quick, loaded={})
    path = _real.complete(arguments, ROWS, __file__, cases, one)
    _real.keep(summarise(path), arguments.tables / "implanted.csv")


if __name__ == "__main__":
    main()
