"""Draws a layered graph: pills for genes, curved edges with an arrow for activation and a bar for inhibition."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scgim.pl import _style
from scgim.pl._drawing.layout import Layout, layered


@dataclass
class Node:
    """One pill: its text, an optional second line, and its colours."""

    label: str
    note: str = ""
    fill: Any = field(default_factory=_style.paper)
    edge: str = field(default_factory=_style.outline)
    width: float = 1.0
    text: str = field(default_factory=_style.ink)
    wide: bool = False  # a pill of its own width, alone in its layer
    box: bool = False  # with corners: something that is not measured


@dataclass
class Edge:
    """One edge: signed weight, and an optional label at its head."""

    source: int
    target: int
    weight: float
    color: str = ""
    style: Any = "-"
    label: str = ""
    alpha: float = 1.0


@dataclass
class Scene:
    """Everything in points, before it is scaled to the axes."""

    nodes: list[Node]
    edges: list[Edge]
    layout: Layout
    pill: tuple[float, float]
    step: tuple[float, float]
    font: float = 9.0
    label: float = 0.0  # width of the longest label
    largest: float = field(init=False)

    def __post_init__(self) -> None:
        self.largest = max((abs(edge.weight) for edge in self.edges if not edge.label), default=0.0) or 1.0

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in points."""
        return (
            max(self.layout.width - 1, 0) * self.step[0] + self.pill[0] + 2 * self.margin(),
            max(self.layout.height - 1, 0) * self.step[1] + self.pill[1] + 24,
        )

    def width(self, number: int) -> float:
        """Width of one pill in points."""
        if not self.nodes[number].wide:
            return self.pill[0]
        return max(self.pill[0], _style.text_width(self.nodes[number].label, self.font, "bold") + 22)

    def margin(self) -> float:
        """Points left free at both sides, so that wide pills fit."""
        right = max(self.layout.width - 1, 0) * self.step[0]
        over = [
            max(self.width(k) / 2 - self.pill[0] / 2 - min(x * self.step[0], right - x * self.step[0]), 0.0)
            for k, (x, _) in self.layout.position.items()
        ]
        return 12 + max([*over, self.label + 9 - self.pill[0] / 2 if self.label else 0.0])

    def place(self, point: tuple[float, float]) -> tuple[float, float]:
        """From layout units to points."""
        return point[0] * self.step[0] + self.pill[0] / 2 + self.margin(), point[1] * self.step[1] - self.pill[
            1
        ] / 2 - 12


def compose(nodes: list[Node], edges: list[Edge]) -> Scene:
    """Lay out the nodes and size the pills to their text."""
    font = 9.0
    two_lines = any(node.note for node in nodes)
    longest = max(
        (
            max(_style.text_width(n.label, font, "bold"), _style.text_width(n.note, font * 0.8))
            for n in nodes
            if not n.wide
        ),
        default=0.0,
    )
    pill = (max(longest + 16, 36.0), 29.0 if two_lines else 20.0)
    layout = layered(list(range(len(nodes))), [(e.source, e.target) for e in edges])
    labels = max((_style.text_width(edge.label, font * 0.82, "bold") for edge in edges), default=0.0)
    step = max(pill[0] + 18, labels + 18), pill[1] + (36 if len(edges) < 60 else 44)
    return Scene(nodes, edges, layout, pill, step, font, labels)


def draw(ax: Any, scene: Scene) -> None:
    """Draw the scene into ``ax``, scaled so that it fits; the axes are left without frame."""
    width, height = scene.size
    ax.set_axis_off()
    ax.set_aspect("equal")
    ax.set_xlim(0, width)
    ax.set_ylim(-height, 0)
    box = ax.get_window_extent()
    scale = min(box.width / width, box.height / height) * 72 / ax.figure.dpi
    ports = _ports(scene)
    order = sorted(scene.edges, key=lambda edge: abs(edge.weight))
    for edge in order:
        _draw_edge(ax, scene, edge, ports, scale)
    for number, node in enumerate(scene.nodes):
        if number in scene.layout.position:
            size = scene.width(number), scene.pill[1]
            _draw_node(ax, scene, node, scene.place(scene.layout.position[number]), size, scale)


