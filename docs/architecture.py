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
from pathlib import Path

HERE = Path(__file__).parent
SOURCE = HERE.parent / "src" / "scgim"
PICTURE = HERE / "_static" / "architecture.png"
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
    """What the picture shows, which is kept in the file, so that a test can compare it with the code."""
    shown = {
        panel: {name: sorted(targets) for name, targets in sorted(edges.items())} for panel, edges in panels.items()
    }
    return json.dumps(shown, sort_keys=True)


BOX, POINT, GAP, FLOOR, HEIGHT = 2.2, 0.35, 0.25, 0.95, 0.62
"""Widths of a box and of a point where an arrow crosses, the gap between them, the height of a floor and of a box, in inches."""
COLORS = {"cli": "#E8E8E8", "public": "#E3EEF7", "model": "#E4F2EC", "_core": "#FBF0DC"}
EDGE = {"cli": "#777777", "public": "#0072B2", "model": "#009E73", "_core": "#D08700"}


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
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

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
        left, right = min(x.values()) - BOX / 2, max(x.values()) + BOX / 2
        parts.append((name, level, ways, {box: value - (left + right) / 2 for box, value in x.items()}, right - left))
    width = max(part[-1] for part in parts) + 0.6
    heights = [FLOOR * len(level) + 0.35 for _, level, *_ in parts]
    height = sum(heights) + 0.42 * (len(parts) - 1)
    figure = plt.figure(figsize=(width, height))
    axis = figure.add_axes((0, 0, 1, 1), xlim=(-width / 2 - 0.05, width / 2 + 0.05), ylim=(-height - 0.05, 0.05))
    axis.set_axis_off()
    top = 0.0
    for (name, level, ways, x, _), tall in zip(parts, heights, strict=True):
        panel(axis, name, (-width / 2, top - tall, width, tall))
        y = {box: top - tall + 0.1 + FLOOR * (k + 0.5) for k, row in enumerate(level) for box in row}
        for way in ways:
            arrow(axis, [(x[step], y[step]) for step in way], EDGE[name])
        for row in level:
            for box in row:
                if "@" not in box:
                    label(axis, box, words(name, box, source), (x[box], y[box]), EDGE[name])
        top -= tall
        if name != list(panels)[-1]:
            axis.annotate(
                "", (0, top - 0.4), (0, top - 0.02), arrowprops={"arrowstyle": "simple", "color": "#AAAAAA", "lw": 0}
            )
        top -= 0.42
    figure.savefig(path, dpi=100, metadata={"Description": describe(panels), "Software": None})
    plt.close(figure)


def panel(axis, name: str, place: tuple[float, float, float, float]) -> None:
    """The background of a layer, with its name and what it is."""
    from matplotlib.patches import FancyBboxPatch

    x, y, width, height = place
    style = "round,pad=0,rounding_size=0.12"
    axis.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=style, color=COLORS[name], lw=0, zorder=0))
    title = "" if name == "public" else f"{name}: "
    axis.text(x + 0.15, y + height - 0.13, f"{title}{PANELS[name]}", va="top", fontsize=11, color="#222222")


def label(axis, box: str, about: str, middle: tuple[float, float], color: str) -> None:
    """A box with its name and what is in it."""
    from matplotlib.patches import FancyBboxPatch

    corner = (middle[0] - BOX / 2, middle[1] - HEIGHT / 2)
    style = "round,pad=0,rounding_size=0.08"
    axis.add_patch(FancyBboxPatch(corner, BOX, HEIGHT, boxstyle=style, fc="white", ec=color, lw=1.2, zorder=3))
    x, top = middle[0], middle[1] + HEIGHT / 2
    axis.text(x, top - 0.06, box, ha="center", va="top", fontsize=11, weight="bold", color="#111111", zorder=4)
    axis.text(x, top - 0.27, about, ha="center", va="top", fontsize=7.5, color="#333333", zorder=4)


def arrow(axis, way: list[tuple[float, float]], color: str) -> None:
    """A smooth line down from box to box."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Line

    x, y = way[0][0], way[0][1] - HEIGHT / 2
    points, codes = [(x, y)], [Line.MOVETO]
    for to_x, middle in way[1:]:
        to_y = middle + HEIGHT / 2
        half = (y + to_y) / 2
        points += [(x, half), (to_x, half), (to_x, to_y)]
        codes += [Line.CURVE4] * 3
        if middle != way[-1][1]:  # straight past the boxes of a floor
            x, y = to_x, middle - HEIGHT / 2
            points.append((x, y))
            codes.append(Line.LINETO)
    line = FancyArrowPatch(
        path=Line(points, codes), arrowstyle="-|>", mutation_scale=11, color=color, lw=1.2, alpha=0.8
    )
    line.set_zorder(2)
    axis.add_patch(line)


if __name__ == "__main__":
    draw()
    print(PICTURE)
