"""The documentation names every public function, and cites only what is in the bibliography."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

import scgim

PACKAGE = Path(scgim.__file__).parent
DOCS = PACKAGE.parents[1] / "docs"
NAMESPACES = ("model", "pp", "tl", "pl", "get", "datasets", "metrics")

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the documentation is not beside this package")


def public_names(file: Path) -> list[str]:
    """``__all__`` of a module, read without importing it."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(ast.unparse(target) == "__all__" for target in node.targets):
            return ast.literal_eval(node.value)
    return []


def public_api(folder: Path, prefix: str) -> set[str]:
    """Dotted names of all public functions and classes of a namespace; a module stands for its own public names."""
    names = set()
    for name in public_names(folder / "__init__.py" if folder.is_dir() else folder):
        if name.isupper() and "_" in name:  # a constant
            continue
        inner = [path for path in (folder / name, folder / f"{name}.py") if path.exists()]
        names |= public_api(inner[0], f"{prefix}.{name}") if inner else {f"{prefix}.{name}"}
    return names


def test_api_page_lists_every_public_name() -> None:
    expected = set().union(*(public_api(PACKAGE / name, name) for name in NAMESPACES))
    entry = rf"^   ((?:{'|'.join(NAMESPACES)})\.[\w.]+)$"
    pages = sorted((DOCS / "api").glob("*.md"))
    documented = [name for page in pages for name in re.findall(entry, page.read_text("utf-8"), re.M)]
    assert len(documented) == len(set(documented)), "a name is listed twice"
    assert set(documented) == expected


def test_every_page_of_a_picture_shows_one() -> None:
    shown = {path.stem for path in (DOCS / "_static" / "pl").glob("*.png")}
    for name in public_names(PACKAGE / "pl" / "__init__.py"):
        assert any(stem == name or stem.startswith(f"{name}_") for stem in shown), (
            f"no picture of pl.{name}: docs/make_pictures.py"
        )


def test_citations_are_in_the_bibliography() -> None:
    known = set(re.findall(r"^@\w+\{([^,\s]+),", (DOCS / "references.bib").read_text("utf-8"), re.M))
    cited = set()
    for path in [*PACKAGE.rglob("*.py"), *DOCS.rglob("*.md")]:
        text = path.read_text(encoding="utf-8")
        for keys in re.findall(r":cite:\w*:`([^`]+)`|\{cite:\w+\}`([^`]+)`", text):
            cited |= {key.strip() for key in "".join(keys).split(",")}
    assert "schneider2025" in cited
    assert cited <= known, f"not in references.bib: {sorted(cited - known)}"


def test_every_page_is_in_a_table_of_contents() -> None:
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    made = ("_", "generated", "tutorials/", "jupyter_execute")
    pages = {page for page in pages if not page.startswith(made)} - {"index"}
    listed = set()
    for index in (DOCS / "index.md", DOCS / "api.md", DOCS / "user_guide" / "index.md"):
        base = index.parent.relative_to(DOCS)
        listed |= {(base / line.strip()).as_posix() for line in index.read_text(encoding="utf-8").splitlines()}
    assert pages <= listed


def test_the_picture_of_the_architecture_is_that_of_the_code() -> None:
    spec = importlib.util.spec_from_file_location("architecture", DOCS / "architecture.py")
    architecture = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(architecture)
    drawn = architecture.PICTURE.read_text("utf-8").partition("<desc>")[2].partition("</desc>")[0]
    assert drawn == architecture.describe(architecture.read()), "draw it again: python docs/architecture.py"


def test_contributing_lists_every_kind_as_it_is() -> None:
    from scgim._core.kinds import KINDS

    rows = re.findall(
        r"^\| `(\w+)` \| .* \| `(\w+)` \| (.*) \| `(.*)` \|$",
        (DOCS.parent / "CONTRIBUTING.md").read_text("utf-8"),
        re.M,
    )
    how = {True: "one search over orders", False: "in turn"}
    assert {(name, scatter, order) for name, scatter, order, _ in rows} == {
        (kind.name, kind.scatter, how[kind.scored]) for kind in KINDS.values()
    }
    assert all((PACKAGE / file).is_file() for *_, file in rows)
