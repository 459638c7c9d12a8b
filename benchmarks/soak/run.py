"""Soak: random small data sets of every odd kind, each of which has to be fitted or refused with a sentence.

Run from the root of the repository::

    python benchmarks/soak/run.py --number 200 --out benchmarks/soak

Each data set draws its genes, drugs, doses, batches, labels, storage and faults (outliers, cells of zeros, duplicated or
collinear genes, missing values, contexts of one cell ...) and the settings of the fit. It is fitted, written to h5ad and read back,
the model saved, loaded and asked for predictions. Outcomes:

fitted
    Everything worked, and no number that was written is infinite or missing.
refused
    A ValueError, KeyError or TypeError that starts with the name of an argument and ends as a sentence.
failed
    Anything else.
"""

from __future__ import annotations

import argparse
import io
import logging
import re
import tempfile
import time
import traceback
import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

STORAGE = ("float32", "float64", "float16", "fortran", "csr", "csc", "int64", "int32")
LABELS = ("text", "category", "integer", "mixed", "case", "spaces", "unused", "boolean", "slash", "plus")
FAULTS = (
    "none", "none", "none", "outlier", "zero cells", "duplicated gene", "collinear gene", "constant gene", "constant in contexts",
    "missing value", "one cell", "genes none", "genes repeated", "huge", "tiny", "negative", "offset",
)  # fmt: skip
SETTINGS: dict[str, tuple[Any, ...]] = {
    "intervention": (None, None, "shift", "shift", "hard", "activity", "auto"),
    "mechanism": ("linear", "linear", "linear", "additive", "neural"),
    "structure": ("search", "search", "search", "search", "cyclic", "gradient"),
    "noise": ("gaussian", "gaussian", "gaussian", "gaussian", "poisson_lognormal", "zero_inflated_lognormal"),
}
EXPLAINED = re.compile(r"^'?\(?[a-z_]+(\([a-z_]*\))?( and [a-z_]+)?: ")
SLOW = 30.0  # seconds of processor time
PUBLISHED_EPOCHS = 200  # of the published estimator where a data set leaves the choice; by itself it takes 2,000 on few cells, about a minute


@dataclass
class Case:
    """A data set with its settings."""

    adata: ad.AnnData
    settings: dict[str, Any]
    about: dict[str, Any] = field(default_factory=dict)


def pick(rng: np.random.Generator, values: tuple[Any, ...]) -> Any:
    """One of the values."""
    return values[int(rng.integers(len(values)))]


def labels(kind: str, n_drugs: int) -> list[Any]:
    """The control and the drugs."""
    if kind == "integer":
        return list(range(n_drugs + 1))
    if kind == "boolean":
        return [False, True]
    if kind == "mixed":
        return ["0", *range(1, n_drugs + 1)]
    names = ["control", *(f"drug{d}" for d in range(n_drugs))]
    if kind == "case" and n_drugs > 1:
        names[2] = "DRUG0"
    if kind == "spaces" and n_drugs > 1:
        names[2] = "drug0 "
    if kind == "slash":
        names = [names[0], *(f"(+/-)-{name}/HCl" for name in names[1:])]
    if kind == "plus" and n_drugs > 2:
        names[2:4] = ["drug0+drug9", "drug0 + drug9"]
    return names


