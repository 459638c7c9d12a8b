"""Regulators of simulated drugs: is the true one first, what is called where none acts, and what do wrong edges of the network cost?

    python benchmarks/targets/regulators.py
    python benchmarks/targets/regulators.py --genes 200 --regulators 40 --seeds 0 1

1,000 genes, 100 regulators of 15 genes each, 40 drugs at one dose, 100 cells a drug and 1,000 controls; half of the drugs change one regulator
(`scgim.datasets.faults.Regulators`), the others one to three genes. ``scgim.tl.fit`` with ``regulators=`` the network handed out, of which a part of the
edges is wrong; no second stage, and a search of at most ``--timeout`` seconds. Rows of the table that were not asked for stay.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import scgim
import scgim.model  # not within the time of the first fit
from scgim.datasets import faults

HERE = Path(__file__).parent
SURE = 0.9
CASE = ("genes", "regulators", "wrong_edges", "seed")
COLUMNS = {"perturbation_key": "drug", "dose_key": "dose", "control": "control"}


def screen(n_genes: int, n_regulators: int, n_drugs: int, wrong: float, seed: int) -> Any:
    """Training cells, with the truth and the network in them."""
    acting = faults.Regulators(n=n_regulators, wrong=wrong, drugs=0.5)
    adata = scgim.datasets.simulate(
        n_genes, n_drugs=n_drugs, doses=(2.0,), new_doses=(), n_new_drugs=0, n_control=1000, n_cells=100, n_test_cells=2,
        features="noise", faults=[acting], rng=seed,
    )  # fmt: skip
    return adata[(adata.obs["split"] == "train").to_numpy()].copy()


def true_regulators(adata: Any, drugs: tuple[str, ...]) -> dict[str, str]:
    """The regulator that each drug changes, for drugs that change one."""
    told = adata.uns["truth"]["faults"]
    (truth,) = told.values() if isinstance(told, dict) else told
    change, names = np.asarray(truth["drug_effect"]), list(truth["names"])
    every = list(adata.uns["truth"]["drugs"])[: len(change)]
    of = {d: str(names[int(np.abs(row).argmax())]) for d, row in zip(every, change, strict=True) if np.any(row)}
    return {drug: of[drug] for drug in drugs if drug in of}


def score(adata: Any, timeout: float) -> dict[str, float]:
    """One fit, judged."""
    network = adata.uns["network"]
    start = time.process_time()
    model = scgim.tl.fit(adata, **COLUMNS, regulators=network, max_epochs=0, timeout=timeout, progress=False)
    seconds = time.process_time() - start
    table = scgim.get.targets(adata, level="drug").assign(gene=lambda t: t["gene"].astype(str))
    genes = table[(table["kind"] != "regulator") & (table["probability"] > SURE)]
    table = table[table["kind"] == "regulator"]
    truth, true = adata.uns["truth"], true_regulators(adata, model.drugs)
    best = table.sort_values("log_odds", ascending=False).groupby("perturbation")["gene"].first()
    called = table[table["probability"] > SURE]
    right = [true.get(drug) == gene for drug, gene in zip(called["perturbation"], called["gene"], strict=True)]
    idle = called[~called["perturbation"].isin(list(true))]
    n_idle = len(model.drugs) - len(true)
    hit = pd.DataFrame(truth["drug_effect"] != 0, index=truth["drugs"], columns=adata.var_names)
    edges, graph = model.get_graph()[1].toarray() > 0.5, np.asarray(truth["graph"]) != 0
    return {
        "first": float(np.mean([best[drug] == name for drug, name in true.items()])),
        "called": sum(right) / max(len(true), 1),
        "calls": len(called),
        "false_calls": len(called) - sum(right),
        "calls_where_none_acts": len(idle),
        "drugs_without": n_idle,
        "gene_calls": len(genes),
        "true_gene_calls": int(sum(hit.loc[d, g] for d, g in zip(genes["perturbation"], genes["gene"], strict=True))),
        "edges": int(edges.sum()),
        "true_edges": int((edges & graph).sum()),
        "seconds": round(seconds, 1),
    }


def main(arguments: list[str] | None = None) -> pd.DataFrame:
    """All shares of wrong edges and seeds; rows are printed and kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genes", type=int, default=1000)
    parser.add_argument("--regulators", type=int, default=100)
    parser.add_argument("--drugs", type=int, default=40)
    parser.add_argument("--wrong", type=float, nargs="+", default=[0.0, 0.3])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--timeout", type=float, default=300.0)
    parser.add_argument("--out", type=Path, default=HERE / "tables" / "regulators.csv")
    asked = parser.parse_args(arguments)
    stored = pd.read_csv(asked.out).to_dict("records") if asked.out.is_file() else []
    rows = {tuple(row[name] for name in CASE): row for row in stored}
    for wrong in asked.wrong:
        for seed in asked.seeds:
            adata = screen(asked.genes, asked.regulators, asked.drugs, wrong, seed)
            case = (asked.genes, asked.regulators, wrong, seed)
            rows[case] = dict(zip(CASE, case, strict=True)) | score(adata, asked.timeout)
            print(rows[case], flush=True)
            table = pd.DataFrame([rows[each] for each in sorted(rows)])
            table.to_csv(asked.out, index=False, float_format="%.4g", lineterminator="\n")
    return table


if __name__ == "__main__":
    main()
