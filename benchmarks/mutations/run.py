"""Changes one operator, comparison or number of a function, runs the tests that mirror its file, and lists the changes that no test notices."""

import argparse
import ast
import contextlib
import csv
import importlib
import inspect
import io
import math
import os
import random
import resource
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE, TESTS = ROOT / "src", ROOT / "tests"
SECONDS = 120  # of processor time that tests may take without a change; with one, three times what they took without
HARNESS = """
_core/structure/score.py: test_score.py _core/structure/compiled/test_kernels.py _core/observation/test_latent.py
_core/moments/moments.py: test_moments.py _core/observation/test_latent.py
_core/moments/blocks.py: test_blocks.py
_core/posterior/effects/slab.py: test_slab.py test_targets.py
_core/posterior/effects/hill.py: test_hill.py
_core/posterior/effects/curves.py: test_curves.py test_hill.py test_targets.py test_levels.py
_core/posterior/odds.py: test_odds.py test_contrasts.py test_background.py
_core/posterior/contrasts.py: test_contrasts.py _core/posterior/effects/test_targets.py
_core/posterior/effects/targets.py: test_targets.py test_levels.py
_core/posterior/effects/levels.py: test_levels.py
_core/posterior/combine.py: test_combine.py
_core/posterior/spread.py: test_spread.py
_core/posterior/information.py: test_information.py
_core/posterior/background.py: test_background.py
_core/effects.py: test_effects.py
metrics/_graphs/edge_f1.py: metrics/_graphs metrics/test_checks.py
metrics/_graphs/edge_average_precision.py: metrics/_graphs metrics/test_checks.py
metrics/_graphs/structural_hamming_distance.py: metrics/_graphs metrics/test_checks.py
metrics/_graphs/structural_intervention_distance.py: metrics/_graphs metrics/test_checks.py
metrics/_predictions/*: metrics/_predictions metrics/test_checks.py
metrics/_targets/*: metrics/_targets metrics/test_checks.py
"""
"""Files, and the tests that have to notice; those that no folder is named of are at the same place."""
BINARY = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}
COMPARED = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}


@dataclass(frozen=True)
class Mutant:
    """One change: the `number`-th place of a function, and which of its changes."""

    file: str
    function: str
    number: int
    change: int
    line: int
    text: str


def places(function: ast.AST) -> Iterator[ast.AST]:
    """Nodes that may be changed, in a fixed order; not in messages, docstrings and annotations."""
    body: list[ast.AST] = list(getattr(function, "body", []))
    while body:
        node = body.pop(0)
        if isinstance(node, ast.Raise | ast.JoinedStr | ast.FunctionDef | ast.ClassDef):
            continue
        if isinstance(node, ast.AnnAssign):
            body = [n for n in (node.value,) if n is not None] + body
            continue
        if changes(node):
            yield node
        body = list(ast.iter_child_nodes(node)) + body


def changes(node: ast.AST) -> list[str]:
    """What a node can become, in words."""
    if isinstance(node, ast.BinOp) and type(node.op) in BINARY:
        return [f"{type(node.op).__name__} -> {BINARY[type(node.op)].__name__}"]
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARED:
        return [f"{type(node.ops[0]).__name__} -> {new.__name__}" for new in COMPARED[type(node.ops[0])]]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not | ast.Invert):
        return [f"{type(node.op).__name__} left out"]
    if isinstance(node, ast.BoolOp):
        return ["and -> or" if isinstance(node.op, ast.And) else "or -> and"]
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        return [f"{node.value} -> {not node.value}"]
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return [f"{node.value} -> {node.value + 1}"]
    return []


class Change(ast.NodeTransformer):
    """Changes one node of a tree."""

    def __init__(self, node: ast.AST, change: int) -> None:
        self.node, self.change = node, change

    def visit(self, node: ast.AST) -> Any:
        if node is not self.node:
            return self.generic_visit(node)
        if isinstance(node, ast.BinOp):
            node.op = BINARY[type(node.op)]()
        elif isinstance(node, ast.Compare):
            node.ops = [COMPARED[type(node.ops[0])][self.change]()]
        elif isinstance(node, ast.UnaryOp):
            return node.operand
        elif isinstance(node, ast.BoolOp):
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        elif isinstance(node, ast.Constant):
            node.value = (not node.value) if isinstance(node.value, bool) else node.value + 1
        return node


def functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions and methods with their qualified names; not the compiled ones, whose references are tested."""
    for node in tree.body:
        members = node.body if isinstance(node, ast.ClassDef) else [node]
        for member in members:
            if isinstance(member, ast.FunctionDef) and "njit" not in ast.dump(ast.List(member.decorator_list)):
                yield (f"{node.name}." if isinstance(node, ast.ClassDef) else "") + member.name, member


def harness() -> dict[str, list[str]]:
    """Files under `src/scgim`, with their tests."""
    out: dict[str, list[str]] = {}
    for line in HARNESS.strip().splitlines():
        pattern, tests = line.split(": ")
        here = (TESTS / pattern).parent
        for path in sorted((SOURCE / "scgim").glob(pattern)):
            if path.suffix == ".py" and path.stem != "__init__":
                out[path.relative_to(SOURCE / "scgim").as_posix()] = [
                    str(here / name if name[:5] == "test_" else TESTS / name) for name in tests.split()
                ]
    return out


def mutants(file: str) -> list[Mutant]:
    """All changes of a file."""
    text = (SOURCE / "scgim" / file).read_text(encoding="utf-8")
    lines, out = text.splitlines(), []
    for name, function in functions(ast.parse(text)):
        for number, node in enumerate(places(function)):
            line = getattr(node, "lineno", function.lineno)
            for change, words in enumerate(changes(node)):
                out.append(Mutant(file, name, number, change, line, f"{words}: {lines[line - 1].strip()}"))
    return out


def apply(mutant: Mutant) -> None:
    """Give the function of the loaded module the code of the change, wherever it was imported to."""
    path = SOURCE / "scgim" / mutant.file
    tree = ast.parse(path.read_text(encoding="utf-8"))
    function = dict(functions(tree))[mutant.function]
    node = list(places(function))[mutant.number]
    Change(node, mutant.change).visit(function)
    code = compile(ast.fix_missing_locations(tree), str(path), "exec")
    for part in mutant.function.split("."):
        code = next(c for c in code.co_consts if isinstance(c, types.CodeType) and c.co_name == part)
    module: Any = importlib.import_module("scgim." + mutant.file.removesuffix(".py").replace("/", "."))
    for part in mutant.function.split("."):
        module = inspect.getattr_static(module, part)
    module = getattr(module, "__func__", module)
    module = getattr(module, "fget", None) or getattr(module, "func", None) or module
    inspect.unwrap(module).__code__ = code


def survives(mutant: Mutant | None, tests: list[str], seconds: int = SECONDS) -> bool:
    """Whether the tests pass with a change, in a process of its own; more than `seconds` is a loop that does not end."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        code = 3
        try:
            if mutant is not None:
                apply(mutant)
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                code = int(pytest.main(["-q", "-x", "-W", "default", "-p", "no:cacheprovider", "--no-header", *tests]))
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0


def spent() -> float:
    """Seconds of processor time of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


Key = tuple[str, str, str, str]


def key(mutant: Mutant) -> Key:
    """What a change is known by in the table."""
    return mutant.file, mutant.function, str(mutant.number), mutant.text


def read(path: Path) -> dict[Key, tuple[str, str]]:
    """Changes that are in a table already: line, and what was written about each."""
    if not path.is_file():
        return {}
    with open(path, newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return {(r["file"], r["function"], r["place"], r["change"]): (r["line"], r["answer"]) for r in rows}


def write(path: Path, table: dict[Key, tuple[str, str]]) -> None:
    """The table, by file and line."""
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["file", "line", "function", "place", "change", "answer"])
        for (file, function, place, text), (line, answer) in sorted(
            table.items(), key=lambda row: (row[0][0], int(row[1][0]), int(row[0][2]), row[0][3])
        ):
            writer.writerow([file, line, function, place, text, answer])


def main() -> None:
    """Draw changes, run tests, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=200, help="changes to draw")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="part of the names of files")
    parser.add_argument("--again", action="store_true", help="only the changes that are in the table")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "tables")
    given = parser.parse_args()
    sys.path.insert(0, str(TESTS))
    files = {file: tests for file, tests in harness().items() if given.only in file}
    for file in files:
        importlib.import_module("scgim." + file.removesuffix(".py").replace("/", "."))
    importlib.import_module("systems")
    limit: dict[tuple[str, ...], int] = {}
    for tests in sorted({tuple(t) for t in files.values()}):
        before = spent()
        if not survives(None, list(tests)):
            raise SystemExit(f"{tests}: do not pass without a change")
        limit[tests] = math.ceil(3 * (spent() - before)) + 5
        sys.stderr.write(f"{limit[tests]} s at most: {' '.join(Path(t).name for t in tests)}\n")
    every = [m for file in files for m in mutants(file)]
    path = given.out / "survivors.csv"
    table = read(path)
    drawn = random.Random(given.seed).sample(every, min(given.number, len(every)))
    if given.again:
        drawn = [m for m in every if key(m) in table]
    rows = []
    for mutant in drawn:  # in random order, so that a run that is ended early is a smaller sample
        alive = survives(mutant, files[mutant.file], limit[tuple(files[mutant.file])])
        rows.append((mutant, alive))
        sys.stdout.write(f"{'SURVIVES' if alive else 'noticed'}  {mutant.file}:{mutant.line}  {mutant.text}\n")
        sys.stdout.flush()
        if alive:
            table.setdefault(key(mutant), (str(mutant.line), ""))
            write(path, table)
    noticed = sum(not alive for _, alive in rows)
    sys.stdout.write(f"{noticed} of {len(rows)} noticed (of {len(every)} possible; seed {given.seed})\n")


if __name__ == "__main__":
    main()