def make(seed: int) -> Case:
    """The data set of a seed."""
    rng = np.random.default_rng(seed)
    n_genes, kind, storage, fault = (
        pick(rng, (1, 2, 3, 4, 6, 10)),
        pick(rng, LABELS),
        pick(rng, STORAGE),
        pick(rng, FAULTS),
    )
    names = labels(kind, pick(rng, (1, 2, 3, 5)))
    doses = pick(rng, ((), (), (1.0,), (0.1, 1.0, 10.0)))
    batches = pick(rng, (1, 1, 2, 3))
    n_cells = pick(rng, (2, 3, 8, 20, 40))
    rows = [(names[0], 0.0, b) for b in range(batches) for _ in range(pick(rng, (2, 10, 40)))]
    for name in names[1:]:
        rows += [(name, dose, b) for b in range(batches) for dose in doses or (1.0,) for _ in range(n_cells)]
    if fault == "one cell":
        rows += [("lone" if isinstance(names[0], str) else names[-1], 77.0, 0)]
    obs = pd.DataFrame(rows, columns=["drug", "dose", "batch"]).rename(index=str)
    weights = np.triu(rng.normal(size=(n_genes, n_genes)) * (rng.random((n_genes, n_genes)) < 0.4), 1)
    effect = rng.normal(size=(len(names), n_genes)) * 2 * (rng.random((len(names), n_genes)) < 0.4)
    position = {name: k for k, name in enumerate(names)}
    own = np.array([position.get(name, 0) for name, _, _ in rows])
    shift = effect[own] * (own > 0)[:, None] + 0.5 * obs["batch"].to_numpy()[:, None]
    x = (rng.normal(size=shift.shape) + shift) @ np.linalg.inv(np.eye(n_genes) - weights)
    genes = [f"g{j}" for j in range(n_genes)]
    settings = compatible({name: pick(rng, values) for name, values in SETTINGS.items()})
    if storage in ("int64", "int32") or settings["noise"] != "gaussian":
        x = np.exp(np.clip(x / 2 + 1.5, -3, 6))
        x = rng.poisson(x) if settings["noise"] != "zero_inflated_lognormal" else x * (rng.random(x.shape) < 0.8)
    x, genes = spoil(x.astype(float), genes, fault, rng, own)
    adata = ad.AnnData(store(x, storage), obs=column(obs, kind), var=pd.DataFrame(index=genes))
    settings |= {"perturbation_key": "drug", "control": names[0], "max_epochs": pick(rng, (0, 0, 0, None, 2))}
    if doses:
        settings["dose_key"] = "dose"
    if batches > 1 and rng.random() < 0.7:
        settings["batch_key"] = "batch"
    if settings["max_epochs"] is None:
        del settings["max_epochs"]
        if settings["structure"] == "gradient":
            settings["max_epochs"] = PUBLISHED_EPOCHS
    about = {"genes": n_genes, "cells": len(rows), "labels": kind, "storage": storage, "fault": fault}
    return Case(adata, settings, about)


