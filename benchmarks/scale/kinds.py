"""Time and memory of noise models and mechanisms beyond Gaussian linear ones, on many genes.

    python benchmarks/scale/kinds.py                     # 100 genes; neural 50
    python benchmarks/scale/kinds.py --full              # 1,000 genes; neural 300 genes x 201 contexts
    python benchmarks/scale/kinds.py --full --kinds zeros

Cells of `scgim.datasets.simulate` under 50 drugs at four doses, 50 cells a context and 2,000 controls, held in memory and fitted by
`scgim.tl.fit` on the threads that are given, each in a process of its own. ``cpu_s`` is the processor time of the fit, ``peak_mb`` the largest
memory of the process, ``added_mb`` what the fit added to that, ``target_f1`` that of calls above 0.5, ``stopped`` why a search ended before it was
done (``--timeout``). The table is ``tables/kinds.csv``; rows that were not asked for stay.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import numpy as np
from _measure import measure, peak_mb, show, tell, write
from real import stored

KINDS: dict[str, tuple[dict[str, Any], dict[str, Any], int, int]] = {  # simulation, fit, genes, genes of `--full`
    "zeros": (
        {"noise": "zero_inflated_lognormal", "dropout": 0.2}, {"noise": "zero_inflated_lognormal"}, 100, 1_000,
    ),
    "counts": (
        {"noise": "counts", "zeros": 0.2},
        {"noise": "poisson_lognormal", "size_factor_key": "size_factor"}, 100, 1_000,
    ),
    "additive": ({"mechanism": "neural"}, {"mechanism": "additive"}, 100, 1_000),
    "neural": ({"mechanism": "neural"}, {"mechanism": "neural"}, 50, 300),
}  # fmt: skip


def one(kind: str, genes: int, timeout: float) -> dict[str, Any]:
    """Fits one kind in this process."""
    import scgim
    import scgim.model  # the import is not measured

    simulation, options, _, _ = KINDS[kind]
    small = {"n_new_drugs": 0, "new_doses": (), "n_drugs": 50, "n_control": 2_000, "features": "noise"}
    adata = scgim.datasets.simulate(genes, **small | simulation, rng=0)
    keys = {"perturbation_key": "drug", "dose_key": "dose", "control": "control"}
    before, began = peak_mb(), time.process_time()
    model = scgim.tl.fit(adata, **keys, **options, timeout=timeout, rng=0, progress=False)
    row = {"kind": kind, "genes": genes, "contexts": len(model.contexts), "cells": adata.n_obs}
    row |= {"cpu_s": time.process_time() - began, "peak_mb": peak_mb()}
    row["added_mb"] = row["peak_mb"] - before
    truth = adata.uns["truth"]
    place = [list(truth["drugs"]).index(drug) for drug in model.drugs]
    called = model.fitted.of_drug.probability > 0.5  # (D, G)
    row["edge_f1"] = scgim.metrics.edge_f1(truth["graph"], model.get_graph()[0].toarray() != 0)
    row["target_f1"] = scgim.metrics.target_f1(np.asarray(truth["drug_effect"])[place] != 0, called)
    return row | {"stopped": str(model.fitted.settings.get("stopped", ""))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the sizes of a real screen")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--timeout", type=float, default=1_800.0, help="seconds of search")
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    parser.add_argument("--genes", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.kind is not None:
        tell(one(arguments.kind, arguments.genes, arguments.timeout))
        return
    table = {(row["kind"], int(row["genes"])): row for row in stored("kinds")}
    for kind in arguments.kinds:
        genes = KINDS[kind][3 if arguments.full else 2]
        row = measure(__file__, {"kind": kind, "genes": genes, "timeout": arguments.timeout})
        table[kind, genes] = row
        show([row])
        write("kinds", [table[key] for key in sorted(table)])


if __name__ == "__main__":
    main()
