"""Tables and pictures from the rows that run.py and peers.py have made.

    python benchmarks/protocol/summary.py

What the documentation shows goes to ``--tables``: ``structure.csv`` and ``prediction_*.csv``, ``beside_others.csv`` (other packages,
on the seeds that they were run on), ``coverage.csv`` (intervals of effects), ``goals.csv`` (medians against their bounds),
``reliability_pooled.csv``, and the pictures. Beside the rows (``--out``) are ``medians.csv`` (every system, method and metric), all
tables in one page (``tables.md``), and the pictures for print.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import _pictures
import _store
import _tables
import numpy as np
import pandas as pd
from _goals import BASELINES, CALIBRATION, GOALS
from _tables import OTHERS, best, median, medians

HERE = Path(__file__).parent
STRUCTURE = ["edge_f1", "edge_ap", "shd", "sid", "target_f1", "target_ap", "effect_coverage_90", "seconds"]
PREDICTION = [
    "mean_distance_new_doses",
    "energy_distance_new_doses",
    "mean_distance_new_drugs",
    "energy_distance_new_drugs",
]
OURS = ("scgim", "scgim_additive", "scgim_no_features", "bacadi_style", "published")


def structure(table: pd.DataFrame) -> pd.DataFrame:
    """Graph and targets, one row a system and method."""
    part = table[table["metric"].isin(STRUCTURE) & table["method"].isin([*OURS, *OTHERS])]
    wide = part.pivot_table(index=["system", "method"], columns="metric", values="median")
    wide = wide.reindex(columns=[name for name in STRUCTURE if name in wide])
    wide.insert(0, "n_seeds", part.groupby(["system", "method"])["n_seeds"].max())
    wide = wide.reset_index()
    wide = wide[wide["system"].str.endswith("principal_components")]
    rank = {name: place for place, name in enumerate([*OURS, *OTHERS])}
    wide = wide.sort_values(["system", "method"], key=lambda c: c.map(rank) if c.name == "method" else c)
    wide["system"] = wide["system"].str.removesuffix("-principal_components")
    return wide


def prediction(table: pd.DataFrame, mechanism: str) -> pd.DataFrame:
    """scgim beside the best baseline and the floor, one row a system and metric."""
    rows = []
    for system in sorted(s for s in table["system"].unique() if s.split("-")[1] == mechanism):
        for metric in PREDICTION:
            row = {"system": system, "metric": metric}
            row["n_seeds"] = 0
            for method in ("scgim", "scgim_additive") if mechanism == "neural" else ("scgim",):
                row[method], n = median(table, system, method, metric)
                row["n_seeds"] = max(n, row["n_seeds"])
            row["cellflow"], _ = median(table, system, "cellflow", metric)
            row["best_baseline"], row["of_best_baseline"] = best(table, system, metric, BASELINES)
            row["floor"], _ = median(table, system, "floor", metric)
            ours = row["scgim"] if np.isfinite(row["scgim"]) else row.get("scgim_additive", np.nan)
            row["ratio"] = ours / row["of_best_baseline"]
            rows.append(row)
    return pd.DataFrame(rows)


def goals(table: pd.DataFrame, pooled: pd.DataFrame) -> pd.DataFrame:
    """Medians of scgim against their bounds."""
    rows = []
    for goal in GOALS:
        methods = ("scgim", "scgim_additive") if "-neural-" in goal.systems else ("scgim",)
        for method in methods:
            value, n = median(table, goal.systems, method, goal.metric)
            if n == 0:
                continue
            row = {"system": goal.systems, "method": method, "metric": goal.metric, "n_seeds": n, "median": value}
            held = value
            if goal.over:
                row["beside"], row["of_it"] = best(table, goal.systems, goal.metric, goal.over)
                row["ratio"] = held = value / row["of_it"]
            row["bound"] = f"{goal.sign} {goal.bound:g}"
            row["met"] = "yes" if (held >= goal.bound if goal.sign == ">=" else held <= goal.bound) else "no"
            rows.append(row)
    for kind, bound in CALIBRATION.items():
        part = pooled[pooled["kind"] == kind]
        if len(part):
            value = float(np.average((part["probability"] - part["frequency"]).abs(), weights=part["n"]))
            row = {"system": "pooled", "method": "scgim", "metric": f"calibration error, {kind}", "median": value}
            rows.append(row | {"bound": f"<= {bound:g}", "met": "yes" if value <= bound else "no"})
    columns = ["system", "method", "metric", "n_seeds", "median", "beside", "of_it", "ratio", "bound", "met"]
    return pd.DataFrame(rows).reindex(columns=columns).astype({"n_seeds": "Int64"})


def pool(reliability: pd.DataFrame) -> pd.DataFrame:
    """Reliability of scgim over all systems; those that differ by features only share their graph and targets."""
    if reliability.empty:
        return pd.DataFrame(columns=["kind", "lower", "upper", "n", "probability", "frequency"])
    first = reliability["system"].str.endswith("principal_components")
    keep = (reliability["method"] == "scgim") & (first | ~reliability["kind"].isin(["targets", "edges"]))
    part = reliability[keep].copy()
    for name in ("probability", "frequency"):
        part[name] *= part["n"]
    table = part.groupby(["kind", "lower", "upper"], as_index=False)[["n", "probability", "frequency"]].sum()
    for name in ("probability", "frequency"):
        table[name] /= table["n"]
    return table


def markdown(table: pd.DataFrame) -> str:
    """A table as Markdown, numbers cut to three figures."""
    shown = [[f"{v:.3g}" if isinstance(v, float) else str(v) for v in row] for row in table.to_numpy(object)]
    lines = [list(table.columns), ["---"] * table.shape[1], *shown]
    return "\n".join(f"| {' | '.join(line)} |".replace("| nan |", "| |").replace("| nan |", "| |") for line in lines)


def main(argv: list[str] | None = None) -> None:
    parser = _store.command(__doc__)
    arguments = _store.parsed(parser, argv, HERE, summary=False)
    out = arguments.out
    _store.need(out / _store.RUNS, HERE / "run.py")
    runs = _store.read(out / _store.RUNS)
    peers = _tables.peers(_store.read(out / "peers.csv"))
    runs = pd.concat([runs, peers], ignore_index=True)
    runs = runs.drop_duplicates(["system", "seed", "method", "metric"], keep="last")
    reliability = _store.read(out / _store.RELIABILITY)
    if len(reliability):
        reliability = reliability.drop_duplicates(["system", "seed", "method", "kind", "lower"], keep="last")
    table, pooled = medians(runs), pool(reliability)
    made = {
        "medians": table,
        "structure": structure(table),
        "beside_others": _tables.beside_others(runs, peers),
        "coverage": _tables.coverage(table),
        "goals": goals(table, pooled),
        "reliability_pooled": pooled,
    }
    for mechanism in ("linear", "neural"):
        made[f"prediction_{mechanism}"] = prediction(table, mechanism)
    for name, content in made.items():
        if len(content):
            folder = out if name == "medians" else arguments.tables
            content.to_csv(folder / f"{name}.csv", index=False, float_format="%.4g", lineterminator="\n")
    shown = [name for name in made if name != "medians" and len(made[name])]
    text = "\n\n".join(f"## {name.replace('_', ' ').capitalize()}\n\n{markdown(made[name])}" for name in shown)
    (out / "tables.md").write_text(f"# Medians\n\n{text}\n", encoding="utf-8")
    print(made["goals"].to_string(index=False, na_rep=""))
    for path in _pictures.draw(runs, pooled, arguments.tables, out):
        print(path)


if __name__ == "__main__":
    main()
