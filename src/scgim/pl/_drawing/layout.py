"""Layered drawing of a directed graph: causes above, consequences below.

The classical four steps: break cycles, put nodes in layers, order the layers so that few edges cross, and give coordinates.
Edges that span several layers bend around the nodes in between through dummy nodes. The last two steps are those of Graphviz's dot
where pygraphviz is installed (its wheels hold Graphviz): fewer crossings, in less time. Otherwise barycentres, in numpy alone.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

WIDEST = 14.0  # row of connected parts, in widths of a node
ROUNDS = 60  # of moving nodes to the mean of their neighbours
DUMMY = 0.3  # width of the way that an edge takes between nodes, in widths of a node


@dataclass
class Layout:
    """Positions in units of one node (x) and one layer (y, downwards negative)."""

    position: dict[int, tuple[float, float]] = field(default_factory=dict)
    route: dict[tuple[int, int], list[tuple[float, float]]] = field(
        default_factory=dict
    )  # edge -> points, ends included
    width: float = 0.0
    height: float = 0.0


def layered(nodes: list[int], edges: list[tuple[int, int]]) -> Layout:
    """Lay out a directed graph, its connected parts side by side, in rows of at most `WIDEST` where they are many.

    Parameters
    ----------
    nodes
        Node numbers.
    edges
        Pairs (cause, consequence).
    """
    result, x, y, row = Layout(), 0.0, 0.0, 0.0
    parts = _components(nodes, edges)
    single = [p[0] for p in parts if len(p) == 1]
    layouts = [_connected(p, [e for e in edges if e[0] in set(p)]) for p in parts if len(p) > 1]
    layouts += [Layout({node: (0.0, 0.0)}, {}, 1.0, 1.0) for node in single]
    limit = max(WIDEST if len(layouts) - len(single) > 3 else 0.0, layouts[0].width, 4.0) if layouts else 0.0
    for number, part in enumerate(layouts):
        first_single = number == len(layouts) - len(single)
        if x > 0 and (x + part.width > limit or first_single):
            x, y, row = 0.0, y - row, 0.0
        for node, (px, py) in part.position.items():
            result.position[node] = (px + x, py + y)
        for edge, points in part.route.items():
            result.route[edge] = [(px + x, py + y) for px, py in points]
        x, row = x + part.width, max(row, part.height)
        result.width, result.height = max(result.width, x), max(result.height, row - y)
    return result


def _components(nodes: list[int], edges: list[tuple[int, int]]) -> list[list[int]]:
    """Connected parts, the largest first, nodes in the given order."""
    leader = {node: node for node in nodes}

    def find(node: int) -> int:
        while leader[node] != node:
            leader[node] = leader[leader[node]]
            node = leader[node]
        return node

    for a, b in edges:
        leader[find(a)] = find(b)
    parts: dict[int, list[int]] = {}
    for node in nodes:
        parts.setdefault(find(node), []).append(node)
    return sorted(parts.values(), key=len, reverse=True)


def without_cycles(nodes: list[int], edges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The edges, without loops, and with those that close a cycle reversed (first come, first kept)."""
    children: dict[int, set[int]] = {node: set() for node in nodes}

    def reaches(start: int, end: int) -> bool:
        stack, seen = [start], set()
        while stack:
            node = stack.pop()
            if node == end:
                return True
            if node not in seen:
                seen.add(node)
                stack.extend(children[node])
        return False

    result = []
    for a, b in edges:
        if a == b:
            continue
        pair = (b, a) if reaches(b, a) else (a, b)
        children[pair[0]].add(pair[1])
        result.append(pair)
    return result


def topological(nodes: list[int], edges: list[tuple[int, int]]) -> list[int]:
    """Nodes with every cause before its consequences; ties in the given order."""
    edges = without_cycles(nodes, edges)
    waiting = dict.fromkeys(nodes, 0)
    children: dict[int, list[int]] = {node: [] for node in nodes}
    for a, b in set(edges):
        waiting[b] += 1
        children[a].append(b)
    rank = {node: k for k, node in enumerate(nodes)}
    ready, order = [node for node in nodes if waiting[node] == 0], []
    while ready:
        node = ready.pop(0)
        order.append(node)
        for child in children[node]:
            waiting[child] -= 1
            if waiting[child] == 0:
                ready.append(child)
        ready.sort(key=rank.__getitem__)
    return order


