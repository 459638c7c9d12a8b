"""Searches on real and on dense data: processor time by stage, peak memory, scores and what was reached.

    python benchmarks/scale/real.py                      # the short ones; data sets that are not at hand are left out
    python benchmarks/scale/real.py --full               # those that take minutes too
    python benchmarks/scale/real.py --beside ../old/src  # the same fits with another checkout's code, in the same run
    ... --beside ../old/src --kept                       # with what that code did in an earlier run, where it is kept

Moments are made once and kept in ``results/moments``; what is timed is everything after the pass over the cells. Each fit
runs in a process of its own on one thread. ``cpu_s`` is its processor time, by stage in the columns that follow;
``scored`` counts parent sets; ``score`` is that of the last search under the prior that it learned itself, ``common``
the score of the graph under the prior that the other checkout learned (shift interventions alone). ``score_new`` and
``score_of_old_graph`` are those of our graph and of the other checkout's under one score: our code with the prior that our fit
learned, changes of activity learned for each from two starts, less their price; they have a table of their own, ``tables/real_scores.csv``. Fits that end in ``_trusting`` do not learn how far covariances can be trusted, so that both search for the same. With other code
beside, ``ratio`` is its time over ours, and ``over_shift`` the time of ``auto`` over that of ``shift`` on the same data.
The table is ``tables/real.csv``; rows of fits that were not asked for stay.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import numpy as np
from _fits import CASES, DATA, Data, load
from _measure import MARK, TABLES, peak_mb, show, tell, versions, write
from _rescore import LastScore

MOMENTS = HERE / "results" / "moments"
STAGES = {  # name of the function: stage, in any checkout
    "eliminate": "start",
    "screen": "start",
    "widen": "start",
    "search": "search",
    "edge_probabilities": "edges",
    "gene_fits": "prior",
    "evidence_given": "prior",
    "learn_prior": "prior",
    "update_hyper": "prior",
    "update_prior": "prior",
    "update": "kinds",
    "assemble": "assemble",
    "combine": "assemble",
}
SCORES = ("score_sets", "score_added", "coarse_added")


class Clock:
    """Processor time by stage; a stage that calls another is not charged for it."""

    def __init__(self) -> None:
        self.stack: list[str] = ["other"]
        self.since = time.process_time()
        self.spent: dict[str, float] = {"other": 0.0}
        self.scored, self.answering = 0, False
        self.choosers: list[Any] = []

    def switch(self) -> None:
        """Charges the time since the last change to the present stage."""
        now = time.process_time()
        self.spent[self.stack[-1]] = self.spent.get(self.stack[-1], 0.0) + now - self.since
        self.since = now

    def stage(self, name: str, function: Any) -> Any:
        """The function, timed."""

        def call(*positional: Any, **named: Any) -> Any:
            self.switch()
            self.stack.append(name)
            try:
                return function(*positional, **named)
            finally:
                self.switch()
                self.stack.pop()

        return call

    def count(self, function: Any) -> Any:
        """The method of a score, with its parent sets counted."""

        def call(score: Any, j: int, *positional: Any, **named: Any) -> Any:
            out = function(score, j, *positional, **named)
            self.scored += len(out) * (not self.answering)
            return out

        return call

    def answer(self, function: Any) -> Any:
        """The method of a chooser that counts the scores it asks for by itself."""

        def call(chooser: Any) -> Any:
            self.answering = True
            try:
                return function(chooser)
            finally:
                self.answering = False

        return call

    def keep(self, function: Any) -> Any:
        """The method that makes a chooser, which is asked at the end how much it scored."""

        def call(chooser: Any) -> Any:
            self.choosers.append(chooser)
            return function(chooser)

        return call

    @property
    def n_scored(self) -> int:
        """Parent sets that were scored."""
        return self.scored + sum(chooser.n_scored for chooser in self.choosers)

    def watch(self) -> None:
        """Replaces functions and methods of the engine by timed ones, wherever they were imported."""
        kept: dict[int, Any] = {}
        for module in [m for name, m in sys.modules.items() if name.startswith("scgim._core")]:
            for name, value in list(vars(module).items()):
                if name in STAGES and callable(value) and not isinstance(value, type):
                    kept.setdefault(id(value), self.stage(STAGES[name], value))
                    setattr(module, name, kept[id(value)])
                if isinstance(value, type) and value.__module__ == module.__name__:
                    for method in [m for m in SCORES if m in vars(value)]:
                        setattr(value, method, self.count(vars(value)[method]))
                    if name == "Parents" and hasattr(value, "n_scored"):
                        value.answer = self.answer(value.answer)  # type: ignore[attr-defined]
                        value.__post_init__ = self.keep(value.__post_init__)  # type: ignore[attr-defined]
                    if name == "ActiveFit":
                        value.update = self.stage("kinds", value.update)  # type: ignore[attr-defined]


def engine() -> tuple[Any, Any, Any, Any]:
    """The search, the classes of moments and designs, and mechanisms by name, in this or an older layout."""
    from scgim._core.design import Design

    try:
        from scgim._core.learn.fit_search import fit_search
        from scgim._core.moments.moments import Moments
    except ModuleNotFoundError:
        from scgim._core.engine import fit_search

        from scgim._core.moments import Moments
    try:
        from scgim._core.mechanisms import MECHANISMS
    except ImportError:
        return fit_search, Moments, Design, {}
    return fit_search, Moments, Design, MECHANISMS


def one(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fits one case in this process."""
    case = CASES[arguments.case]
    data = load(MOMENTS / f"{case.data or arguments.case}.npz")
    fit_search, moments_class, design_class, mechanisms = engine()
    named = {k: mechanisms.get(v, v) for k, v in {"mechanism": data.moments["mechanism"]}.items()}
    known = {f.name for f in fields(moments_class)}  # older layouts have fewer
    given = data.moments | named
    given |= {"block": given["pool"]} if "pool" in given else {"pool": given.get("block")}  # as older layouts call it
    moments = moments_class(**{k: v for k, v in given.items() if k in known and v is not None})
    of_design = {name: tuple(map(str, v)) if name in ("drugs", "group_names") else v for name, v in data.design.items()}
    design = design_class(**of_design)
    last = LastScore() if arguments.other else None
    clock = Clock()
    clock.watch()
    before, began = peak_mb(), time.process_time()
    clock.since = began
    options = dict(case.options)
    if not options.pop("doubts", True):
        trust()
    if mechanisms:  # in the present layout moments know their mechanism, and cycles are a structure
        options = {k: v for k, v in options.items() if k not in ("cyclic", "mechanism")}
        options |= {"structure": "cyclic"} if case.options.get("cyclic") else {}
    genes = [f"gene {j}" for j in range(moments.n_genes)]
    fit = sys.modules[fit_search.__module__].fit_search(moments, design, genes=genes, rng=arguments.seed, **options)
    clock.switch()
    seconds = time.process_time() - began
    graph, probability, background = parts(fit)
    np.savez(
        arguments.out, graph=graph, background=background / moments.scale,
        p_target=fit.settings.get("p_target", 0.0), slab_sd=fit.settings.get("slab_sd", 1.0),
    )  # fmt: skip
    stages = {
        f"{name}_s": clock.spent.get(name, 0.0)
        for name in ("start", "search", "edges", "prior", "kinds", "assemble", "other")
    }
    scores = {}
    if last is not None:
        with np.load(arguments.other) as file:
            scores = {"score_new": last.of(graph), "score_of_old_graph": last.of(file["graph"])}
    row = {"cpu_s": seconds, **stages, "peak_mb": peak_mb(), "added_mb": peak_mb() - before}
    row = {name: round(value, 3) for name, value in row.items()} | {"scored": clock.n_scored}
    return (
        row
        | {"score": float(fit.history[-1]["score"]), "edges": int((graph != 0).sum())}
        | found(data, graph, probability)
        | scores
    )


