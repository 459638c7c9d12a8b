"""Draw the picture of the architecture: ``python docs/architecture.py``.

Boxes are the folders of ``src/scgim``, and inside of ``_core`` and ``model`` their folders and single files. An arrow runs from what imports
to what is imported, read from the code. Arrows that follow from others are left out, and so are those between files of one box, and those
to single files that import nothing, which stand at the foot of their panel. All arrows run down, or there is no picture: a circle is an error.
"""

import ast
import json
import random
import re
import textwrap
from collections.abc import Iterator
from html import escape
from pathlib import Path

HERE = Path(__file__).parent
SOURCE = HERE.parent / "src" / "scgim"
PICTURE = HERE / "_static" / "architecture.svg"
PANELS = {
    "cli": "command line",
    "public": "AnnData and MuData",
    "model": "on scvi-tools",
    "_core": "numpy and torch alone",
}
"""The layers from top to bottom; ``public`` is every folder that is not one of the others."""
Edges = dict[str, set[str]]
"""For each box those that it imports from."""


def file_imports(path: Path) -> Iterator[str]:
    """Dotted names that a file imports when it runs; ``from a import b`` gives ``a.b``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):  # what only type checkers see does not bind the parts together
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def box_of(parts: tuple[str, ...]) -> tuple[str, str] | None:
    """Panel and box of a module below ``scgim``; None for the package itself and for files beside the layers (``_keys``)."""
    if not parts or (parts[0].startswith("_") and parts[0] not in PANELS):
        return None
    panel = parts[0] if parts[0] in PANELS else "public"
    inner = panel in ("model", "_core") and len(parts) > 1 and parts[1] != "__init__"
    return panel, (parts[1] if inner else parts[0])


def read(source: Path = SOURCE) -> dict[str, Edges]:
    """Boxes and arrows of every panel, only those between boxes of one panel."""
    panels: dict[str, Edges] = {name: {} for name in PANELS}
    known = {path.relative_to(source).with_suffix("").parts for path in source.rglob("*.py")}
    for path in sorted(source.rglob("*.py")):
        here = box_of(path.relative_to(source).with_suffix("").parts)
        if here is None or (here[0] in ("model", "_core") and here[1] == here[0]):
            continue  # the package's own __init__ only names what is inside
        edges = panels[here[0]].setdefault(here[1], set())
        for name in file_imports(path):
            there = box_of(module(tuple(name.split(".")), known))
            if there is not None and there[0] == here[0] and there[1] not in (here[1], here[0]):
                edges.add(there[1])
    for edges in panels.values():
        for name in {target for targets in edges.values() for target in targets}:
            edges.setdefault(name, set())
    return panels


def module(name: tuple[str, ...], known: set[tuple[str, ...]]) -> tuple[str, ...]:
    """The file that a dotted name is in, without ``scgim``; empty for other packages."""
    if name[0] != "scgim":
        return ()
    for length in range(len(name), 1, -1):
        for parts in (name[1:length], (*name[1:length], "__init__")):
            if parts in known:
                return parts
    return ()


def floors(edges: Edges) -> dict[str, int]:
    """Length of the longest way down from each box; raises ValueError on a circle."""
    found: dict[str, int] = {}

    def floor(name: str, above: tuple[str, ...]) -> int:
        if name in above:
            raise ValueError(f"a circle of imports: {' -> '.join([*above[above.index(name) :], name])}.")
        if name not in found:
            found[name] = max((floor(below, (*above, name)) + 1 for below in sorted(edges[name])), default=0)
        return found[name]

    for name in sorted(edges):
        floor(name, ())
    return found


def reduced(edges: Edges) -> Edges:
    """The arrows that do not follow from others."""

    def reached(name: str) -> set[str]:
        return set().union(*({below} | reached(below) for below in edges[name]))

    return {
        name: {below for below in targets if not any(below in reached(other) for other in targets - {below})}
        for name, targets in edges.items()
    }


def feet(panel: str, edges: Edges, source: Path) -> list[str]:
    """Single files that import nothing of their panel."""
    return sorted(name for name, targets in edges.items() if not targets and (source / panel / f"{name}.py").is_file())


def rows(edges: Edges, floor: dict[str, int]) -> tuple[list[list[str]], list[list[str]]]:
    """Boxes of each floor from left to right, with the points where long arrows cross a floor; and each arrow's way."""
    level: list[list[str]] = [[] for _ in range(max(floor.values(), default=0) + 1)]
    for name in sorted(floor):
        level[floor[name]].append(name)
    ways = []
    for name, targets in sorted(edges.items()):
        for below in sorted(targets):
            crossed = [f"{name}>{below}@{k}" for k in range(floor[name] - 1, floor[below], -1)]
            for point in crossed:
                level[int(point.rpartition("@")[2])].append(point)
            ways.append([name, *crossed, below])
    steps = [pair for way in ways for pair in zip(way, way[1:], strict=False)]
    tried = []
    for start in range(STARTS):
        level = [random.Random(start).sample(row, len(row)) if start else sorted(row) for row in level]
        for _ in range(SWEEPS):
            for k in [*range(1, len(level)), *range(len(level) - 2, -1, -1)]:
                level[k] = ordered(level, k, steps)
        tried.append((crossings(level, steps), start, level))
    return min(tried)[-1], ways