def _layers(nodes: list[int], edges: list[tuple[int, int]]) -> dict[int, int]:
    """Longest-path layers, then every node moved to where its edges are shortest."""
    parents: dict[int, list[int]] = {node: [] for node in nodes}
    children: dict[int, list[int]] = {node: [] for node in nodes}
    for a, b in edges:
        parents[b].append(a)
        children[a].append(b)
    layer: dict[int, int] = {}
    for node in topological(nodes, edges):
        layer[node] = max((layer[p] + 1 for p in parents[node]), default=0)
    for _ in range(3):
        for node in sorted(nodes, key=layer.__getitem__, reverse=True):
            low = max((layer[p] + 1 for p in parents[node]), default=0)
            high = min((layer[c] - 1 for c in children[node]), default=low)
            near = sorted([layer[p] + 1 for p in parents[node]] + [layer[c] - 1 for c in children[node]])
            if near:
                layer[node] = int(np.clip(near[len(near) // 2], low, high))
    return layer


def _connected(nodes: list[int], edges: list[tuple[int, int]]) -> Layout:
    """Layout of one connected part."""
    acyclic = without_cycles(nodes, edges)
    layer = _layers(nodes, list(dict.fromkeys(acyclic)))
    depth = max(layer.values()) + 1
    rows: list[list] = [[] for _ in range(depth)]
    for node in topological(nodes, acyclic):
        rows[layer[node]].append(node)
    chains: dict[tuple[int, int], list] = {}
    for edge, (a, b) in zip([e for e in edges if e[0] != e[1]], acyclic, strict=True):
        dummies = [("dummy", edge, k) for k in range(layer[a] + 1, layer[b])]
        for dummy in dummies:
            rows[dummy[2]].append(dummy)
        chains[edge] = [a, *dummies, b]
    links = [(u, v) for chain in chains.values() for u, v in zip(chain[:-1], chain[1:], strict=True)]
    x = by_dot(rows, links)
    if x is None:
        rows = _order(rows, links)
        x = _coordinates(rows, links)
    result = Layout()
    low = min(x.values())
    for k, row in enumerate(rows):
        for node in row:
            if not isinstance(node, tuple):
                result.position[node] = (x[node] - low, -float(k))
    where = {node: (x[node] - low, -float(k)) for k, row in enumerate(rows) for node in row}
    for edge, chain in chains.items():
        points = [where[node] for node in chain]
        result.route[edge] = points if chain[0] == edge[0] else points[::-1]
    result.width, result.height = max(x.values()) - low + 1.0, float(depth)
    return result


def by_dot(rows: list[list], links: list[tuple]) -> dict | None:
    """Coordinates across of nodes in their layers, one apart at the least, by Graphviz's dot; None where pygraphviz is not installed.

    Parameters
    ----------
    rows
        Nodes and dummy nodes of each layer.
    links
        Between nodes of neighbouring layers.
    """
    try:
        import pygraphviz
    except ImportError:
        return None
    width = {node: DUMMY if isinstance(node, tuple) else 1.0 for row in rows for node in row}
    names = {node: str(k) for k, node in enumerate(node for row in rows for node in row)}
    graph = pygraphviz.AGraph(directed=True, strict=False, nodesep="0", ranksep="1", splines="false")
    graph.node_attr.update(shape="box", width="1", height="0.2", fixedsize="true", label="")  # in inches
    for row in rows:
        for node in row:
            graph.add_node(names[node], width=f"{width[node]:g}")
        graph.add_subgraph([names[node] for node in row], rank="same")
    for u, v in links:
        graph.add_edge(names[u], names[v])
    graph.layout(prog="dot")
    x = {node: float(graph.get_node(name).attr["pos"].split(",")[0]) / 72 for node, name in names.items()}  # points
    return {node: at for row in rows for node, at in _apart(sorted(row, key=x.__getitem__), x, width)}


def _apart(row: list, x: dict, width: dict) -> list[tuple[Any, float]]:
    """Nodes of a layer with their coordinates, moved apart where dot has rounded them together."""
    out: list[tuple[Any, float]] = []
    for node in row:
        least = out[-1][1] + (width[out[-1][0]] + width[node]) / 2 if out else x[node]
        out.append((node, max(x[node], least)))
    return out


def _neighbours(rows: list[list], links: list[tuple]) -> tuple[dict, dict]:
    above: dict = {node: [] for row in rows for node in row}
    below: dict = {node: [] for row in rows for node in row}
    for u, v in links:
        above[v].append(u)
        below[u].append(v)
    return above, below


def _crossings(rows: list[list], below: dict) -> int:
    """Number of crossing pairs of links between neighbouring layers."""
    total = 0
    for upper, lower in zip(rows[:-1], rows[1:], strict=True):
        place = {node: k for k, node in enumerate(lower)}
        ends = [p for node in upper for p in sorted(place[c] for c in below[node])]
        total += sum(a > b for k, a in enumerate(ends) for b in ends[k + 1 :]) if len(ends) < 400 else 0
    return total


def _order(rows: list[list], links: list[tuple], sweeps: int = 24) -> list[list]:
    """Order within layers by sweeps of barycentres, then swaps of neighbours; the best seen is kept."""
    above, below = _neighbours(rows, links)
    best, fewest = [list(row) for row in rows], _crossings(rows, below)
    current = [list(row) for row in rows]
    for sweep in range(sweeps):
        down = sweep % 2 == 0
        near = above if down else below
        for k in range(len(rows)) if down else range(len(rows) - 1, -1, -1):
            other = k - 1 if down else k + 1
            if 0 <= other < len(rows):
                current[k] = _by_barycentre(current[k], current[other], near)
        count = _crossings(current, below)
        if count < fewest:
            best, fewest = [list(row) for row in current], count
    if sum(map(len, rows)) <= 150:
        _swap(best, below, fewest)
    return best


def _by_barycentre(row: list, other: list, near: dict) -> list:
    """A layer sorted by the mean place of the neighbours in another one."""
    place = {node: p for p, node in enumerate(other)}
    wish = [float(np.mean([place[u] for u in near[v]])) if near[v] else float(p) for p, v in enumerate(row)]
    return [row[p] for p in np.argsort(np.array(wish), kind="stable")]


def _swap(rows: list[list], below: dict, fewest: int) -> None:
    """Exchange neighbours in place while that removes crossings."""
    improved = True
    while improved and fewest > 0:
        improved = False
        for k, row in enumerate(rows):
            near = rows[max(k - 1, 0) : k + 2]
            for p in range(len(row) - 1):
                before = _crossings(near, below)
                row[p], row[p + 1] = row[p + 1], row[p]
                after = _crossings(near, below)
                if after < before:
                    fewest, improved = fewest - before + after, True
                else:
                    row[p], row[p + 1] = row[p + 1], row[p]


def _coordinates(rows: list[list], links: list[tuple]) -> dict:
    """X of every node: near the mean of its neighbours, one unit apart (dummies 0.45), order kept."""
    above, below = _neighbours(rows, links)
    dummy = {node: isinstance(node, tuple) for row in rows for node in row}
    x: dict = {}
    for row in rows:
        gaps = _gaps(row)
        for node, place in zip(row, gaps - gaps[-1] / 2, strict=True):
            x[node] = float(place)
    for step in range(ROUNDS):
        for row in rows if step % 2 == 0 else rows[::-1]:
            wish = []
            for node in row:
                near = [(x[u], 8.0 if dummy[u] and dummy[node] else 1.0) for u in above[node] + below[node]]
                wish.append(np.average([p for p, _ in near], weights=[w for _, w in near]) if near else x[node])
            gap = _gaps(row)
            placed = _isotonic(np.array(wish) - gap) + gap
            for node, place in zip(row, placed, strict=True):
                x[node] = float(place)
    return x


def _gaps(row: list) -> np.ndarray:
    """Least x of each node of a layer: one unit between nodes, less beside dummies."""
    dummy = [isinstance(node, tuple) for node in row]
    return np.cumsum([0.0] + [(1.0, 0.7, 0.45)[a + b] for a, b in zip(dummy[:-1], dummy[1:], strict=True)])


def _isotonic(y: np.ndarray) -> np.ndarray:
    """The non-decreasing sequence nearest to ``y`` (pool adjacent violators)."""
    values: list[float] = []
    sizes: list[int] = []
    for v in y:
        values.append(float(v))
        sizes.append(1)
        while len(values) > 1 and values[-2] > values[-1]:
            size = sizes[-2] + sizes[-1]
            values[-2:] = [(values[-2] * sizes[-2] + values[-1] * sizes[-1]) / size]
            sizes[-2:] = [size]
    return np.repeat(values, sizes)
