"""Medians over seeds, and the tables that set scgim beside other packages."""

from __future__ import annotations

import numpy as np
import pandas as pd
from _goals import BASELINES

UTIGSP = tuple(f"utigsp_{alpha}" for alpha in ("0.01", "0.001", "1e-05"))
PACKAGES = ("ges", "gnies", "gies", "cellflow")
OTHERS = ("mean_shift", "ges", "gnies", "gies", UTIGSP[1])
TOLD = ("gies",)
"""Methods that are given the true targets: theirs are not scored."""
BESIDE = {
    "edge_f1": max,
    "sid": min,
    "target_f1": max,
    "mean_distance_new_doses": min,
    "energy_distance_new_doses": min,
    "mean_distance_new_drugs": min,
    "energy_distance_new_drugs": min,
}
"""Metrics beside other packages, and which of several values is the best."""
INTERVALS = ("effect_coverage_90", "effect_coverage_90_new_doses", "effect_coverage_90_new_drugs")


def medians(runs: pd.DataFrame) -> pd.DataFrame:
    """Median, smallest and largest value over seeds."""
    group = runs.dropna(subset="value").groupby(["system", "method", "metric"], sort=False)["value"]
    table = group.agg(n_seeds="size", median="median", smallest="min", largest="max").reset_index()
    return table.sort_values(["system", "method", "metric"], ignore_index=True)


def median(table: pd.DataFrame, system: str, method: str, metric: str) -> tuple[float, int]:
    """One median and its number of seeds; NaN and 0 if it is not there."""
    row = table[(table["system"] == system) & (table["method"] == method) & (table["metric"] == metric)]
    return (float(row["median"].iloc[0]), int(row["n_seeds"].iloc[0])) if len(row) else (float("nan"), 0)


def best(table: pd.DataFrame, system: str, metric: str, methods: tuple[str, ...]) -> tuple[str, float]:
    """Method with the smallest median."""
    found = {name: median(table, system, name, metric)[0] for name in methods}
    found = {name: value for name, value in found.items() if np.isfinite(value)}
    name = min(found, key=lambda name: found[name], default="")
    return name, found.get(name, float("nan"))


def peers(runs: pd.DataFrame) -> pd.DataFrame:
    """Rows of other packages without the targets that they were told."""
    if runs.empty:
        return runs
    return runs[~(runs["method"].isin(TOLD) & runs["metric"].str.startswith("target_"))]


def beside_others(runs: pd.DataFrame, peers: pd.DataFrame) -> pd.DataFrame:
    """One row a system and metric, medians over the seeds that other packages were run on; only of complete ones."""
    rows = []
    for system in sorted(set(peers["system"])) if len(peers) else []:
        seeds = set(peers.loc[peers["system"] == system, "seed"])
        table = medians(runs[(runs["system"] == system) & runs["seed"].isin(seeds)])
        table = table[table["n_seeds"] == len(seeds)]
        for metric, better in BESIDE.items():
            value = {name: median(table, system, name, metric)[0] for name in ("scgim", *PACKAGES, *UTIGSP)}
            if not np.isfinite([found for name, found in value.items() if name != "scgim"]).any():
                continue
            levels = [found for name in UTIGSP if np.isfinite(found := value.pop(name))]
            value["utigsp_best"] = better(levels, default=float("nan"))
            if "distance" in metric:
                value["best_baseline"] = best(table, system, metric, BASELINES)[1]
            name = system.removesuffix("-principal_components")
            rows.append({"system": name, "metric": metric, "n_seeds": len(seeds)} | value)
    columns = ["system", "metric", "n_seeds", "scgim", *PACKAGES[:-1], "utigsp_best", PACKAGES[-1], "best_baseline"]
    return pd.DataFrame(rows).reindex(columns=columns)


def coverage(table: pd.DataFrame) -> pd.DataFrame:
    """Part of true effects inside their 90 % interval, one row a system; the fit and how it carries over."""
    part = table[(table["method"] == "scgim") & table["metric"].isin(INTERVALS)]
    if part.empty:
        return pd.DataFrame()
    wide = part.pivot_table(index="system", columns="metric", values="median").reindex(columns=list(INTERVALS))
    wide.columns = ["training", "new_doses", "new_drugs"]
    wide.insert(0, "n_seeds", part.groupby("system")["n_seeds"].max())
    return wide.reset_index()
