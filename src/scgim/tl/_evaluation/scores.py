"""The catalogue of metrics of held-out conditions: the one table from which checks, columns and documentation come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scgim import metrics


@dataclass(frozen=True)
class Compared:
    """One held-out condition and what a method predicts for it."""

    truth: np.ndarray  # (G,), mean of its cells
    mean: np.ndarray  # (G,), predicted
    control: np.ndarray  # (G,), mean control of its batch
    others: np.ndarray  # (G,), mean of the perturbed training contexts of its batch
    cells: Callable[[], np.ndarray]  # (n, G), measured
    drawn: Callable[[], np.ndarray]  # (n, G), predicted
    closer: float  # share of the other held-out conditions that are farther from the prediction


@dataclass(frozen=True)
class Metric:
    """One metric: its value, what it needs, and how it reads."""

    value: Callable[[Compared], float]
    better: str  # "low" or "high"
    needs_training: bool  # control cells or means of training contexts
    needs_cells: bool
    description: str


METRICS: dict[str, Metric] = {
    "mean_distance": Metric(
        lambda c: metrics.mean_distance(c.truth[None], c.mean[None]),
        "low", False, False, "Euclidean distance of the means.",
    ),
    "energy_distance": Metric(
        lambda c: metrics.energy_distance(c.cells(), c.drawn()),
        "low", True, True, "Squared energy distance of the cells.",
    ),
    "pearson_mean_change": Metric(
        lambda c: metrics.pearson_mean_change(c.truth, c.mean, c.control),
        "high", True, False, "Correlation over genes of the changes against the control of the batch.",
    ),
    "pearson_from_others": Metric(
        lambda c: metrics.pearson_mean_change(c.truth, c.mean, c.others),
        "high", True, False, "Correlation over genes of the differences from the mean of the other perturbations.",
    ),
    "centroid_accuracy": Metric(
        lambda c: c.closer,
        "high", False, False, "Share of the other held-out conditions that are farther from the prediction than its own.",
    ),
    "top_gene_overlap": Metric(
        lambda c: metrics.top_gene_overlap(c.truth, c.mean, c.control),
        "high", True, False, "Share of the 20 genes that change most that are predicted among 20, with the right sign.",
    ),
    "direction_agreement": Metric(
        lambda c: metrics.direction_agreement(c.truth, c.mean, c.control),
        "high", True, False, "Share of the 20 genes that change most whose direction is predicted.",
    ),
    "weighted_error": Metric(
        lambda c: metrics.weighted_error(c.truth, c.mean, c.control),
        "low", True, False, "Squared error of the mean, genes weighted by their squared change.",
    ),
}  # fmt: skip
"""Metrics by name."""

DEFAULT = ("mean_distance", "energy_distance", "pearson_mean_change")


def markdown_table() -> str:
    """The catalogue as a Markdown table, for the documentation."""
    rows = ["| metric | better | what it is |", "|---|---|---|"]
    return "\n".join(rows + [f"| `{name}` | {m.better} | {m.description} |" for name, m in METRICS.items()])
