"""One drug in five patients who differ: are targets called that all patients share, and none that a single one has?

    python benchmarks/targets/simulated_patients.py

The systems of ``one_drug.py``. The drug has targets of its own, a drift on every gene that returns in all patients, and an effect on every
gene that each patient has for himself (0.15 sd). Ten further genes change by 1.5 sd in one patient alone. The patient is the batch.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import argparse
from typing import Any

import _judge
import _real
import numpy as np
import one_drug
import pandas as pd

HERE = Path(__file__).parent
ROWS = "simulated_patients_seeds.csv"
SURE = 0.9
KEYS = {"perturbation_key": "drug", "control": "control", "batch_key": "patient"}
N_PATIENTS, N_CELLS = 5, 250
BETWEEN, BASELINE = 0.15, 0.3
"""Standard deviations of a drug's effects, and of the patients' cells without it, between patients."""
N_ALONE, ALONE = 10, 1.5
CASES: dict[str, dict[str, Any]] = {
    "few": {"targets": 10, "drift": 0.05, "size": (0.6, 1.0)},
    "few_drift": {"targets": 10, "drift": 0.1, "size": (0.6, 1.0)},
    "many_drift": {"targets": 30, "drift": 0.1, "size": (0.4, 1.0)},
    "broad": {"targets": 60, "drift": 0.02, "size": (0.3, 0.8)},
    "none": {"targets": 0, "drift": 0.1, "size": (0.6, 1.0)},
}


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    return _real.parsed(_real.command(__doc__, seeds=5, quick="few genes and cells", case=CASES), argv, HERE)


def simulate(case: str, seed: int, *, quick: bool = False):
    """Cells, targets, and genes that change in one patient alone."""
    import anndata

    rng, settings = np.random.default_rng(seed), CASES[case]
    mean, covariance = one_drug.moments(20 if quick else None)
    n_genes, n = len(mean), 20 if quick else N_CELLS
    weights, noise = one_drug.sparse_system(covariance, rng)
    n_targets, n_alone = (min(count, n_genes // 4) for count in (settings["targets"], N_ALONE))
    chosen = rng.choice(n_genes, n_targets + n_alone, replace=False)
    targets, alone = chosen[:n_targets], chosen[n_targets:]
    shift = rng.normal(0, settings["drift"], n_genes)
    shift[targets] += rng.choice([-1.0, 1.0], n_targets) * rng.uniform(*settings["size"], n_targets)
    own = rng.normal(0, BETWEEN, (N_PATIENTS, n_genes))
    own[rng.integers(0, N_PATIENTS, n_alone), alone] += rng.choice([-1.0, 1.0], n_alone) * ALONE
    base = rng.normal(0, BASELINE, (N_PATIENTS, n_genes))
    patient, drugged = (np.repeat(x.ravel(), n) for x in np.indices((N_PATIENTS, 2)))
    cells = rng.normal(size=(len(patient), n_genes)) * np.sqrt(noise) + base[patient]
    cells += drugged[:, None] * (shift + own[patient])
    x = mean + np.sqrt(np.diag(covariance)) * (cells @ np.linalg.inv(np.eye(n_genes) - weights))
    obs = pd.DataFrame({"drug": np.where(drugged == 1, "drug", "control"), "patient": [f"P{p}" for p in patient]})
    names = [f"gene_{g}" for g in range(n_genes)]
    adata = anndata.AnnData(x.astype(np.float32), obs=obs.rename(index=str), var=pd.DataFrame(index=names))
    return adata, {names[g] for g in targets}, {names[g] for g in alone}


def score(case: str, seed: int, *, quick: bool) -> dict[str, float]:
    """Calls, those that are targets, and those of one patient alone; targets among as many first genes."""
    adata, targets, alone = simulate(case, seed, quick=quick)
    table, seconds = _judge.fit(adata, **KEYS)
    table = _judge.ranked(_judge.by_drug(table))
    called, true = table["probability"] > SURE, table["gene"].isin(targets)
    first = true & (table["rank"] <= len(targets))
    out = {"targets": len(targets), "calls": called.sum(), "true_calls": (called & true).sum()}
    return out | {"one_patient": (called & table["gene"].isin(alone)).sum(), "first": first.sum(), "seconds": seconds}


def summarise(path: Path) -> pd.DataFrame:
    """Sums over seeds, and the shares that they give."""
    rows = _real.read(path)
    total = rows.groupby("case").sum(numeric_only=True).loc[[c for c in CASES if c in set(rows["case"])]]
    table = pd.DataFrame(
        {name: [CASES[c][name] for c in total.index] for name in ("targets", "drift")}, index=total.index
    )
    table["seeds"] = rows.groupby("case")["seed"].nunique()
    table[f"calls_{SURE}"], table[f"true_{SURE}"], table[f"found_{SURE}"] = _judge.shares(total)
    table["one_patient_called"] = total["one_patient"]
    table["among_first"] = total["first"] / total["targets"].where(total["targets"] > 0)
    table["seconds"] = total["seconds"] / table["seeds"]
    return table.reset_index()


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    cases = _real.cases(case=arguments.case, seed=arguments.seeds)
    one = partial(score, quick=arguments.quick)
    path = _real.complete(arguments, ROWS, __file__, cases, one)
    _real.keep(summarise(path), arguments.tables / "simulated_patients.csv")


if __name__ == "__main__":
    main()
