"""Parts of the documentation that are made at build time, so that they cannot fall behind the code."""

import ast
import csv
import importlib
import inspect
import re
import shutil
from pathlib import Path

from gallery import gallery

NAMESPACES = ("pp", "tl", "get", "pl", "model", "datasets", "metrics")
"""Pages of the reference, in their order."""
MAX_ROWS = 80
"""Longer tables stay in their files."""
OPEN_ROWS = 24
"""Longer tables, and those of former versions, are closed until a reader opens them."""

SHOWN = {
    "targets_altered": {
        "what": "alteration",
        "screens": "screens",
        "mrr": "mean reciprocal rank",
        "best_simple": "best simple score",
        "calls_0.9": "calls",
        "precision": "drugs hit over calls",
    },
    "targets_foreign": {
        "case": "simulator",
        "targets": "targets",
        "calls_0.9": "calls",
        "true_0.9": "share that are true",
        "found_0.9": "share of targets called",
        "mrr_scgim": "mean reciprocal rank",
        "mrr_welch": "that of Welch's test",
    },
}
"""Columns of single tables that pages show, with their headings; all columns of other tables."""


def write(docs: Path, root: Path) -> None:
    """Write the generated parts below ``docs/_include``."""
    out = docs / "_include"
    out.mkdir(exist_ok=True)
    (out / "keys.md").write_text(keys(), encoding="utf-8")
    (out / "scores.md").write_text(scores(), encoding="utf-8")
    (out / "api.md").write_text(names(docs / "api"), encoding="utf-8")
    (out / "benchmarks.md").write_text(benchmarks(root / "benchmarks", docs), encoding="utf-8")
    single_tables(root / "benchmarks", out / "tables")
    (out / "gallery.md").write_text(gallery(root / "tutorials", out), encoding="utf-8")


def keys() -> str:
    """The tables of the page "What scgim writes"."""
    from scgim import _keys

    return "\n\n".join(
        [
            "## By `tl.fit`\n",
            _keys.markdown_table(_keys.FIT),
            "## By `tl.fit` with `regulators`\n",
            _keys.markdown_table(_keys.FIT_OF_REGULATORS),
            "## By `tl.predict`, into the object that it returns\n",
            _keys.markdown_table(_keys.PREDICT),
            "",
        ]
    )


def scores() -> str:
    """The catalogue of metrics of held-out conditions."""
    from scgim.tl._evaluation.scores import markdown_table

    return markdown_table() + "\n"


def names(folder: Path) -> str:
    """Every public name, by the pages of the reference and their sections."""
    parts = []
    for page in NAMESPACES:
        text = (folder / f"{page}.md").read_text(encoding="utf-8")
        what = text.partition("\n")[0].removeprefix(f"# {page}: ").capitalize()
        found = re.findall(rf"^   ({page}\.[\w.]+)$", text, re.MULTILINE)
        links = ", ".join(f"{{py:obj}}`{name.rpartition('.')[2]} <scgim.{name}>`" for name in found)
        parts.append(f"[{page}](api/{page}.md): {what.rstrip('.')}\n: {links}")
    return "\n\n".join(parts) + "\n"


def own_members(fullname: str) -> list[tuple[str, str]]:
    """Public members of a class that are written in scgim, with the directive that documents each; none of faults, which are only made."""
    module, _, name = fullname.rpartition(".")
    if module == "scgim.datasets.faults":
        return []
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


def benchmarks(folder: Path, out: Path) -> str:
    """A list of the sections; then one for each folder of ``benchmarks``: its commands, its tables and pictures."""
    sections, listed = [], ["| section | what is asked |", "| --- | --- |"]
    for part in sorted(path for path in folder.glob("[!._]*") if path.is_dir()) if folder.is_dir() else []:
        found = [text for path in sorted((part / "tables").glob("*.csv")) if (text := result(path, folder, out))]
        if found:
            name, about = heading(part / "README.md", title(part.name)), note(part / "README.md")
            anchor = re.sub(r"[^\w\- ]", "", name).lower().replace(" ", "-")
            listed.append(f"| [{name}](#{anchor}) | {first_sentence(about)} |")
            sections += [f"## {name}", about, commands(part), *found]
    if not sections:
        return "This build was made from a checkout without result tables.\n"
    return "\n\n".join(["\n".join(listed), *(section for section in sections if section)]) + "\n"


def heading(path: Path, other: str) -> str:
    """The heading of a README, or another one where there is none."""
    first = path.read_text(encoding="utf-8").partition("\n")[0] if path.is_file() else ""
    return first.removeprefix("# ") if first.startswith("# ") else other


def first_sentence(text: str) -> str:
    """Of a paragraph, in one line."""
    return re.split(r"(?<=[\w)`]{3}[.?:]) ", " ".join(text.partition("\n\n")[0].split()))[0].rstrip(":") if text else ""


def single_tables(folder: Path, out: Path) -> None:
    """Each table by itself, as ``tables/FOLDER_NAME.md``, for pages that show one with their own words around it."""
    out.mkdir(exist_ok=True)
    for path in sorted(folder.glob("*/tables/*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        if 2 <= len(rows) <= MAX_ROWS + 1:
            name = f"{path.parts[-3]}_{path.stem}"
            (out / f"{name}.md").write_text(table(shown(rows, SHOWN.get(name))) + "\n", encoding="utf-8")


def shown(rows: list[list[str]], headings: dict[str, str] | None) -> list[list[str]]:
    """Some columns of a table under other headings; all of them as they are for None."""
    if headings is None:
        return rows
    places = [rows[0].index(column) for column in headings]
    return [list(headings.values()), *([row[place] for place in places] for row in rows[1:])]


def commands(folder: Path) -> str:
    """The scripts of a folder with the first lines of their docstrings."""
    lines = []
    for script in sorted(folder.glob("[!_]*.py")):
        docstring = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
        what = " ".join(docstring.partition("\n\n")[0].split())
        lines.append(f"- `python benchmarks/{folder.name}/{script.name}`: {what}")
    return "\n".join(lines)


def result(path: Path, folder: Path, out: Path) -> str:
    """One table with its note (``.md``) and picture (``.png``) of the same name; nothing if it is empty or long."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    if not 2 <= len(rows) <= MAX_ROWS + 1:
        return ""
    relative = path.relative_to(folder).as_posix()
    shut = len(rows) > OPEN_ROWS + 1 or path.stem.endswith("_before")
    body = f":::{{dropdown}} {len(rows) - 1} rows\n{table(rows)}\n:::" if shut else table(rows)
    parts = [f"### {title(path.stem)}", note(path.with_suffix(".md")), body, f"From `benchmarks/{relative}`."]
    picture = path.with_suffix(".png")
    if picture.is_file():
        copy = Path("_include") / "benchmarks" / picture.relative_to(folder)
        (out / copy).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, out / copy)
        parts.append(f"![{title(path.stem)}]({copy.as_posix()})")
    return "\n\n".join(part for part in parts if part)


def title(name: str) -> str:
    """A file name as a heading."""
    return name.replace("_", " ").replace("-", " ").capitalize()


def note(path: Path) -> str:
    """Text beside a table or in a folder, without its own heading."""
    if not path.is_file():
        return ""
    lines = path.read_text(encoding="utf-8").strip().splitlines()
    return "\n".join(lines[1:] if lines and lines[0].startswith("# ") else lines).replace("\n## ", "\n### ").strip()


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
