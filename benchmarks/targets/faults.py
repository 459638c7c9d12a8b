"""Simulated screens with the faults of real ones: which calls are true, and how many targets and edges are found?

    python benchmarks/targets/faults.py
    python benchmarks/targets/faults.py --fault plates drift --seeds 0 1

20 genes, 20 drugs with one to three targets at four doses, 50 cells a context and 800 controls, unless the fault says otherwise; defaults of
``scgim.tl.fit``. Faults are those of `scgim.datasets.faults`. ``--cells FOLDER`` keeps the simulated cells there and reads them again, so
that another version of scgim can be fitted to the same ones.
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
import pandas as pd

HERE = Path(__file__).parent
ROWS = "faults_seeds.csv"
SURE, LIKELY = 0.9, 0.5
NEAR = 0.1  # of the true share of cells that respond
Z90 = 1.645
"""Half the width of a 90 % interval, in standard deviations."""
BASE: dict[str, Any] = {
    "n_genes": 20,
    "n_drugs": 20,
    "doses": (0.5, 1.0, 1.5, 2.0),
    "new_doses": (),
    "n_new_drugs": 0,
    "n_control": 800,
    "n_cells": 50,
}
QUICK: dict[str, Any] = {"n_genes": 8, "n_drugs": 3, "doses": (1.0, 2.0), "n_control": 100, "n_cells": 30}
DESCRIPTION = {
    "none": "no fault",
    "few_strong": "3 drugs at one dose, 12 genes, effects of about 15 sd, 200 cells",
    "responders": "40 % of the cells respond",
    "plates": "a plate for each drug, 0.2 sd on every gene, no key, 5 doses",
    "plates_key": "4 plates, 0.5 sd on every gene, given as batch_key",
    "hidden": "2 latent factors on 8 genes each",
    "hidden_moved": "the same, moved by every drug by about 1 sd of the factor",
    "spread": "noise 4 times larger in 15 % of (context, gene), 30 cells",
    "tanh": "mechanisms tanh, 500 cells",
    "relu": "mechanisms relu, 500 cells",
    "square": "mechanisms square, 500 cells",
    "drift": "every context drifts by 0.3 sd in every gene",
    "drift_one_dose": "the same, 40 drugs at one dose",
    "drug_drift": "every drug moves every gene by 0.2 sd, at all its doses",
    "measured": "measurement adds noise of 0.7 sd to every gene",
    "measured_unequal": "the same, unequal between genes",
}


def case(fault: str) -> dict[str, Any]:
    """What a fault changes of the simulation."""
    from scgim.datasets import faults

    changes: dict[str, dict[str, Any]] = {
        "none": {},
        "few_strong": {"n_genes": 12, "n_drugs": 3, "doses": (2.0,), "n_cells": 200, "effect_size": (15.0, 25.0)},
        "responders": {"faults": [faults.Penetrance(0.4)]},
        "plates": {"faults": [faults.Plates(None, sd=0.2, key=False)], "doses": (0.5, 0.75, 1.0, 1.5, 2.0)},
        "plates_key": {"faults": [faults.Plates(4, sd=0.5)]},
        "hidden": {"faults": [faults.LatentFactors(2, n_genes=8)]},
        "hidden_moved": {"faults": [faults.LatentFactors(2, n_genes=8, drug_sd=1.0)]},
        "spread": {"faults": [faults.UnequalSpread(0.15, 4.0)], "n_cells": 30},
        "tanh": {"mechanism": "tanh", "n_cells": 500},
        "relu": {"mechanism": "relu", "n_cells": 500},
        "square": {"mechanism": "square", "n_cells": 500},
        "drift": {"faults": [faults.Drift(context_sd=0.3)]},
        "drift_one_dose": {"faults": [faults.Drift(context_sd=0.3)], "doses": (2.0,), "n_drugs": 40},
        "drug_drift": {"faults": [faults.Drift(context_sd=0.0, drug_sd=0.2)]},
        "measured": {"faults": [faults.Measurement(0.7)]},
        "measured_unequal": {"faults": [faults.Measurement(0.7, spread=0.5)]},
    }
    return changes[fault]


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = _real.command(__doc__, seeds=5, quick="tiny systems", fault=DESCRIPTION)
    parser.add_argument("--cells", type=Path, help="folder that keeps the simulated cells")
    _judge.add_choices(parser)
    return _judge.checked(parser, _real.parsed(parser, argv, HERE), HERE)


def simulate(fault: str, seed: int, folder: Path | None, *, quick: bool):
    """Cells of a case with their truth, from the folder if they are there."""
    import anndata

    import scgim

    path = None if folder is None else folder / f"{fault}_{seed}{'_quick' * quick}.h5ad"
    if path is not None and path.is_file():
        return anndata.read_h5ad(path)
    settings = BASE | case(fault) | (QUICK if quick else {})
    adata = scgim.datasets.simulate(**settings, features="noise", rng=seed)
    if path is not None:
        folder.mkdir(parents=True, exist_ok=True)
        adata.write_h5ad(path)
    return adata


def without_truth(adata):
    """What a user would have: expression, drug, dose and, where it was written down, the plate."""
    import anndata

    columns = [name for name in ("drug", "dose", "plate") if name in adata.obs]
    return anndata.AnnData(np.asarray(adata.X), obs=adata.obs[columns].copy(), var=adata.var.copy())


def score(adata, choices: dict[str, Any]) -> dict[str, float]:
    """Counts of one fit: calls, true calls, true targets, edges, intervals that hold the truth, and seconds."""
    truth, given = adata.uns["truth"], without_truth(adata)
    keys = {"perturbation_key": "drug", "control": "control", "dose_key": "dose"} | more_keys(given) | choices
    table, seconds = _judge.fit(given, **keys)
    drugs, genes = [str(name) for name in truth["drugs"]], list(given.var_names)
    effect = pd.DataFrame(np.asarray(truth["drug_effect"], float), drugs, genes)
    best = _judge.by_drug(table).pivot(index="drug", columns="gene", values="probability").loc[drugs, genes].to_numpy()
    true = (effect != 0).to_numpy()
    out: dict[str, float] = {"true_targets": int(true.sum())}
    for threshold in (LIKELY, SURE):
        out |= {f"calls_{threshold}": int((best > threshold).sum())}
        out |= {f"true_calls_{threshold}": int(((best > threshold) & true).sum())}
    edge = given.varp["scgim_graph_probability"].toarray() > SURE
    graph = np.asarray(truth["graph"], bool)
    out |= {"true_edges": int(graph.sum()), "edges": int(edge.sum()), "edges_right": int((edge & graph).sum())}
    return out | coverage(table, truth, effect) | responders(table, truth) | {"seconds": seconds}


def more_keys(given) -> dict[str, str]:
    """The plate is a batch where it was written down."""
    return {"batch_key": "plate"} if "plate" in given.obs else {}


def true_share(truth: dict[str, Any]) -> float:
    """Of the cells that respond."""
    return float(np.ravel(truth.get("faults", {}).get("Penetrance", {}).get("share", 1.0))[0])


def responders(table: pd.DataFrame, truth: dict[str, Any]) -> dict[str, float]:
    """Drugs with a target that was found, those whose share of responding cells is learned to within `NEAR`, and whose interval holds it."""
    if "penetrance" not in table:
        return {}
    each = table[table["probability"] > LIKELY].astype({"drug": str}).drop_duplicates("drug")
    share = true_share(truth)
    near = (each["penetrance"] - share).abs() <= NEAR
    held = (each["penetrance_low"] <= share) & (share <= each["penetrance_high"])
    return {"drugs": len(each), "share_near": int(near.sum()), "share_held": int(held.sum())}


def coverage(table: pd.DataFrame, truth: dict[str, Any], effect: pd.DataFrame) -> dict[str, int]:
    """90 % intervals of effects at true targets that were found: how many, and how many hold the truth.

    Where a part of the cells responds, the truth is the mean effect over the cells.
    """
    table = table[table["probability"] > LIKELY].astype({"drug": str, "gene": str})
    at_saturation = np.array([effect.loc[d, g] for d, g in zip(table["drug"], table["gene"], strict=True)], float)
    ec50, hill = (float(np.ravel(truth[name])[0]) for name in ("ec50", "hill"))
    dose = table["dose"].to_numpy(float)
    expected = at_saturation * dose**hill / (dose**hill + ec50**hill)
    expected = expected * true_share(truth)
    found = at_saturation != 0
    inside = np.abs(table["effect"].to_numpy() - expected) <= Z90 * table["effect_sd"].to_numpy()
    return {"intervals": int(found.sum()), "intervals_right": int((inside & found).sum())}


def row(arguments: argparse.Namespace, fault: str, seed: int) -> dict[str, float]:
    """Counts of one fit of a case."""
    return score(simulate(fault, seed, arguments.cells, quick=arguments.quick), dict(arguments.fit))


def summarise(path: Path) -> pd.DataFrame:
    """Sums over seeds, and the shares that they give."""
    rows = _real.read(path)
    order = [fault for fault in DESCRIPTION if fault in set(rows["fault"])]
    total = rows.groupby("fault").sum(numeric_only=True).loc[order]
    table = pd.DataFrame({"what": [DESCRIPTION[fault] for fault in order]}, index=total.index)
    table["seeds"] = rows.groupby("fault")["seed"].nunique()
    for threshold in (LIKELY, SURE):
        table[f"calls_{threshold}"] = total[f"calls_{threshold}"]
        table[f"true_{threshold}"] = total[f"true_calls_{threshold}"] / total[f"calls_{threshold}"]
        table[f"found_{threshold}"] = total[f"true_calls_{threshold}"] / total["true_targets"]
    table["edges_0.9"] = total["edges"]
    table["edges_true_0.9"] = total["edges_right"] / total["edges"]
    table["edges_found_0.9"] = total["edges_right"] / total["true_edges"]
    table["coverage_90"] = total["intervals_right"] / total["intervals"]
    for name in [name for name in ("drugs", "share_near", "share_held") if name in total]:
        table[name] = total[name]
    table["seconds"] = total["seconds"] / table["seeds"]
    return table.reset_index()


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    cases = _real.cases(fault=arguments.fault, seed=arguments.seeds)
    one = partial(row, arguments)
    path = _real.complete(arguments, ROWS, __file__, cases, one)
    _real.keep(summarise(path), arguments.tables / "faults.csv", unseen=("what",))


if __name__ == "__main__":
    main()
