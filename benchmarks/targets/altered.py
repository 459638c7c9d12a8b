"""The real screens, altered as another laboratory might have them: do ranks and calls hold?

    python benchmarks/targets/altered.py
    python benchmarks/targets/altered.py --screen sachs --alteration half_of_cells scaled --seeds 0

Alterations are those of ``_alterations``; defaults of ``scgim.tl.fit``, beside the simple scores on the same altered data.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import argparse

import _judge
import _real
import numpy as np
import pandas as pd
from _alterations import ALTERATIONS, for_simple_scores
from _screens import SCREENS, Screen
from real import SIMPLE, fewer

HERE = Path(__file__).parent
ROWS = "altered_drugs.csv"
SURE = 0.9
COLUMNS = ("method", "drug", "absent", "rank", "calls_0.5", "true_0.5", "calls_0.9", "true_0.9", "seconds")


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = _real.command(__doc__, seeds=3, quick="few cells and genes", screen=SCREENS, alteration=ALTERATIONS)
    _judge.add_choices(parser)
    return _judge.checked(parser, _real.parsed(parser, argv, HERE), HERE)


def judged(screen: Screen, known: dict[str, tuple[str, ...]], arguments: argparse.Namespace) -> pd.DataFrame:
    """A row for each method and drug with a known target; the drugs of `known` whose targets are gone have calls, and no rank."""
    import _simple

    table, seconds = _judge.scgim(screen, **dict(arguments.fit))
    present = _judge.drugs(table, screen.truth).assign(absent=False)
    called = table[table["probability"] > SURE].groupby("drug").size()
    gone = [drug for drug in known if drug in set(screen.drug) and drug not in screen.truth]
    absent = pd.DataFrame({"drug": gone, f"calls_{SURE}": [called.get(d, 0) for d in gone], "absent": True})
    parts = [pd.concat([present, absent], ignore_index=True).assign(method="scgim", seconds=seconds)]
    genes = list(screen.adata.var_names)
    for name, (names, score) in _simple.scores(for_simple_scores(screen)).items():
        ranks = _judge.drugs(_judge.of_scores(names, genes, score), screen.truth)
        parts.append(ranks.assign(absent=False, method=name))
    return pd.concat(parts, ignore_index=True).reindex(columns=COLUMNS)


def make_rows(arguments: argparse.Namespace) -> None:
    """Add to the rows what is not among them yet."""
    _real.quiet()
    made_by = _real.versions()
    done = _real.finished(arguments.out / ROWS, ["screen", "alteration", "seed"])
    for name in arguments.screen:
        screen = SCREENS[name]()
        for alteration in arguments.alteration:
            what = ALTERATIONS[alteration]
            for seed in arguments.seeds if what.random else arguments.seeds[:1]:
                keys = {"screen": name, "alteration": alteration, "seed": seed}
                if tuple(keys.values()) in done:
                    continue
                screens = what.alter(name, screen, np.random.default_rng(seed))
                screens = [fewer(one) for one in screens] if arguments.quick else screens
                if not screens:
                    continue
                rows = pd.concat([judged(one, screen.truth, arguments) for one in screens], ignore_index=True)
                if alteration == "each_alone":
                    rows = rows[~rows["absent"]]
                _real.record(arguments.out / ROWS, keys, rows, made_by)
                print(*keys.values(), counted(rows), round(rows["seconds"].drop_duplicates().sum(), 1), flush=True)


def counted(rows: pd.DataFrame) -> dict[str, float]:
    """Of the rows of one alteration, averaged over seeds: ranks beside simple scores, hits and calls."""
    n_seeds = rows["seed"].nunique() if "seed" in rows else 1
    ranked = rows[~rows["absent"]]
    mrr = (1 / ranked["rank"]).groupby(ranked["method"]).mean()
    ours, gone = ranked[ranked["method"] == "scgim"], rows[rows["absent"]]
    out = {"drugs": len(ours) / n_seeds, "mrr": mrr.get("scgim")} | {name: mrr.get(name) for name in SIMPLE}
    out |= {
        f"hits_{SURE}": (ours[f"true_{SURE}"] > 0).sum() / n_seeds,
        f"calls_{SURE}": ours[f"calls_{SURE}"].sum() / n_seeds,
    }
    return out | {"absent_drugs": len(gone) / n_seeds, "absent_calls": gone[f"calls_{SURE}"].sum() / n_seeds}


def tables(arguments: argparse.Namespace) -> None:
    """``altered.csv``, a row for each alteration, over all screens; beside the rows ``altered_screens.csv``, one for each screen."""
    rows = _real.read(arguments.out / ROWS)
    by_screen = [
        {"alteration": alteration, "screen": name} | counted(part)
        for (alteration, name), part in rows.groupby(["alteration", "screen"], sort=False)
    ]
    table = pd.DataFrame(by_screen)
    table["best_simple"] = table[list(SIMPLE)].max(axis=1)
    table = table.drop(columns=list(SIMPLE))
    ranks = ["mrr", "best_simple"]
    grouped = table.groupby("alteration", sort=False)
    overall = grouped[ranks].mean().join(grouped[list(table.columns.drop(["alteration", "screen", *ranks]))].sum())
    overall.insert(0, "screens", grouped.size())
    overall = overall.reindex([name for name in ALTERATIONS if name in overall.index]).reset_index()
    overall.insert(1, "what", [ALTERATIONS[name].what for name in overall["alteration"]])
    order = {name: i for i, name in enumerate([*ALTERATIONS, *SCREENS])}
    table = table.sort_values(["alteration", "screen"], key=lambda c: c.map(order), kind="stable")
    table = table.drop(columns=["absent_drugs", "absent_calls"]).reset_index(drop=True)
    overall["precision"] = overall[f"hits_{SURE}"] / overall[f"calls_{SURE}"]
    for path, one in ((arguments.tables / "altered.csv", overall), (arguments.out / "altered_screens.csv", table)):
        one.to_csv(path, index=False, float_format="%.3g", lineterminator="\n")
    print(overall.drop(columns="what").round(3).to_string())


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    _real.rows_of(arguments, ROWS, __file__, lambda _: make_rows(arguments))
    tables(arguments)


if __name__ == "__main__":
    main()