def _draw_node(
    ax: Any, scene: Scene, node: Node, centre: tuple[float, float], size: tuple[float, float], scale: float
) -> None:
    from matplotlib.patches import FancyBboxPatch

    (w, h), (x, y) = size, centre
    ax.add_patch(
        FancyBboxPatch(
            (x - w / 2 + 8, y - h / 2 + 8),
            w - 16,
            h - 16,
            boxstyle="square,pad=8" if node.box else "round,pad=8,rounding_size=8",
            facecolor=node.fill,
            edgecolor=node.edge,
            linewidth=node.width * scale,
            zorder=4,
        )
    )
    style: dict[str, Any] = {"ha": "center", "va": "center", "color": node.text, "zorder": 5}
    label = _style.literal(node.label)
    if node.note:
        ax.text(x, y + h * 0.17, label, fontsize=scene.font * scale, weight="bold", **style)
        ax.text(x, y - h * 0.22, _style.literal(node.note), fontsize=scene.font * 0.8 * scale, **style)
    else:
        ax.text(x, y, label, fontsize=scene.font * scale, weight="bold", **style)


def _ports(scene: Scene) -> dict[tuple[int, int, str], float]:
    """Where edges leave and reach a pill: spread along its width, in the order of where they go."""
    ends: dict[tuple[int, str, bool], list[tuple[float, tuple[int, int, str]]]] = {}
    for edge in scene.edges:
        route = scene.layout.route.get((edge.source, edge.target))
        if route is None:
            continue
        down = route[-1][1] < route[0][1]
        key = (edge.source, edge.target, "out")
        ends.setdefault((edge.source, "bottom" if down else "top", True), []).append((route[1][0], key))
        key = (edge.source, edge.target, "in")
        ends.setdefault((edge.target, "top" if down else "bottom", True), []).append((route[-2][0], key))
    result = {}
    for group in ends.values():
        group.sort()
        room = scene.pill[0] / 2 - 10
        spread = min(room, 6.5 * (len(group) - 1))
        for (_, key), offset in zip(group, np.linspace(-spread, spread, len(group)), strict=True):
            result[key] = float(offset) if len(group) > 1 else 0.0
    return result


def _draw_edge(ax: Any, scene: Scene, edge: Edge, ports: dict[tuple[int, int, str], float], scale: float) -> None:
    """A smooth curve through the route, then its head."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    route = scene.layout.route.get((edge.source, edge.target))
    if route is None:
        return
    points = [scene.place(point) for point in route]
    sign = -1.0 if points[-1][1] < points[0][1] else 1.0  # drawn downwards or, against a broken cycle, upwards
    width = 0.9 + 2.3 * abs(edge.weight) / scene.largest if not edge.label else 1.8
    reach = 7.0 + 1.3 * width  # room for the head
    start = (points[0][0] + ports[edge.source, edge.target, "out"], points[0][1] + sign * scene.pill[1] / 2)
    end_x = points[-1][0] + ports[edge.source, edge.target, "in"]
    tip = (end_x, points[-1][1] - sign * (scene.pill[1] / 2 + 1.5))
    head_at = (end_x, tip[1] - sign * (reach if edge.weight >= 0 else 1.0))
    points = [start, *points[1:-1], head_at]
    vertices, codes = _curve(points), [Path.MOVETO] + [Path.CURVE4] * (3 * (len(points) - 1))
    up, down = _style.signs()
    color = edge.color or (up if edge.weight >= 0 else down)
    style: dict[str, Any] = {"alpha": edge.alpha, "zorder": 2}
    ax.add_patch(
        PathPatch(
            Path(vertices, codes),
            facecolor="none",
            edgecolor=color,
            linewidth=width * scale,
            linestyle=edge.style,
            capstyle="butt",
            **style,
        )
    )
    _draw_head(ax, edge, tip, sign, width, reach, color, scale, style)
    if edge.label:
        _draw_label(ax, scene, edge, tip, sign, color, scale)


def _curve(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Bezier vertices of a smooth curve, vertical at both ends, that turns back nowhere between its points."""
    slope = [0.0] * len(points)  # dx/dy
    for k in range(1, len(points) - 1):
        (xa, ya), (xb, yb), (xc, yc) = points[k - 1 : k + 2]
        before, after = (xb - xa) / (yb - ya), (xc - xb) / (yc - yb)
        slope[k] = 2 * before * after / (before + after) if before * after > 0 else 0.0
    vertices = [points[0]]
    for k, ((x0, y0), (x1, y1)) in enumerate(zip(points[:-1], points[1:], strict=True)):
        third = (y1 - y0) * (0.5 if len(points) == 2 else 0.4)
        vertices += [(x0 + slope[k] * third, y0 + third), (x1 - slope[k + 1] * third, y1 - third), (x1, y1)]
    return vertices


