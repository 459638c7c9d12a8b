"""Imports point one way: _core <- model <- pp, tl, pl, get, datasets, metrics <- cli."""

import ast
from collections.abc import Iterator
from pathlib import Path

import networkx
import pytest

import scgim

ROOT = Path(scgim.__file__).parent
LAYER = {"_core": 0, "model": 1, "pp": 2, "tl": 2, "pl": 2, "get": 2, "datasets": 2, "metrics": 2, "cli": 3}
LEAVES = {"_check_basics", "_checks", "_docstrings", "_keys", "_options", "_version", "_warnings", "_writing"}
"""Modules that every layer may import, and that import nothing else of scgim."""
CHAINS = {
    "_core": (
        "design mechanisms moments posterior structure observation features kinds fit learn settings",
        "effects arrays state allowed from_disk",
    ),
    "model": ("_reading _study _loading _module _neural _published _training _prediction _asking _saving _gim", ""),
}
"""Folders (or files) of a layer, each of which may import those before it; and files at its foot that all may import."""
SCVERSE = {"anndata", "mudata", "scanpy", "scvi", "lightning"}
FORBIDDEN = {"_core": SCVERSE | {"pandas", "matplotlib"}, "pl": {"torch", "scvi", "lightning"}}
"""Packages that a part may not import, not even inside of a function."""

FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def part_of(path: Path) -> str:
    """The first name below the package: ``_core``, ``model``, ``tl`` ..."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(tree: ast.AST) -> Iterator[tuple[str, int, bool]]:
    """Yield (dotted name, line, only for type checkers) of each import; ``from a import b`` gives ``a.b``."""
    stack: list[tuple[ast.AST, bool]] = [(tree, False)]
    while stack:
        node, typing_only = stack.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno, typing_only
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno, typing_only
        for child in ast.iter_child_nodes(node):
            stack.append((child, typing_only or is_type_checking(node)))


def room(name: str, layer: str) -> str:
    """Folder or file of a layer that a dotted name lies in."""
    return name.removeprefix(f"scgim.{layer}.").partition(".")[0]


def arrows() -> dict[Path, set[Path]]:
    """Which file imports which, imports inside functions counted, those for type checkers not."""
    files = {".".join(("scgim", *p.relative_to(ROOT).with_suffix("").parts)): p for p in ROOT.rglob("*.py")}
    found: dict[Path, set[Path]] = {path: set() for path in files.values()}
    for path, into in found.items():
        for name, _, typing_only in imports(ast.parse(path.read_text(encoding="utf-8"))):
            target = files.get(name) or files.get(name.rpartition(".")[0])
            if not typing_only and target not in (None, path):
                into.add(target)
    return found


def circles(graph: dict[Path, set[Path]]) -> list[list[str]]:
    """Files that import each other in a circle, in groups."""
    order = networkx.DiGraph([(a, b) for a, into in graph.items() for b in into])
    groups = networkx.strongly_connected_components(order)
    return [sorted(p.relative_to(ROOT).as_posix() for p in group) for group in groups if len(group) > 1]


def violations(source: str, part: str) -> list[str]:
    """What is wrong with the imports of one file of a part."""
    found = []
    for name, line, typing_only in imports(ast.parse(source)):
        top, _, rest = name.partition(".")
        if top == "scgim":
            target = rest.partition(".")[0]
            if target in LEAVES or target.startswith("__"):
                continue
            if target not in LAYER:
                found.append(f"line {line}: {name} is in no layer")
            elif part in LEAVES or LAYER[target] > LAYER[part]:
                found.append(f"line {line}: {part} may not import {name}")
        elif not typing_only and top in FORBIDDEN.get(part, ()):
            found.append(f"line {line}: {part} may not import {top}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_point_one_way(path: Path) -> None:
    part = part_of(path)
    assert part in LAYER or part in LEAVES, f"{part} is in no layer: add it to LAYER"
    assert violations(path.read_text(encoding="utf-8"), part) == []


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("from scgim.model import GIM", "_core"),
        ("import anndata as ad", "_core"),
        ("def f():\n    import scvi", "_core"),
        ("from scgim import tl", "model"),
        ("from scgim.cli import main", "tl"),
        ("import torch", "pl"),
        ("from scgim._core.design import Design", "_keys"),
    ],
)
def test_wrong_imports_are_found(source: str, part: str) -> None:
    assert violations(source, part)


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("import numpy as np\nimport torch\nfrom scgim import _keys", "_core"),
        ("from scgim import __version__", "model"),
        ("from scgim.metrics import edge_scores", "tl"),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import anndata", "_core"),
    ],
)
def test_right_imports_pass(source: str, part: str) -> None:
    assert violations(source, part) == []


@pytest.mark.parametrize("layer", list(CHAINS))
def test_folders_of_a_layer_import_one_way(layer: str) -> None:
    chain, foot = (names.split() for names in CHAINS[layer])
    place = {name: k for k, name in enumerate([*foot, *chain])} | dict.fromkeys(foot, -1)
    wrong = []
    for path in (ROOT / layer).rglob("*.py"):
        own = path.relative_to(ROOT / layer).with_suffix("").parts[0]
        if path == ROOT / layer / "__init__.py":
            continue  # the door: it shows what lies behind
        assert own in place, f"{own} is not in the chain of {layer}"
        for name, line, _ in imports(ast.parse(path.read_text(encoding="utf-8"))):
            if name.startswith(f"scgim.{layer}.") and place.get(room(name, layer), 99) > place[own]:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert wrong == []


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circles(arrows()) == []


def test_no_import_of_the_package_hides_in_a_function() -> None:
    hidden = []
    for path in [*(ROOT / "_core").rglob("*.py"), *(ROOT / "model").rglob("*.py")]:
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef):
                names = [name for name, _, _ in imports(function)]
                hidden += [f"{path.relative_to(ROOT)}: {name}" for name in names if name.startswith("scgim")]
    assert hidden == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_name_of_a_module_has_two_values(path: Path) -> None:
    """A constant that is written down twice has the second value everywhere."""
    body = ast.parse(path.read_text()).body
    targets = [t for node in body if isinstance(node, ast.Assign) for t in node.targets]
    targets += [node.target for node in body if isinstance(node, ast.AnnAssign)]
    names = [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
    assert len(names) == len(set(names))