STARTS, SWEEPS = 40, 6
"""Orders to start from, and passes down and up in which each floor is put in order; more of either change nothing."""


def crossings(level: list[list[str]], steps: list[tuple[str, str]]) -> int:
    """How often arrows between neighbouring floors cross."""
    place = {name: (k, i) for k, row in enumerate(level) for i, name in enumerate(row)}
    ends = [(place[a], place[b]) for a, b in steps]
    return sum(a[0] == c[0] and a[1] < c[1] and b[1] > d[1] for a, b in ends for c, d in ends)


def ordered(level: list[list[str]], k: int, steps: list[tuple[str, str]]) -> list[str]:
    """A floor in the order of the middles of what its boxes are joined to, neighbours swapped while fewer arrows cross."""
    place = {name: i / max(len(row) - 1, 1) if len(row) > 1 else 0.5 for row in level for i, name in enumerate(row)}
    joined = {name: [b if a == name else a for a, b in steps if name in (a, b)] for name in level[k]}
    middle = {
        name: sum(place[o] for o in others) / len(others) if others else place[name] for name, others in joined.items()
    }
    row = sorted(level[k], key=lambda name: middle[name])
    floor = {name: i for i, names in enumerate(level) for name in names}
    for _ in row:
        for i in range(len(row) - 1):
            pairs = [(a, b) for a in joined[row[i]] for b in joined[row[i + 1]] if floor[a] == floor[b]]
            if sum(place[a] < place[b] for a, b in pairs) < sum(place[a] > place[b] for a, b in pairs):
                row[i], row[i + 1] = row[i + 1], row[i]
    return row


def words(panel: str, box: str, source: Path) -> str:
    """The first words of the docstring of a folder or file: what is in it, in two lines."""
    place = source / box if panel in ("cli", "public") else source / panel / box
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
    text = re.sub(r":\w+:`([^`]*)`|``|`", r"\1", first.partition(" (layer")[0]).rstrip(".")
    for end in (";", ":", ","):
        while len(textwrap.wrap(text, LETTERS)) > 2 and end in text:
            text = text.rpartition(end)[0]
    return "\n".join(textwrap.wrap(text, LETTERS)[:2])


LETTERS = 34
"""In a line of a box, of which there are two."""


def describe(panels: dict[str, Edges]) -> str:
    """What the picture shows, kept in it as its description, so that a test can compare it with the code."""
    shown = {
        panel: {name: sorted(targets) for name, targets in sorted(edges.items())} for panel, edges in panels.items()
    }
    return json.dumps(shown, sort_keys=True)


BOX, POINT, GAP, FLOOR, HEIGHT = 158, 25, 18, 68, 45
"""Widths of a box and of a point where an arrow crosses, the gap between them, the height of a floor and of a box, in points."""
TITLE, BETWEEN = 25, 30
"""Heights of the line with the name of a layer, and of the arrow between layers."""
FILL = {"cli": "#F2F2F2", "public": "#E3EEF7", "model": "#E4F2EC", "_core": "#FBF0DC"}
EDGE = {"cli": "#777777", "public": "#0072B2", "model": "#009E73", "_core": "#D08700"}
STYLE = """
text { font: 8px Helvetica, Arial, sans-serif; fill: #333; text-anchor: middle }
text.title { font-size: 12px; fill: #222; text-anchor: start }
text.name { font-size: 11px; font-weight: bold; fill: #111 }
rect.box { fill: #fff; stroke-width: 1.2 }
path.way { fill: none; stroke-width: 1.2 }
"""
Point = tuple[float, float]
"""To the right and down from the top left corner."""


def positions(level: list[list[str]], ways: list[list[str]]) -> dict[str, float]:
    """Horizontal middles of boxes and points: as close to what they are joined to as their order and widths allow."""
    width = {name: POINT if "@" in name else BOX for row in level for name in row}
    joined: dict[str, list[str]] = {name: [] for name in width}
    for way in ways:
        for a, b in zip(way, way[1:], strict=False):
            joined[a].append(b)
            joined[b].append(a)
    x = {}
    for row in level:
        total, at = sum(width[name] + GAP for name in row), 0.0
        for name in row:
            x[name] = at + (width[name] + GAP) / 2 - total / 2
            at += width[name] + GAP
    for _ in range(200):
        for row in level:
            for name in row:
                if joined[name]:
                    x[name] += 0.3 * (sum(x[other] for other in joined[name]) / len(joined[name]) - x[name])
            for _ in row:
                for a, b in zip(row, row[1:], strict=False):
                    short = (width[a] + width[b]) / 2 + GAP - (x[b] - x[a])
                    if short > 0:
                        x[a], x[b] = x[a] - short / 2, x[b] + short / 2
    return x