def _draw_head(
    ax: Any,
    edge: Edge,
    tip: tuple[float, float],
    sign: float,
    width: float,
    reach: float,
    color: str,
    scale: float,
    style: Any,
) -> None:
    """A triangle (activates) or a bar (inhibits)."""
    x, y = tip
    half = 2.6 + 0.75 * width
    if edge.weight >= 0:
        ax.fill(
            [x - half, x, x + half],
            [y - sign * (reach + 0.5), y, y - sign * (reach + 0.5)],
            color=color,
            linewidth=0,
            **style,
        )
    else:
        ax.plot(
            [x - half - 1, x + half + 1],
            [y - sign, y - sign],
            color=color,
            linewidth=max(1.8, 0.8 * width) * scale,
            solid_capstyle="butt",
            **style,
        )


def _draw_label(
    ax: Any, scene: Scene, edge: Edge, tip: tuple[float, float], sign: float, color: str, scale: float
) -> None:
    from matplotlib.patheffects import withStroke

    x, y = scene.layout.position[edge.target]
    labelled = [scene.layout.position[other.target] for other in scene.edges if other.label]
    clash = any(v == y and x - 1.6 < u < x for u, v in labelled)  # another label ends there
    left = tip[0] < scene.place((x, y))[0] - 1 and not clash  # beside the other heads, not on them
    ax.text(
        tip[0] + (-7 if left else 7),
        tip[1] - sign * 6,
        _style.literal(edge.label),
        fontsize=scene.font * 0.82 * scale,
        color=color,
        ha="right" if left else "left",
        va="bottom",
        weight="bold",
        zorder=6,
        path_effects=[withStroke(linewidth=2.5 * scale, foreground=_style.paper())],
    )


def figure_for(scene: Scene, *, title: bool, right: float = 0.0, bottom: float = 26.0) -> tuple[Any, Any]:
    """A figure of the size of the scene with one axes; ``right`` and ``bottom`` are points kept free for legends."""
    import matplotlib.pyplot as plt

    width, height = scene.size
    top = 30.0 if title else 6.0
    zoom = min(1.0, 15 * 72 / (width + right), 15 * 72 / (height + top + bottom))
    right, top, bottom = right / zoom, top / zoom, bottom / zoom  # text keeps its size
    total = (max(width + right, 250.0), height + top + bottom)
    figure = plt.figure(figsize=(total[0] / 72 * zoom, total[1] / 72 * zoom))
    ax = figure.add_axes((0.0, bottom / total[1], 1 - right / total[0], height / total[1]))
    return figure, ax


def edge_legend(ax: Any, extra: list[Any] | None = None) -> None:
    """Below the axes: what the heads and colours of edges mean, and ``extra`` handles after them."""
    from matplotlib.lines import Line2D

    up, down = _style.signs()
    handles = [
        Line2D([], [], color=up, marker=">", markersize=5, linewidth=1.6, label="activates"),
        Line2D([], [], color=down, marker="|", markersize=7, markeredgewidth=1.8, linewidth=1.6, label="inhibits"),
    ]
    ax.legend(
        handles=handles + (extra or []),
        loc="upper center",
        bbox_to_anchor=(0.5, -0.01),
        ncols=2 + len(extra or []),
        frameon=False,
        fontsize=8,
        handlelength=2.2,
        labelcolor=_style.ink(),
        borderaxespad=0.1,
    )