def trust() -> None:
    """Covariances within contexts are trusted, as they were before it was learned how far they can be."""
    learners = sys.modules.get("scgim._core.learn.learners")
    if learners is not None:
        learn = learners.learn_structure
        learners.learn_structure = lambda *given, **named: learn(*given, **named | {"doubts": False})


def parts(fit: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights ``(G, G)``, probability of targets ``(D, G)`` and background ``(G,)`` of a fit, in this or an older layout."""
    if isinstance(fit.graph, np.ndarray):
        return fit.graph, fit.probability, fit.background_sd
    return fit.graph.weights, fit.of_drug.probability, fit.drift.background_sd


def found(data: Data, graph: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """F1 of edges and targets where the truth is known."""
    out = {}
    for name, array, cut in (("weights", graph, 0.0), ("effect", probability, 0.5)):
        if name in data.truth:
            a, b = np.abs(array) > cut, data.truth[name] != 0
            out["edge_f1" if name == "weights" else "target_f1"] = (
                2 * float((a & b).sum()) / max(float(a.sum() + b.sum()), 1)
            )
    return out


def kept_at(case: str, name: str, seed: int) -> Path:
    """Where the graph of a fit by a checkout lies."""
    return HERE / "results" / "rows" / f"{case}_{name}_{seed}.npz"


def run(
    case: str, source: Path, seed: int, name: str, *, kept: bool, other: Path | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Fits one case in a process of its own with the code of a checkout, unless what it did is `kept` from an earlier run.

    The graph of `other` is scored, too.
    """
    out = kept_at(case, name, seed)
    row = out.with_suffix(".json")
    if kept and row.is_file():
        with np.load(out) as file:
            return json.loads(row.read_text(encoding="utf-8")), dict(file)
    out.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"PYTHONPATH": str(source)}
    command = [sys.executable, __file__, "--case", case, "--seed", str(seed), "--out", str(out)]
    command += [] if other is None else ["--other", str(other)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if done.returncode or not lines:
        raise SystemExit(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stderr[-4000:]}")
    with np.load(out) as file:
        arrays = dict(file)
    row.write_text(lines[-1][len(MARK) :], encoding="utf-8")
    return json.loads(lines[-1][len(MARK) :]), arrays


def common(data: Data, graph: np.ndarray, prior: dict[str, np.ndarray]) -> float:
    """Score of a graph under a given prior of shifts."""
    from scgim._core.design import Design
    from scgim._core.mechanisms import MECHANISMS
    from scgim._core.moments.moments import Moments
    from scgim._core.structure.prior import Prior
    from scgim._core.structure.score import ShiftScore

    G, design = len(graph), Design(**data.design)
    given = {"p_target": np.full(G, prior["p_target"]), "effect_sd": np.full(G, prior["slab_sd"])}
    moments = Moments(**data.moments | {"mechanism": MECHANISMS[data.moments["mechanism"]]})
    shared = replace(Prior.default(G), background_sd=np.array(prior["background"]), **given)
    score = ShiftScore(moments, design.drug_set, design.group, shared)
    return sum(float(score.score_sets(j, np.flatnonzero(graph[:, j])[None])[0]) for j in range(G))


def compare(case: str, sources: dict[str, Path], seed: int, *, kept: bool) -> list[dict[str, Any]]:
    """One row a checkout, the first of which is ours; what another did may be kept from an earlier run."""
    data = load(MOMENTS / f"{CASES[case].data or case}.npz")
    acyclic = not CASES[case].options.get("cyclic") and CASES[case].options.get("intervention", "shift") == "shift"
    rows, graphs = [], []
    other = None
    for name, source in reversed(sources.items()):  # ours last, which scores the other graph, too
        row, arrays = run(case, source, seed, name, kept=kept and name != "here", other=other)
        rows.insert(0, {"fit": case, "code": name} | row)
        graphs.insert(0, arrays)
        other = kept_at(case, name, seed)
    if acyclic:
        prior = graphs[-1]  # of the other checkout where there is one
        for row, arrays in zip(rows, graphs, strict=True):
            row["common"] = common(data, arrays["graph"], prior)
    if len(rows) > 1:
        rows[0]["ratio"] = rows[1]["cpu_s"] / max(rows[0]["cpu_s"], 1e-3)
    return rows


def over_shift(table: dict[str, list[dict[str, Any]]]) -> None:
    """Time of our ``auto`` over that of our ``shift`` on the same data."""
    for name, rows in table.items():
        beside = table.get(name.replace("_auto", "_shift"))
        if name.endswith("_auto") and beside:
            rows[0]["over_shift"] = rows[0]["cpu_s"] / beside[0]["cpu_s"]


def stored(name: str) -> list[dict[str, Any]]:
    """Rows of a table that is there."""
    path = TABLES / f"{name}.csv"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as file:
        return [{k: number(v) for k, v in row.items() if v != ""} for row in csv.DictReader(file)]


def write_scores(name: str, rows: list[dict[str, Any]]) -> None:
    """Moves both scores of a fit from its rows to a table of their own."""
    if "score_new" not in rows[0]:
        return
    table = {row["fit"]: row for row in stored(f"{name}_scores")}
    ours, old = rows[:2]
    scores = {column: ours.pop(column) for column in ("score_new", "score_of_old_graph")}
    table[ours["fit"]] = {"fit": ours["fit"], "edges_new": ours["edges"], "edges_of_old_graph": old["edges"]} | scores
    write(f"{name}_scores", [table[each] for each in CASES if each in table])


def number(text: str) -> Any:
    """A number where it is one, a whole one where it can be."""
    try:
        value = float(text)
    except ValueError:
        return text
    return int(value) if value.is_integer() else value


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="with the fits that take minutes")
    parser.add_argument("--fits", nargs="+", choices=list(CASES), help="only these")
    parser.add_argument("--beside", type=Path, help="the src folder of another checkout")
    parser.add_argument("--kept", action="store_true", help="take rows of the other checkout from earlier runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", default="real", help="name of the table; rows of other fits in it stay")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    parser.add_argument("--other", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    if arguments.case is not None:
        tell(one(arguments))
        return
    sources = {"here": HERE.parents[1] / "src"}
    if arguments.beside is not None:
        sources["beside"] = arguments.beside.resolve()
    table: dict[str, list[dict[str, Any]]] = {}
    for row in stored(arguments.table):
        table.setdefault(row["fit"], []).append(row)
    for name in arguments.fits or [name for name, case in CASES.items() if arguments.full or not case.long]:
        path = MOMENTS / f"{CASES[name].data or name}.npz"
        if not path.is_file():
            try:
                CASES[name].make().save(path)
            except FileNotFoundError as error:
                print(f"{name}: left out, {error} (data are looked for in {DATA})")
                continue
        table[name] = compare(name, sources, arguments.seed, kept=arguments.kept)
        over_shift(table)
        show(table[name])
        write_scores(arguments.table, table[name])
        write(arguments.table, [row for each in CASES for row in table.get(each, [])])  # so that nothing is lost
    print({name: versions()[name] for name in ("scgim", "numpy", "threads")})


if __name__ == "__main__":
    main()
