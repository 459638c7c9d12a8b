"""The search beside ``flopsearch``, the closest one over orders, on cells that are centred within their contexts.

    python benchmarks/scale/flop.py --python /path/to/python     # of an environment with flopsearch

Both run on one thread. ``flopsearch`` sees single cells and no interventions; ours sees moments, and which drug each context had.
``cpu_s`` is the processor time of the search alone, ``edges`` the adjacent pairs, ``shared`` the share of ours among them, and
``skeleton_f1`` is against the truth where it is known. The table is ``tables/flop.csv``.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import numpy as np
from _fits import Data, from_cells, log_normalised, read
from _measure import show, write
from real import engine

CHILD = """
import sys, time
import numpy as np
from flopsearch import flop
x = np.load(sys.argv[1])
began = time.process_time()
graph = flop(x, 2.0, restarts=int(sys.argv[2]))
np.savez(sys.argv[3], graph=np.asarray(graph), seconds=time.process_time() - began)
"""
RESTARTS = (0, 20)


def glioblastoma() -> tuple[np.ndarray, np.ndarray, Data]:
    """Cells ``(n, 300)``, their contexts, and the same as moments."""
    raw = read("gbm_panobinostat", "gbm_panobinostat.h5ad")
    x = log_normalised(raw.X)
    context = raw.obs.groupby(["drug", "patient_id"], observed=True).ngroup().to_numpy()
    return x, context, from_cells(x, raw.obs, drug="drug", control="DMSO", group="patient_id", scatter=None)


def protocol() -> tuple[np.ndarray, np.ndarray, Data]:
    """Cells ``(n, 20)`` of a system of the published protocol."""
    import scgim

    adata = scgim.datasets.simulate(rng=0)
    train = adata[(adata.obs["split"] == "train").to_numpy()]
    x = np.asarray(train.X, float)
    context = train.obs.groupby(["drug", "dose"], observed=True).ngroup().to_numpy()
    data = from_cells(x, train.obs, drug="drug", control="control", dose="dose", scatter=None)
    return x, context, Data(data.moments, data.design, {"weights": np.asarray(adata.uns["truth"]["graph"])})


def pairs(graph: np.ndarray) -> np.ndarray:
    """Adjacent pairs, ``(G, G)`` above the diagonal."""
    return np.triu((graph != 0) | (graph != 0).T, 1)


def ours(data: Data) -> tuple[np.ndarray, float]:
    """Graph and processor time of our fit."""
    fit_search, moments_class, design_class, mechanisms = engine()
    moments = moments_class(**data.moments | {"mechanism": mechanisms[data.moments["mechanism"]]})
    named = {k: tuple(map(str, v)) if k in ("drugs", "group_names") else v for k, v in data.design.items()}
    began = time.process_time()
    fit = fit_search(moments, design_class(**named), genes=[f"gene {j}" for j in range(moments.n_genes)], rng=0)
    return fit.graph.weights, time.process_time() - began


def theirs(python: str, x: np.ndarray, restarts: int) -> tuple[np.ndarray, float]:
    """Graph and processor time of flopsearch."""
    with tempfile.TemporaryDirectory() as folder:
        cells, out = Path(folder) / "cells.npy", Path(folder) / "out.npz"
        np.save(cells, x)
        subprocess.run([python, "-c", CHILD, str(cells), str(restarts), str(out)], check=True)
        with np.load(out) as found:
            return found["graph"], float(found["seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="of an environment with flopsearch")
    arguments = parser.parse_args()
    rows = []
    for make in (protocol, glioblastoma):
        x, context, data = make()
        mean = np.stack([x[context == k].mean(axis=0) for k in range(context.max() + 1)])
        centred = (x - mean[context]).astype(float)
        if not rows:
            ours(data)  # compiled, and taken from the disk
        found = {"scgim": ours(data)}
        found |= {f"flopsearch, {n} restarts": theirs(arguments.python, centred, n) for n in RESTARTS}
        own = pairs(found["scgim"][0])
        for method, (graph, seconds) in found.items():
            there = pairs(graph)
            row = {"data": make.__name__, "cells": len(x), "genes": x.shape[1], "method": method, "cpu_s": seconds}
            row |= {"edges": int(there.sum()), "shared": float((own & there).sum() / max(there.sum(), 1))}
            if "weights" in data.truth:
                true = pairs(data.truth["weights"])
                row["skeleton_f1"] = float(2 * (true & there).sum() / max(true.sum() + there.sum(), 1))
            rows.append(row)
        show(rows[-len(found) :])
        write("flop", rows)


if __name__ == "__main__":
    main()
