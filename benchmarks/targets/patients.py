"""Glioblastoma slices of five patients: are the targets that are called the same in all patients?

    python benchmarks/targets/patients.py

Panobinostat against DMSO, 300 genes, logarithms of normalised counts, the defaults of ``scgim.tl.fit``, with the patient as batch and without.
A gene's change in a patient is the difference of its means; a target is inconsistent where a t test on the five changes has p > 0.05. How
many of all genes are consistent is the share that calling genes blindly would reach.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import argparse

import _judge
import _real
import numpy as np
import pandas as pd

HERE = Path(__file__).parent
ROWS = "patients_genes.csv"
LEVEL = 0.05
KEYS = {"perturbation_key": "drug", "control": "DMSO"}
BATCHES = {"patient_id": {"batch_key": "patient_id"}, "none": {}}


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    return _real.parsed(_real.command(__doc__, quick="few genes and cells", batch=BATCHES), argv, HERE)


def cells(*, quick: bool = False):
    """Log-normalised cells of five patients; the library size is that of the 300 genes, for want of others."""
    import anndata

    adata = anndata.read_h5ad(_real.data_file("gbm_panobinostat", "gbm_panobinostat.h5ad"))
    adata.X = _real.log_normalise(adata.X)
    if "symbol" in adata.var:
        adata.var_names = adata.var["symbol"].astype(str)
        adata.var_names_make_unique()
    adata.obs = adata.obs[["drug", "patient_id"]].astype(str).astype("category")
    return adata[::10, :12].copy() if quick else adata


def consistency(adata) -> pd.DataFrame:
    """Mean change of each gene over patients, and p of a t test on their changes."""
    from scipy.stats import ttest_1samp

    x, obs = np.asarray(adata.X, float), adata.obs
    changes = []
    for patient in sorted(set(obs["patient_id"])):
        there = (obs["patient_id"] == patient).to_numpy()
        treated = (obs["drug"] != KEYS["control"]).to_numpy()
        changes.append(x[there & treated].mean(0) - x[there & ~treated].mean(0))
    change = np.stack(changes)  # (5, G)
    constant = change.std(0) == 0
    p = np.ones(change.shape[1])
    p[~constant] = ttest_1samp(change[:, ~constant], 0).pvalue
    return pd.DataFrame({"gene": list(adata.var_names), "mean_change": change.mean(0), "p_patients": p})


def make_rows(arguments: argparse.Namespace, path: Path) -> None:
    """A row a gene and batch key."""
    _real.quiet()
    made_by = _real.versions()
    adata = cells(quick=arguments.quick)
    genes = consistency(adata)
    done = _real.finished(path, ["batch"])
    for batch in arguments.batch:
        if (batch,) in done:
            continue
        table, seconds = _judge.fit(adata.copy(), **KEYS, **BATCHES[batch])
        rows = genes.merge(_judge.ranked(_judge.by_drug(table)), on="gene").assign(seconds=seconds)
        _real.record(path, {"batch": batch}, rows, made_by)


def summarise(path: Path) -> pd.DataFrame:
    """Calls at each threshold, and how many of them are inconsistent over patients."""
    out = []
    for batch, part in _real.read(path).groupby("batch", sort=False):
        consistent = part["p_patients"] <= LEVEL
        for threshold in _judge.THRESHOLDS:
            called = part["probability"] > threshold
            row = {"batch": batch, "threshold": threshold, "genes": len(part), "consistent_genes": consistent.sum()}
            row |= {"calls": called.sum(), "inconsistent": (called & ~consistent).sum()}
            row["share_inconsistent"] = row["inconsistent"] / row["calls"] if row["calls"] else np.nan
            out.append(row | {"consistent_called": (called & consistent).sum(), "seconds": part["seconds"].iloc[0]})
    return pd.DataFrame(out)


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    path = _real.rows_of(arguments, ROWS, __file__, lambda path: make_rows(arguments, path))
    _real.keep(summarise(path), arguments.tables / "patients.csv")


if __name__ == "__main__":
    main()
