"""Links inside the documentation, the README and the other pages lead somewhere."""

import re
from pathlib import Path

import pytest

import scgim

ROOT = Path(scgim.__file__).parents[2]
DOCS = ROOT / "docs"
MADE = ("_", "generated", "tutorials/", "jupyter_execute")  # at build time
pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the documentation is not beside this package")


def pages() -> list[Path]:
    docs = [p for p in DOCS.rglob("*.md") if not p.relative_to(DOCS).as_posix().startswith(MADE)]
    return [*docs, *ROOT.glob("*.md"), *(ROOT / "benchmarks").rglob("*.md")]


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"```.*?```", "", text, flags=re.S))


def anchors(page: Path) -> set[str]:
    """What headings of a page are called in links, and its own labels."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    heads = re.findall(r"^#+ +(.*)$", text, re.M)
    plain = (re.sub(r"[^\w\- ]", "", head).strip().lower().replace(" ", "-") for head in heads)
    return {*plain, *re.findall(r"^\(([\w-]+)\)=$", text, re.M)}


def links(page: Path) -> list[str]:
    """Targets of links and pictures that are not addresses."""
    found = re.findall(r"!?\[[^\]]*\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8")))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


@pytest.mark.parametrize("page", pages() if DOCS.is_dir() else [], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    labels = set().union(*(set(re.findall(r"^\(([\w-]+)\)=$", p.read_text("utf-8"), re.M)) for p in pages()))
    lost = []
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = page if not name else (page.parent / name).resolve()
        if not name and anchor in labels or link in labels:
            continue
        if not target.exists() and "tutorials/" not in name:  # notebooks are copied at build time
            lost.append(link)
        elif anchor and target.suffix == ".md" and anchor not in anchors(target):
            lost.append(link)
    assert lost == []


def test_notebooks_that_are_linked_are_there() -> None:
    named = {name for page in pages() for name in re.findall(r"tutorials/([\w-]+)", page.read_text("utf-8"))}
    there = {path.stem for path in (ROOT / "tutorials").glob("*.ipynb")}
    assert {name for name in named if re.match(r"\d\d_", name)} <= there


def test_names_in_roles_are_public() -> None:
    """``{func}`` and its like name what exists: the build without nitpicking would not say so."""
    from importlib import import_module

    lost = []
    for page in pages():
        for name in re.findall(
            r"\{(?:func|class|meth|mod|data)\}`~?(?:[^<`]*<)?(scgim[\w.]*)>?`", page.read_text("utf-8")
        ):
            parts = name.split(".")
            for cut in range(len(parts), 0, -1):
                try:
                    thing = import_module(".".join(parts[:cut]))
                except ImportError:
                    continue
                break
            for part in parts[cut:]:
                thing = getattr(thing, part, None)
            if thing is None:
                lost.append((page.name, name))
    assert lost == []
