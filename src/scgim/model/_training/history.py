"""Objectives of both stages as plain lists, and as tables (layer `model`)."""

from __future__ import annotations

from typing import Any

import pandas as pd


def table(state: dict[str, Any]) -> pd.DataFrame:
    """One metric as a DataFrame."""
    return pd.DataFrame({state["name"]: state["values"]}, index=pd.Index(state["index"], name=state["index_name"]))


def merge_history(searched: list[dict[str, Any]], trained: dict[str, Any] | None) -> dict[str, Any]:
    """Plain lists of both stages: the search's score, and each metric of the training."""
    out: dict[str, Any] = {}
    if searched:
        score = [float(step["score"]) for step in searched]
        out["search_score"] = {
            "name": "search_score",
            "values": score,
            "index": list(range(len(score))),
            "index_name": "step",
            "stage": [str(step["stage"]) for step in searched],
        }
    for name, table in (trained or {}).items():
        if isinstance(table, pd.DataFrame):
            out[name] = {
                "name": name,
                "values": table.iloc[:, 0].astype(float).tolist(),
                "index": table.index.tolist(),
                "index_name": str(table.index.name or "epoch"),
            }
    return out
