"""Real screens with known targets: where does the defaults' ranking put them, and what is a probability worth?

    python benchmarks/targets/real.py
    python benchmarks/targets/real.py --screen sachs --method scgim precision
    python benchmarks/targets/real.py --method cipher dspin

Seven sets of ``known_targets`` and Sachs et al., with the defaults of ``scgim.tl.fit``, beside the mean shift in standard deviations, Welch's t
and the shift of each gene given all others. ``cipher`` and ``dspin`` are other packages, in environments of their own; they run where they are asked
for. Genes are ranked by log odds; a drug with several known targets counts by the best of them. Drugs whose target was not measured are fitted, but
neither ranked nor counted.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import argparse
import time

import _judge
import _others
import _real
import numpy as np
import pandas as pd
from _screens import SCREENS, Screen

HERE = Path(__file__).parent
SIMPLE = ("mean_shift", "welch", "precision")
DEFAULT = ("scgim", *SIMPLE)
ROWS, BINS = "real_drugs.csv", "real_bins.csv"


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = _real.command(__doc__, quick="few cells and genes", screen=SCREENS)
    parser.add_argument("--method", nargs="+", choices=(*DEFAULT, *_others.REQUIREMENTS), default=list(DEFAULT))
    parser.add_argument("--cache", type=Path, default=_others.CACHE, help="folder of other packages' environments")
    parser.add_argument("--python", default=sys.executable, help="interpreter of these environments")
    _judge.add_choices(parser)
    return _judge.checked(parser, _real.parsed(parser, argv, HERE), HERE)


def fewer(screen: Screen, n_cells: int = 30, n_genes: int = 8, n_drugs: int = 3) -> Screen:
    """At most so many cells a context, drugs with a known target, and genes with all of these drugs' targets."""
    drugs = list(screen.truth)[:n_drugs]
    label = pd.Series(screen.context)
    keep = np.isin(screen.drug, [*drugs, screen.keys["control"]]) & (label.groupby(label).cumcount() < n_cells)
    genes = list(dict.fromkeys([g for d in drugs for g in screen.truth[d]] + list(screen.adata.var_names)))
    adata = screen.adata[np.asarray(keep), genes[: max(n_genes, n_drugs)]].copy()
    adata.obs["drug"] = adata.obs["drug"].cat.remove_unused_categories()
    truth = {d: tuple(g for g in screen.truth[d] if g in adata.var_names) for d in drugs}
    return Screen(adata, screen.keys, truth)


def run(method: str, screen: Screen, arguments: argparse.Namespace) -> tuple[pd.DataFrame, float]:
    """Ranks (and probabilities, where the method has some) and processor time."""
    import _simple

    if method == "scgim":
        return _judge.scgim(screen, **dict(arguments.fit))
    genes = list(screen.adata.var_names)
    if method in _others.REQUIREMENTS:
        names, score, seconds = _others.scores(method, screen, arguments.cache, arguments.python)
        return _judge.of_scores(names, genes, score), seconds
    start = time.process_time()
    names, score = _simple.scores(screen)[method]
    return _judge.of_scores(names, genes, score), time.process_time() - start


def make_rows(arguments: argparse.Namespace) -> None:
    """Add to the rows what is not among them yet."""
    _real.quiet()
    made_by = _real.versions()
    done = _real.finished(arguments.out / ROWS, ["screen", "method"])
    for name in arguments.screen:
        wanted = [method for method in arguments.method if (name, method) not in done]
        if not wanted:
            continue
        screen = SCREENS[name]()
        screen = fewer(screen) if arguments.quick else screen
        for method in wanted:
            keys = {"screen": name, "method": method}
            try:
                table, seconds = run(method, screen, arguments)
            except _others.Unavailable as reason:
                print(f"{name}, {method}: left out. {reason}", flush=True)
                continue
            rows = _judge.drugs(table, screen.truth).assign(n_genes=screen.adata.n_vars, seconds=seconds)
            if "probability" in table:
                bins = _judge.reliability(table, screen.truth)
                _real.record(arguments.out / BINS, keys, bins, made_by)
            _real.record(arguments.out / ROWS, keys, rows, made_by)
            print(name, method, {k: round(v, 3) for k, v in _judge.summary(rows).items()}, round(seconds), flush=True)


def tables(arguments: argparse.Namespace) -> None:
    """``real.csv``, a row for each screen and method and one over all screens; ``real_reliability.csv``."""
    rows = _real.read(arguments.out / ROWS)
    out = []
    for (name, method), part in rows.groupby(["screen", "method"], sort=False):
        one = {"screen": name, "method": method, "genes": part["n_genes"].iloc[0]}
        out.append(one | _judge.summary(part) | {"seconds": part["seconds"].iloc[0]})
    table = pd.DataFrame(out)
    table = pd.concat([table, overall(table)], ignore_index=True)
    order = {name: i for i, name in enumerate([*SCREENS, "all"])}
    table = table.sort_values("screen", key=lambda c: c.map(order), kind="stable")
    table.to_csv(arguments.tables / "real.csv", index=False, float_format="%.4g", lineterminator="\n")
    print(table.round(3).to_string())
    bins = _real.read(arguments.out / BINS)
    if not bins.empty:
        pooled = bins.groupby(["method", "from", "to"], sort=False)[["n", "sum_p", "true"]].sum().reset_index()
        pooled["mean_probability"] = pooled["sum_p"] / pooled["n"]
        pooled["share_true"] = pooled["true"] / pooled["n"]
        pooled = pooled.drop(columns="sum_p")
        pooled.to_csv(arguments.tables / "real_reliability.csv", index=False, float_format="%.4g", lineterminator="\n")
        print(pooled.round(3).to_string())


def overall(table: pd.DataFrame) -> pd.DataFrame:
    """Every method that ran on all screens of the table: means of ranks over screens, sums of hits and calls.

    ``best_simple`` takes, for each screen, the simple score that is best there, which nobody can know beforehand.
    """
    n_screens = table["screen"].nunique()
    means, sums = (
        ["mrr", "top_1", "recall_3"],
        ["drugs", "seconds", *(c for c in table if c.startswith(("hits", "calls")))],
    )
    out = []
    for method, part in table.groupby("method", sort=False):
        if len(part) == n_screens:
            out.append({"method": method, **part[means].mean(), **part[sums].sum(min_count=1)})
    simple = table[table["method"].isin(SIMPLE)]
    if len(simple) == n_screens * len(SIMPLE):
        best = simple.loc[simple.groupby("screen")["mrr"].idxmax()]
        out.append({"method": "best_simple", **best[means].mean(), "drugs": best["drugs"].sum()})
    return pd.DataFrame(out).assign(screen="all")


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    _real.rows_of(arguments, ROWS, __file__, lambda _: make_rows(arguments))
    tables(arguments)


if __name__ == "__main__":
    main()
