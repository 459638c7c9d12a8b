"""Scores of one method on one system, as named numbers; every score is an average over contexts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from _systems import Case

SPLITS = {"new_dose": "new_doses", "new_drug": "new_drugs"}


def structure(case: Case, weights: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """Scores of a graph, (G, G) weights and edge probabilities."""
    from scgim import metrics

    true, off = case.truth["graph"], ~np.eye(len(weights), dtype=bool)
    return {
        "edge_f1": metrics.edge_f1(true, weights),
        "edge_ap": metrics.edge_average_precision(true, probability),
        "shd": metrics.structural_hamming_distance(true, weights),
        "sid": metrics.structural_intervention_distance(true, weights),
        "edge_calibration_error": metrics.calibration_error(true[off], probability[off]),
    }


def targets(
    case: Case, rows: np.ndarray, score: np.ndarray, suffix: str = "", called: np.ndarray | None = None
) -> dict[str, float]:
    """Scores of targets in contexts, (m, G); `called` where the score is not a probability."""
    from scgim import metrics

    true = case.truth["targets"][rows]
    out = {
        f"target_f1{suffix}": metrics.target_f1(true, score if called is None else called),
        f"target_ap{suffix}": metrics.target_average_precision(true, score),
    }
    if called is None:
        out[f"target_calibration_error{suffix}"] = metrics.calibration_error(true, score)
    return out


def effects(case: Case, rows: np.ndarray, effect: np.ndarray, sd: np.ndarray, suffix: str = "") -> dict[str, float]:
    """How often the 90 % interval of an effect, given that the gene is a target, holds the truth; at true targets."""
    true = case.truth["targets"][rows]
    inside = np.abs(effect - case.truth["effects"][rows]) <= 1.6449 * sd
    return {f"effect_coverage_90{suffix}": float(inside[true].mean()) if true.any() else float("nan")}


def means(case: Case, split: str, predicted: np.ndarray) -> dict[str, float]:
    """Distance of predicted means (m, G) from the means of the test cells, and correlation of the changes."""
    from scgim import metrics

    true, control = case.means(case.rows(split)), case.control.mean(0)
    distance = [metrics.mean_distance(a[None], b[None]) for a, b in zip(true, predicted, strict=True)]
    pearson = [metrics.pearson_mean_change(a, b, control) for a, b in zip(true, predicted, strict=True)]
    pearson = [0.0 if np.isnan(r) else r for r in pearson]  # no change predicted: no correlation
    return {f"mean_distance_{SPLITS[split]}": _mean(distance), f"pearson_{SPLITS[split]}": _mean(pearson)}


def energy(case: Case, split: str, cells: np.ndarray, *, moved: bool = False) -> dict[str, float]:
    """Energy distance of predicted cells (m, n, G); `moved`: the cells of all contexts differ by their mean alone.

    The value is that of `scgim.metrics.energy_distance`. Distances within the test cells, and within moved cells, are
    computed once.
    """
    rows, value = case.rows(split), []
    within = case.cached.setdefault(f"within_{split}", {})
    for place, k in enumerate(rows):
        y, x = case.cells(k), cells[place]
        if k not in within:
            within[k] = mean_pair(y, y)
        if place == 0 or not moved:
            inner = mean_pair(x, x)
        value.append(max(2 * mean_pair(x, y) - inner - within[k], 0.0))
    return {f"energy_distance_{SPLITS[split]}": _mean(value)}


def mean_pair(x: np.ndarray, y: np.ndarray) -> float:
    """Mean Euclidean distance over all pairs of rows."""
    square = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
    if x is y:
        np.fill_diagonal(square, 0.0)
    return float(np.sqrt(np.maximum(square, 0.0)).mean())


def reliability(kind: str, true: Any, probability: Any) -> pd.DataFrame:
    """How often what was given a probability is true, with the kind as first column."""
    from scgim.metrics import reliability_table

    table = reliability_table(true, np.clip(probability, 0.0, 1.0))
    table.insert(0, "kind", kind)
    return table


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
