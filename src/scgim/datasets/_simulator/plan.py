"""Which contexts a simulated experiment has: drugs, doses, splits, cell lines, batches."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd

from scgim.datasets._simulator.rows import perturbed_rows


def plan(settings: dict[str, Any], names: list[str], rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray]:
    """Table of contexts and the dose of each drug in each, (K, D).

    The controls of all groups of cells (cell line x batch) come first; group 0 is the first line in the first batch.
    """
    n_lines, n_batches = settings["n_cell_lines"], settings["n_batches"]
    rows = perturbed_rows(settings, rng)
    for fault in settings["faults"]:
        rows = fault.change_rows(rows, settings)
    combined = any(len(drugs) > 1 for drugs, _, _ in rows)
    table: list[dict[str, Any]] = []
    amount: list[dict[int, float]] = []
    for line, batch in itertools.product(range(n_lines), range(n_batches)):
        share = settings["n_control"] // n_batches + (batch < settings["n_control"] % n_batches)
        table.append(_context({}, "train", share, line, batch, settings, names, combined=combined))
        amount.append({})
    for line in range(n_lines):
        for drugs, split, n in rows:
            batch = int(rng.integers(n_batches)) if n_batches > 1 else 0
            table.append(_context(drugs, split, n, line, batch, settings, names, combined=combined))
            amount.append(drugs)
    doses = np.zeros((len(table), len(names)))
    for k, drugs in enumerate(amount):
        for d, c in drugs.items():
            doses[k, d] = c
    return pd.DataFrame(table, index=pd.Index([str(k) for k in range(len(table))])), doses


def _context(
    drugs: dict[int, float],
    split: str,
    n: int,
    line: int,
    batch: int,
    settings: dict[str, Any],
    names: list[str],
    *,
    combined: bool,
) -> dict[str, Any]:
    """One row of the table; `combined` is whether any context has several drugs."""
    row: dict[str, Any] = {"drug": "+".join(names[d] for d in drugs) or "control"}
    if combined:
        given = [(names[d], float(c)) for d, c in drugs.items()] + [("control", 0.0)] * 2
        row |= {"drug_1": given[0][0], "drug_2": given[1][0], "dose_1": given[0][1], "dose_2": given[1][1]}
    else:
        row["dose"] = float(sum(drugs.values()))
    if settings["n_cell_lines"] > 1:
        row["cell_line"] = f"line_{line + 1}"
    if settings["n_batches"] > 1:
        row["batch"] = f"batch_{batch + 1}"
    return row | {"split": split, "group": line * settings["n_batches"] + batch, "n_cells": n}


def group_offsets(settings: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
    """What cell lines and batches add to the baselines, (C, G); 0 in the first group."""
    n_genes = settings["n_genes"]
    line = rng.normal(0, settings["cell_line_sd"], (settings["n_cell_lines"], 1, n_genes))
    batch = rng.normal(0, settings["batch_sd"], (1, settings["n_batches"], n_genes))
    line[0], batch[:, 0] = 0, 0
    return (line + batch).reshape(-1, n_genes)


def background_shifts(
    settings: dict[str, Any], contexts: pd.DataFrame, sd: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Small shifts (K, G) of every gene in every context but the controls, in units of the genes' standard deviations."""
    shift = rng.normal(0, settings["background_sd"], (len(contexts), len(sd))) * sd
    shift[(contexts["drug"] == "control").to_numpy()] = 0
    return shift