def compatible(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings that go together, as the pages say."""
    if settings["noise"] != "gaussian":
        settings |= {"mechanism": "linear", "structure": "search", "intervention": "shift"}
    if settings["structure"] == "cyclic":
        settings |= {"mechanism": "linear", "intervention": "shift"}
    if settings["structure"] == "gradient":
        settings["intervention"] = "hard" if settings["intervention"] == "hard" else "shift"
    return settings


def spoil(
    x: np.ndarray, genes: list[str], fault: str, rng: np.random.Generator, own: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """Expression ``(N, G)`` and names with a fault."""
    last = x.shape[1] - 1
    if fault == "outlier":
        x[rng.integers(len(x)), last] = 1e6
    elif fault == "zero cells":
        x[rng.random(len(x)) < 0.2] = 0
    elif fault == "duplicated gene":
        x[:, last] = x[:, 0]
    elif fault == "collinear gene" and last > 1:
        x[:, last] = x[:, 0] + x[:, 1]
    elif fault == "constant gene":
        x[:, last] = 3
    elif fault == "constant in contexts":
        x[:, last] = own
    elif fault == "missing value":
        x[rng.integers(len(x)), 0] = np.nan
    elif fault == "genes none":
        genes = (["none", "unassigned"] + genes)[: len(genes)]
    elif fault == "genes repeated":
        genes = ["g0"] * len(genes)
    elif fault in ("huge", "tiny"):
        x = x * (1e5 if fault == "huge" else 1e-6)
    elif fault == "negative":
        x = -np.abs(x)
    elif fault == "offset":
        x = x + 1e4
    return x, genes


def store(x: np.ndarray, storage: str) -> Any:
    """Expression in a storage; what it cannot hold is rounded."""
    if storage == "fortran":
        return np.asfortranarray(x.astype(np.float32))
    if storage in ("csr", "csc"):
        return (sparse.csr_matrix if storage == "csr" else sparse.csc_matrix)(x.astype(np.float32))
    with np.errstate(all="ignore"):
        return np.nan_to_num(x).astype(storage) if storage.startswith("int") else x.astype(storage)


def column(obs: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The table with the labels as they are kept."""
    if kind == "mixed":
        obs["drug"] = obs["drug"].astype(object)
    if kind in ("category", "unused", "mixed"):
        obs["drug"] = pd.Categorical(
            obs["drug"], categories=list(dict.fromkeys(obs["drug"])) + ["never"] * (kind == "unused")
        )
    return obs


def infinities(adata: ad.AnnData) -> list[str]:
    """Places of results that hold numbers which are not finite."""
    found = []
    for name, value in [*adata.varm.items(), *adata.varp.items()]:
        array = value.toarray() if sparse.issparse(value) else np.asarray(value)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            found.append(name)
    for name in ("targets", "contexts", "history"):
        table = adata.uns["scgim"][name].select_dtypes("number")
        found += [f"{name}.{c}" for c in table if not np.isfinite(table[c].to_numpy(float)).all()]
    numbers = adata.obs.filter(like="scgim").select_dtypes("number")
    return found + [c for c in numbers if not np.isfinite(numbers[c]).all()]


def attempt(case: Case, folder: Path) -> str:
    """Fit, write, read, save, load, predict; what is wrong with it, or empty text."""
    from scgim import get, tl
    from scgim.model import GIM

    before = case.adata.copy()
    model = tl.fit(case.adata, rng=0, progress=False, **case.settings)
    wrong = infinities(case.adata)
    if case.about["labels"] == "mixed":  # which h5ad cannot hold
        case.adata.obs["drug"] = case.adata.obs["drug"].astype(str).astype("category")
    case.adata.write_h5ad(folder / "a.h5ad")
    again = ad.read_h5ad(folder / "a.h5ad")
    if len(get.targets(again)) != len(get.targets(case.adata)):
        wrong.append("h5ad")
    if not np.array_equal(
        before.X.toarray() if sparse.issparse(before.X) else before.X,
        case.adata.X.toarray() if sparse.issparse(case.adata.X) else case.adata.X,
    ):
        wrong.append("X changed")
    model.save(folder / "model", overwrite=True)
    asked = model.contexts.drop(columns="n_cells").head(3)
    predicted = GIM.load(folder / "model", adata=False).predict(asked, n_cells=5).X
    if not np.isfinite(predicted).all():
        wrong.append("prediction")
    return ", ".join(wrong)


def warm() -> None:
    """Compile what is compiled at first use, so that no data set pays for it."""
    from scgim import datasets, tl

    kinds: tuple[dict[str, Any], ...] = (
        {},
        {"intervention": "hard"},
        {"intervention": "auto"},
        {"structure": "cyclic"},
    )
    for settings in kinds:
        adata = datasets.simulate(n_genes=5, n_drugs=2, n_cells=5, n_control=20, n_new_drugs=1, n_test_cells=2)
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            tl.fit(adata, perturbation_key="drug", control="control", dose_key="dose", max_epochs=0, **settings)


def outcome(seed: int, folder: Path) -> dict[str, Any]:
    """One row of the table."""
    case = make(seed)
    start, silent = time.process_time(), io.StringIO()
    text = ""
    try:
        with warnings.catch_warnings(), redirect_stdout(silent), redirect_stderr(silent):
            warnings.simplefilter("ignore")
            wrong = attempt(case, folder)
        result = "fitted" if not wrong else "failed"
        text = wrong and f"not finite or changed: {wrong}"
    except (ValueError, KeyError, TypeError) as error:
        text = str(error.args[0]) if error.args else str(error)
        result = "refused" if EXPLAINED.match(text) else "failed"
        if result == "failed":
            text = f"{type(error).__name__}: {text} | {traceback.extract_tb(error.__traceback__)[-1]}"
    except Exception as error:  # noqa: BLE001 -- each is a finding
        result, text = "failed", f"{type(error).__name__}: {error} | {traceback.extract_tb(error.__traceback__)[-1]}"
    shown = {k: v for k, v in case.settings.items() if k in (*SETTINGS, "max_epochs")}
    return {
        "seed": seed,
        **case.about,
        **{k: shown.get(k) for k in (*SETTINGS, "max_epochs")},
        "outcome": result,
        "seconds": round(time.process_time() - start, 2),
        "text": " ".join(text.split())[:300],
    }


def table(rows: pd.DataFrame) -> str:
    """The table of outcomes, in Markdown."""
    counts = rows["outcome"].value_counts()
    lines = ["| outcome | data sets |", "| --- | --- |"]
    lines += [f"| {name} | {counts.get(name, 0)} |" for name in ("fitted", "refused", "failed")]
    lines.append(f"| slower than {SLOW:.0f} s | {(rows['seconds'] > SLOW).sum()} |")
    lines.append(f"| slowest, seconds | {rows['seconds'].max():.1f} |")
    lines += ["", "| refused because | data sets |", "| --- | --- |"]
    reasons = (
        rows.loc[rows["outcome"] == "refused", "text"].str.replace(r"\d[\d.e+]*", "N", regex=True).str.slice(0, 90)
    )
    lines += [f"| {reason} | {count} |" for reason, count in reasons.value_counts().items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the data sets and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    import scgim.model  # noqa: F401 -- so that the first data set does not pay for it

    warm()

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.first, arguments.first + arguments.number):
            rows.append(outcome(seed, Path(folder)))
            if rows[-1]["outcome"] == "failed" or rows[-1]["seconds"] > SLOW or arguments.verbose:
                print(rows[-1], flush=True)
    frame = pd.DataFrame(rows)
    print(table(frame))
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "outcomes.md").write_text(table(frame), encoding="utf-8")


if __name__ == "__main__":
    main()
