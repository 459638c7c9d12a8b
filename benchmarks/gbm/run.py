"""Glioblastoma slices of five patients under panobinostat: leave the treated cells of one patient out, five times.

    python benchmarks/gbm/run.py

The control cells of that patient stay in training. Every patient is a batch. ``scgim`` is fitted to the raw counts with
``noise="poisson_lognormal"`` (what scgim asks for where it finds raw counts), ``scgim_gaussian`` to logarithms of normalised
counts with the default noise; every other setting is the default of ``scgim.tl.fit``. Both move the control cells of the patient, as
the mean shift does; ``scgim_drawn`` and ``scgim_gaussian_drawn`` draw new cells instead. Everything is compared on logarithms of
normalised counts. What is in ``patients.csv`` already is not run again (``--again``). ``--genes 40`` takes the most variable genes
only.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import argparse
import time
import warnings
from functools import partial

import _real
import numpy as np
import pandas as pd

HERE = Path(__file__).parent
DRUG, CONTROL = "panobinostat", "DMSO"
NOISES = {"poisson_lognormal": "scgim", "gaussian": "scgim_gaussian"}
ORDER = ["scgim", "scgim_drawn", "scgim_gaussian", "scgim_gaussian_drawn", "mean_shift", "control"]
N_CELLS = 500


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = _real.command(__doc__, noise=NOISES)
    parser.add_argument("--genes", type=int, default=300)
    parser.add_argument("--patients", nargs="+", help="only these")
    parser.add_argument("--again", action="store_true", help="replace what is in the table already")
    parser.add_argument("--models", type=Path, help="folder for the fitted models")
    return _real.parsed(parser, argv, HERE)


def load(n_genes: int, noise: str):
    """Raw counts, or logarithms of normalised counts, with patient and drug."""
    import anndata

    raw = anndata.read_h5ad(_real.data_file("gbm_panobinostat", "gbm_panobinostat.h5ad"))
    logs = _real.log_normalise(raw.X)
    keep = np.sort(np.argsort(-logs.var(axis=0), kind="stable")[:n_genes])
    x = logs if noise == "gaussian" else np.asarray(raw.X.toarray() if hasattr(raw.X, "toarray") else raw.X)
    x = x[:, keep].astype(np.float32)
    some = x.sum(axis=1) > 0  # with few genes a cell may have no counts
    return anndata.AnnData(x[some], obs=raw.obs.loc[some, ["patient_id", "drug"]], var=raw.var.iloc[keep].copy())


def score(adata, patient: str, noise: str, models: Path | None) -> pd.DataFrame:
    """One row a method and metric."""
    import scgim

    held_out = ((adata.obs["patient_id"] == patient) & (adata.obs["drug"] == DRUG)).to_numpy()
    train, test = adata[~held_out].copy(), adata[held_out].copy()
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="noise: no size_factor_key")  # the file has no other genes
        model = scgim.tl.fit(
            train,
            perturbation_key="drug",
            control=CONTROL,
            batch_key="patient_id",
            noise=noise,
            progress=False,
            accelerator="cpu",
        )
    seconds = time.process_time() - start
    if models is not None:
        model.save(models / f"{noise}_{patient}", overwrite=True)
    name, first = NOISES[noise], noise == next(iter(NOISES))
    options = {"n_cells": N_CELLS, "transform": "log_normalize" if noise == "poisson_lognormal" else None}
    drawn = scgim.tl.evaluate(model, test, baselines=("control", "training_mean") if first else (), **options)
    moved = scgim.tl.evaluate(model, test, baselines=(), population="control", **options)
    drawn = drawn.replace({"method": {"gim": f"{name}_drawn", "training_mean": "mean_shift"}})
    row = pd.DataFrame({"method": [name], "metric": ["seconds"], "value": [seconds]})
    parts = [moved.replace({"method": {"gim": name}}), row, drawn]
    return pd.concat([part[["method", "metric", "value"]] for part in parts], ignore_index=True)


def make_rows(arguments: argparse.Namespace, path: Path) -> None:
    """Add to the rows what is not among them yet."""
    _real.quiet()
    made_by = _real.versions()
    for noise in arguments.noise:
        adata = load(arguments.genes, noise)
        for patient in arguments.patients or sorted(adata.obs["patient_id"].astype(str).unique()):
            if not arguments.again and (patient, noise) in _real.finished(path, ["patient", "noise"]):
                continue
            table = score(adata, patient, noise, arguments.models)
            if arguments.again:
                _real.drop(path, {"patient": patient, "noise": noise})
            _real.record(path, {"patient": patient, "noise": noise}, table, made_by)
            wide = table.pivot(index="method", columns="metric", values="value")
            print(wide.assign(patient=patient).round(3), flush=True)


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    path = _real.rows_of(arguments, "patients.csv", __file__, partial(make_rows, arguments))
    print(_real.summarise(path, [], arguments.tables / "average.csv", ORDER).round(3).to_string())


if __name__ == "__main__":
    main()
