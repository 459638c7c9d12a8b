"""From a table of targets, or a matrix of scores, to ranks of known targets, calls and reliability."""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _screens import Screen

THRESHOLDS = (0.5, 0.9)
BINS = (0.0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0)


def fit(adata: Any, **keys: Any) -> tuple[pd.DataFrame, float]:
    """Table of targets at the defaults of `scgim.tl.fit`, and processor time of the fit."""
    import scgim

    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scgim.tl.fit(adata, progress=False, accelerator="cpu", **keys)
    return scgim.get.targets(adata), time.process_time() - start


def add_choices(parser: argparse.ArgumentParser) -> None:
    """The option of settings other than the defaults."""
    help_ = "settings of scgim.tl.fit in place of its defaults, such as mechanism=auto, rng=1 or penetrance=True; with an --out of their own"
    parser.add_argument("--fit", nargs="+", type=choice, metavar="NAME=VALUE", default=[], help=help_)


def choice(text: str) -> tuple[str, Any]:
    """A setting as it is given to `scgim.tl.fit`."""
    name, _, value = text.partition("=")
    return name, int(value) if value.isdigit() else {"True": True, "False": False}.get(value, value)


def checked(parser: argparse.ArgumentParser, arguments: argparse.Namespace, here: Path) -> argparse.Namespace:
    """The arguments, where other settings keep their rows apart."""
    if arguments.fit and arguments.out == here / "results":
        parser.error("--fit: rows of other settings need an --out of their own")
    return arguments


def by_drug(table: pd.DataFrame, drug: str = "drug") -> pd.DataFrame:
    """Each drug and gene once: the largest probability, log odds (if there are) and absolute effect over its contexts.

    Regulators and other nodes that are no genes are left out.
    """
    table = table.astype({drug: str, "gene": str})
    if "kind" in table:
        table = table[table["kind"].astype(str) != "regulator"]
    table = table.assign(size=table["effect"].abs())
    kept = [name for name in ("log_odds", "probability", "size") if name in table]
    return table.groupby([drug, "gene"], sort=False)[kept].max().reset_index().rename(columns={drug: "drug"})


def ranked(table: pd.DataFrame) -> pd.DataFrame:
    """The table of `by_drug` with ranks: by log odds where there are, else by probability and then the size of the effect."""
    order = ["log_odds"] if "log_odds" in table else ["probability", "size"]
    table = table.sort_values(["drug", *order], ascending=[True] + [False] * len(order), kind="stable")
    return table.assign(rank=table.groupby("drug").cumcount() + 1)


def of_scores(names: list[str], genes: list[str], score: np.ndarray) -> pd.DataFrame:
    """The same from scores (D, G)."""
    rank = (-score).argsort(1, kind="stable").argsort(1, kind="stable") + 1
    drug, gene = np.repeat(names, len(genes)), np.tile(genes, len(names))
    return pd.DataFrame({"drug": drug, "gene": gene, "rank": rank.ravel()})


def drugs(table: pd.DataFrame, truth: dict[str, tuple[str, ...]]) -> pd.DataFrame:
    """One row a drug with a known target: rank of its best known target, calls, and those that are known targets."""
    rows = []
    groups = dict(list(table.groupby("drug")))
    for drug, genes in truth.items():
        part = groups[drug]
        known = part["gene"].isin(genes).to_numpy()
        row: dict[str, Any] = {"drug": drug, "rank": int(part["rank"].to_numpy()[known].min())}
        for threshold in THRESHOLDS:
            called = (part["probability"] > threshold).to_numpy() if "probability" in part else np.array([])
            row[f"calls_{threshold}"] = int(called.sum()) if called.size else np.nan
            row[f"true_{threshold}"] = int((called & known).sum()) if called.size else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def reliability(table: pd.DataFrame, truth: dict[str, tuple[str, ...]]) -> pd.DataFrame:
    """Genes of drugs with a known target by probability: how many, their mean probability, how many are known targets."""
    part = table[table["drug"].isin(list(truth))]
    known = np.array([gene in truth[drug] for drug, gene in zip(part["drug"], part["gene"], strict=True)])
    p = part["probability"].to_numpy(float)
    place = np.clip(np.searchsorted(BINS, p, side="right") - 1, 0, len(BINS) - 2)
    rows = []
    for b in range(len(BINS) - 1):
        there = place == b
        rows.append({"from": BINS[b], "to": BINS[b + 1], "n": int(there.sum())})
        rows[-1] |= {"sum_p": float(p[there].sum()), "true": int(known[there].sum())}
    return pd.DataFrame(rows)


def summary(rows: pd.DataFrame) -> dict[str, float]:
    """Mean reciprocal rank, share of first ranks and of the first three, drugs that were hit, and calls."""
    rank = rows["rank"].to_numpy(float)
    shares = {"mrr": 1 / rank, "top_1": rank == 1, "recall_3": rank <= 3}
    out = {"drugs": len(rows)} | {name: float(values.mean()) for name, values in shares.items()}
    for threshold in THRESHOLDS:
        out[f"hits_{threshold}"] = float((rows[f"true_{threshold}"] > 0).sum())
        out[f"calls_{threshold}"] = float(rows[f"calls_{threshold}"].sum())
        if rows[f"calls_{threshold}"].isna().any():
            out[f"hits_{threshold}"] = out[f"calls_{threshold}"] = np.nan
    return out


def shares(
    total: pd.DataFrame, calls: str = "calls", true: str = "true_calls"
) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Calls, how many of them are true, and how many of the ``targets`` they are; not a number where there are none."""
    of = total["targets"].where(total["targets"] > 0)
    return total[calls], total[true] / total[calls].where(total[calls] > 0), total[true] / of


def scgim(screen: Screen, **choices: Any) -> tuple[pd.DataFrame, float]:
    """Ranks and probabilities of `scgim.tl.fit` with its defaults but for these, and processor time."""
    table, seconds = fit(screen.adata.copy(), **screen.keys, **choices)
    return ranked(by_drug(table)), seconds
