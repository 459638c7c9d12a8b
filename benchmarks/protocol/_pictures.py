"""Pictures of the protocol: graph and targets, predictions, reliability, fewer data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

COLORS = {
    "scgim": "#0072B2",
    "scgim_additive": "#56B4E9",
    "scgim_no_features": "#009E73",
    "bacadi_style": "#CC79A7",
    "published": "#8C510A",
    "mean_shift": "#7F7F7F",
    "ges": "#B2DF8A",
    "gnies": "#33A02C",
    "gies": "#17BECF",
    "utigsp_0.001": "#6A3D9A",
    "gp": "#D55E00",
    "ridge": "#E69F00",
    "knn": "#CC79A7",
    "mlp": "#B59B00",
    "cellflow": "#E7298A",
    "training_mean": "#9A9A9A",
    "control": "#5A5A5A",
}
MARKERS = {
    "published": "D",
    "ges": "v",
    "gnies": "^",
    "gies": "s",
    "utigsp_0.001": "X",
    "gp": "s",
    "ridge": "^",
    "knn": "v",
    "mlp": "P",
    "cellflow": "X",
}
"""Of other methods, whose colours are too near to tell them apart by colour alone; the rest are dots."""
LABELS = {
    "scgim": "scgim",
    "scgim_additive": "scgim, additive",
    "scgim_no_features": "scgim, no features",
    "bacadi_style": "each context alone",
    "published": "published estimator",
    "mean_shift": "mean shift",
    "ges": "GES",
    "gnies": "GnIES",
    "gies": "GIES, told the targets",
    "utigsp_0.001": "UT-IGSP",
    "gp": "Gaussian process",
    "training_mean": "training mean",
    "knn": "nearest neighbours",
    "mlp": "neural network",
    "cellflow": "CellFlow",
}
PANELS = {
    "structure": {"edge_f1": "edge F1", "target_f1": "target F1, training contexts", "sid": "SID"},
    "prediction": {
        "mean_distance_new_doses": "mean distance, new doses",
        "mean_distance_new_drugs": "mean distance, new drugs",
        "energy_distance_new_doses": "energy distance, new doses",
        "energy_distance_new_drugs": "energy distance, new drugs",
    },
}


def draw(runs: pd.DataFrame, pooled: pd.DataFrame, tables: Path, prints: Path) -> list[Path]:
    """All pictures for which there are results, beside their tables; those for print elsewhere."""
    import matplotlib

    matplotlib.use("Agg")
    paths = []
    first = runs[runs["system"].str.endswith("principal_components")]
    if "target_f1" in set(first["metric"]):
        paths += save(dots(first, PANELS["structure"], columns=1), "structure", tables, prints)
    for mechanism in ("linear", "neural"):
        part = runs[runs["system"].str.contains(f"-{mechanism}-shift-")]
        if "mean_distance_new_doses" in set(part["metric"]):
            figure = dots(part, PANELS["prediction"], columns=2, log=True)
            paths += save(figure, f"prediction_{mechanism}", tables, prints)
    if len(pooled):
        paths += save(reliability(pooled), "reliability_pooled", tables, prints)
    return paths


def save(figure: Any, name: str, tables: Path, prints: Path) -> list[Path]:
    """PNG for pages, beside the table of this name, and SVG for print."""
    import matplotlib.pyplot as plt

    paths = [tables / f"{name}.png", prints / f"{name}.svg"]
    for path in paths:
        figure.savefig(path, dpi=91, bbox_inches="tight", metadata=None)
        figure.set_layout_engine("none")  # places of the first stand for the second: half of the time
    plt.close(figure)
    return paths[:1]


def short(system: str, *, features: bool) -> str:
    """Name of a system on an axis."""
    graph, mechanism, intervention, known = system.split("-")
    known = {"principal_components": "components"}.get(known, known)
    return f"{graph.upper()} {mechanism}\n{known if features else intervention}"


def dots(runs: pd.DataFrame, panels: dict[str, str], *, columns: int, log: bool = False) -> Any:
    """One panel a metric: a dot a seed, a bar at the median, systems side by side; the floor as a line."""
    import matplotlib.pyplot as plt

    systems = sorted(runs["system"].unique())
    features = len({s.rsplit("-", 1)[1] for s in systems}) > 1 or log
    methods = [m for m in COLORS if m in set(runs[runs["metric"].isin(panels)]["method"])]
    rows = -(-len(panels) // columns)
    width = max(4.6, 0.9 + 0.11 * len(methods) * len(systems))
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(min(width, 9 if columns == 1 else 7.5) * columns, (2.7 if columns == 1 else 3.5) * rows),
        squeeze=False,
        constrained_layout=True,
    )
    for axis, (metric, title) in zip(axes.ravel(), panels.items(), strict=True):
        part = runs[runs["metric"] == metric]
        for place, system in enumerate(systems):
            here = part[part["system"] == system]
            floor = here.loc[here["method"] == "floor", "value"].median()
            if np.isfinite(floor):
                axis.hlines(floor, place - 0.42, place + 0.42, color="black", lw=0.9, ls=":", zorder=1)
            for slot, method in enumerate(methods):
                value = here.loc[here["method"] == method, "value"].to_numpy(float)
                value = value[np.isfinite(value)]
                x = place + (slot - (len(methods) - 1) / 2) * 0.8 / len(methods)
                if len(value):
                    axis.plot(
                        np.full(len(value), x),
                        value,
                        MARKERS.get(method, "o"),
                        ms=3.5,
                        color=COLORS[method],
                        alpha=0.6,
                        mew=0,
                    )
                    half = 0.36 / len(methods)
                    axis.hlines(np.median(value), x - half, x + half, color=COLORS[method], lw=2.2)
        axis.set_xticks(range(len(systems)), [short(s, features=features) for s in systems], fontsize=8)
        axis.set_title(title, fontsize=10, loc="left")
        axis.set_xlim(-0.55, len(systems) - 0.45)
        axis.grid(axis="y", alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        if log:
            axis.set_yscale("log")
        elif "F1" in title:
            axis.set_ylim(-0.02, 1.03)
        else:
            axis.set_ylim(bottom=0)
    lines = [
        plt.Line2D([], [], color=COLORS[m], marker=MARKERS.get(m, "o"), ms=6, lw=2.2, label=LABELS.get(m, m))
        for m in methods
    ]
    if "floor" in set(runs["method"]) and log:
        lines.append(plt.Line2D([], [], color="black", lw=0.9, ls=":", label="fresh draw of the truth"))
    figure.legend(handles=lines, loc="outside lower center", ncols=min(5, len(lines)), frameon=False, fontsize=9)
    return figure


def reliability(pooled: pd.DataFrame) -> Any:
    """Frequency against probability, with the number of cases in each bin below."""
    import matplotlib.pyplot as plt

    kinds = list(pooled["kind"].unique())
    figure, axes = plt.subplots(
        2, len(kinds), figsize=(3.1 * len(kinds), 4.2), squeeze=False, sharex=True, height_ratios=(3, 1),
        constrained_layout=True,
    )  # fmt: skip
    for (upper, lower), kind in zip(axes.T, kinds, strict=True):
        part = pooled[pooled["kind"] == kind]
        error = float(np.average((part["probability"] - part["frequency"]).abs(), weights=part["n"]))
        sd = np.sqrt(part["frequency"] * (1 - part["frequency"]) / part["n"])
        upper.plot([0, 1], [0, 1], color="black", lw=0.8, ls=":")
        upper.errorbar(part["probability"], part["frequency"], 2 * sd, fmt="o-", color=COLORS["scgim"], ms=4, lw=1.2)
        upper.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
        upper.set_title(f"{kind}\ncalibration error {error:.3f}", fontsize=9, loc="left")
        lower.bar((part["lower"] + part["upper"]) / 2, part["n"], width=0.09, color="#BBBBBB")
        lower.set_yscale("log")
        lower.set_xlabel("probability")
        for axis in (upper, lower):
            axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("frequency")
    axes[1, 0].set_ylabel("number")
    return figure


def degradation(runs: pd.DataFrame) -> Any:
    """Curves over the amount of data: one row a setting that varies, one column a metric."""
    import matplotlib.pyplot as plt

    metrics = {
        "edge_f1": "edge F1",
        "target_f1": "target F1",
        "mean_distance_new_doses": "mean distance, new doses",
        "mean_distance_new_drugs": "mean distance, new drugs",
    }
    varied = list(runs["varied"].unique())
    titles = {"n_drugs": "drugs", "n_cells": "cells a context", "n_control": "control cells"}
    figure, axes = plt.subplots(
        len(varied), len(metrics), figsize=(3 * len(metrics), 2.5 * len(varied)), squeeze=False, constrained_layout=True
    )
    methods = [m for m in COLORS if m in set(runs["method"])]
    for line, name in zip(axes, varied, strict=True):
        for axis, (metric, title) in zip(line, metrics.items(), strict=True):
            part = runs[(runs["varied"] == name) & (runs["metric"] == metric)]
            for method in methods:
                here = part[part["method"] == method]
                if len(here):
                    axis.plot(here["amount"], here["value"], "o", ms=3, alpha=0.5, color=COLORS[method], mew=0)
                    middle = here.groupby("amount")["value"].median()
                    axis.plot(middle.index, middle, color=COLORS[method], lw=1.8)
            amounts = sorted(runs.loc[runs["varied"] == name, "amount"].unique())
            axis.set_xscale("log")
            axis.set_xticks(amounts, [f"{a:g}" for a in amounts])
            axis.minorticks_off()
            axis.set_xlabel(titles.get(name, name), fontsize=9)
            axis.set_title(title, fontsize=9, loc="left")
            axis.set_ylim(*((0, None) if metric.startswith("mean") else (-0.02, 1.03)))
            axis.grid(axis="y", alpha=0.25)
            axis.spines[["top", "right"]].set_visible(False)
    lines = [plt.Line2D([], [], color=COLORS[m], lw=3, label=LABELS.get(m, m)) for m in methods]
    figure.legend(handles=lines, loc="outside lower center", ncols=len(lines), frameon=False, fontsize=9)
    return figure
