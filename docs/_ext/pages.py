"""Parts of the documentation that are made at build time, so that they cannot fall behind the code."""

import csv
import importlib
import inspect
from pathlib import Path

MAX_ROWS = 80
"""Longer tables stay in their files."""


def write(docs: Path, root: Path) -> None:
    """Write the generated parts below ``docs/_include``."""
    out = docs / "_include"
    out.mkdir(exist_ok=True)
    (out / "keys.md").write_text(keys(), encoding="utf-8")
    (out / "benchmarks.md").write_text(benchmarks(root / "benchmarks"), encoding="utf-8")


def keys() -> str:
    """The tables of the page "What scgim writes"."""
    from scgim import _keys

    return "\n\n".join(
        [
            "## By `tl.fit`\n",
            _keys.markdown_table(_keys.FIT),
            "## By `tl.predict`, into the object that it returns\n",
            _keys.markdown_table(_keys.PREDICT),
            "",
        ]
    )


def own_members(fullname: str) -> list[tuple[str, str]]:
    """Public members of a class that are written in scgim, with the directive that documents each."""
    module, _, name = fullname.rpartition(".")
    cls = getattr(importlib.import_module(module), name)
    found = {}
    for base in reversed(inspect.getmro(cls)):
        if not base.__module__.startswith("scgim."):
            continue
        for member, value in vars(base).items():
            function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
            if not member.startswith("_") and callable(function) and inspect.getdoc(function):
                found[member] = "autoproperty" if isinstance(value, property) else "automethod"
    return list(found.items())


def benchmarks(folder: Path) -> str:
    """One section for each folder of ``benchmarks`` that holds result tables."""
    sections = []
    for path in sorted(folder.rglob("*.csv")) if folder.is_dir() else []:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        if not 2 <= len(rows) <= MAX_ROWS + 1:
            continue
        relative = path.relative_to(folder)
        note = path.with_suffix(".md")
        text = note.read_text(encoding="utf-8").strip() if note.is_file() else ""
        title = " / ".join(relative.with_suffix("").parts).replace("_", " ").replace(" / results / ", " / ")
        sections.append(
            "\n\n".join(part for part in (f"## {title}", text, table(rows), f"Table: `benchmarks/{relative}`.") if part)
        )
    if not sections:
        return "This build was made from a checkout without result tables: run the commands above to make them.\n"
    return "\n\n".join(sections) + "\n"


def table(rows: list[list[str]]) -> str:
    """Rows of a CSV file as a Markdown table, numbers cut to three figures."""
    lines = [[cell(value) for value in row] for row in rows]
    lines.insert(1, ["---"] * len(rows[0]))
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)


def cell(value: str) -> str:
    """One value; only numbers with a fraction are shortened."""
    try:
        number = float(value)
    except ValueError:
        return value.replace("|", "\\|")
    if "." not in value and "e" not in value.lower():
        return value
    return f"{number:.0f}" if abs(number) >= 1000 else f"{number:.3g}"