def draw(source: Path = SOURCE, path: Path = PICTURE) -> None:
    """The picture, layers from top to bottom."""
    panels, parts = read(source), []
    for name, edges in panels.items():
        foot = feet(name, edges, source)
        edges = reduced({box: targets - set(foot) for box, targets in edges.items() if box not in foot})
        level, ways = rows(edges, floors(edges))
        x = positions(level, ways)
        if foot:
            middle = (min(x.values()) + max(x.values())) / 2
            x |= {box: middle + (k - (len(foot) - 1) / 2) * (BOX + GAP) for k, box in enumerate(foot)}
            level.insert(0, foot)
        parts.append((name, level[::-1], ways, x))
    width = max(max(x.values()) - min(x.values()) for *_, x in parts) + BOX + 2 * GAP
    lines, top = [], 0
    for name, level, ways, x in parts:
        if top:
            lines.append(arrow([(width / 2, top + 2), (width / 2, top + BETWEEN - 2)], "between"))
            top += BETWEEN
        tall = TITLE + FLOOR * len(level)
        shift = (width - min(x.values()) - max(x.values())) / 2
        at = {box: (x[box] + shift, top + TITLE + FLOOR * (k + 0.4)) for k, row in enumerate(level) for box in row}
        lines += panel(name, top, width, tall)
        lines += [arrow(steps([at[step] for step in way]), name) for way in ways]
        lines += [line for box in at if "@" not in box for line in label(box, words(name, box, source), at[box], name)]
        top += tall
    heads = [
        f'<marker id="{name}" orient="auto" refX="7" refY="3" markerWidth="7" markerHeight="6" markerUnits="userSpaceOnUse">'
        f'<path d="M0 0L7 3L0 6z" fill="{color}"/></marker>'
        for name, color in (EDGE | {"between": "#AAAAAA"}).items()
    ]
    size = f'viewBox="0 0 {width:.0f} {top:.0f}" width="{width:.0f}" height="{top:.0f}"'
    text = [f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', f"<desc>{describe(panels)}</desc>"]
    text += [f"<style>{STYLE}</style>", "<defs>", *heads, "</defs>", *lines, "</svg>", ""]
    path.write_text("\n".join(text), encoding="utf-8")


def panel(name: str, top: float, width: float, tall: float) -> list[str]:
    """The background of a layer, with its name and what it is."""
    title = "" if name == "public" else f"{name}: "
    return [
        f'<rect y="{top:.0f}" width="{width:.0f}" height="{tall:.0f}" rx="9" fill="{FILL[name]}"/>',
        f'<text class="title" x="11" y="{top + 17:.0f}">{title}{PANELS[name]}</text>',
    ]


def label(box: str, about: str, middle: Point, panel: str) -> list[str]:
    """A box with its name and what is in it."""
    x, top = middle[0], middle[1] - HEIGHT / 2
    size = f'width="{BOX}" height="{HEIGHT}" rx="6"'
    return [
        f'<rect class="box" x="{x - BOX / 2:.0f}" y="{top:.0f}" {size} stroke="{EDGE[panel]}"/>',
        f'<text class="name" x="{x:.0f}" y="{top + 14:.0f}">{box}</text>',
        *(
            f'<text x="{x:.0f}" y="{top + 26 + 10 * k:.0f}">{escape(line)}</text>'
            for k, line in enumerate(about.split("\n"))
        ),
    ]


def steps(way: list[Point]) -> list[Point]:
    """Where an arrow leaves and reaches each floor: the bottom and the top of its boxes, and of the points that it crosses."""
    (first, y), *crossed, (last, foot) = way
    ends = [(x, middle + side) for x, middle in crossed for side in (-HEIGHT / 2, HEIGHT / 2)]
    return [(first, y + HEIGHT / 2), *ends, (last, foot - HEIGHT / 2)]


def arrow(ends: list[Point], panel: str) -> str:
    """A smooth line down through points, straight where two are above each other."""
    drawn = f"M{ends[0][0]:.0f} {ends[0][1]:.0f}"
    for (x, y), (to_x, to_y) in zip(ends, ends[1:], strict=False):
        half = (y + to_y) / 2
        straight = round(x) == round(to_x)
        drawn += f"V{to_y:.0f}" if straight else f"C{x:.0f} {half:.0f} {to_x:.0f} {half:.0f} {to_x:.0f} {to_y:.0f}"
    color = EDGE.get(panel, "#AAAAAA")
    return f'<path class="way" d="{drawn}" stroke="{color}" marker-end="url(#{panel})"/>'


if __name__ == "__main__":
    draw()
    print(PICTURE)
