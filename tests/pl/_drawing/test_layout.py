import numpy as np
import pytest

from scgim.pl._drawing import layout as _layout
from scgim.pl._drawing.layout import layered, topological, without_cycles


@pytest.fixture(params=["dot", "own"], autouse=True)
def how(request, monkeypatch):
    """Both ways to order layers; the first is skipped where pygraphviz is not installed."""
    if request.param == "dot":
        pytest.importorskip("pygraphviz")
    else:
        monkeypatch.setattr(_layout, "by_dot", lambda rows, links: None)
    return request.param


def test_causes_are_above_and_nodes_do_not_overlap():
    rng = np.random.default_rng(0)
    edges = sorted({tuple(sorted(rng.choice(15, 2, replace=False).tolist())) for _ in range(30)})
    layout = layered(list(range(15)), edges)
    for a, b in edges:
        assert layout.position[a][1] > layout.position[b][1]
        assert layout.route[a, b][0] == layout.position[a] and layout.route[a, b][-1] == layout.position[b]
    places = list(layout.position.values())
    for k, (x, y) in enumerate(places):
        assert all(abs(x - u) > 0.99 or y != v for u, v in places[k + 1 :])
    assert all(0 <= x <= layout.width - 1 + 1e-9 for x, _ in places)


def test_cycles_are_drawn():
    layout = layered([0, 1, 2], [(0, 1), (1, 2), (2, 0), (1, 1)])
    assert set(layout.route) == {(0, 1), (1, 2), (2, 0)}
    assert layout.route[2, 0][0] == layout.position[2]
    assert without_cycles([0, 1], [(0, 1), (1, 0)]) == [(0, 1), (0, 1)]


@pytest.mark.parametrize("n", [0, 1, 3])
def test_graphs_without_edges_have_places(n):
    assert len(layered(list(range(n)), []).position) == n


def test_topological_keeps_the_given_order_where_free():
    assert topological([3, 1, 2, 0], [(0, 1)]) == [3, 2, 0, 1]


def crossings(layout) -> int:
    """Crossing pairs of straight pieces between the same layers."""
    pieces: dict = {}
    for points in layout.route.values():
        for a, b in zip(points[:-1], points[1:], strict=True):
            high, low = (a, b) if a[1] > b[1] else (b, a)
            pieces.setdefault((high[1], low[1]), []).append((high[0], low[0]))
    return sum(
        (a[0] - b[0]) * (a[1] - b[1]) < 0 for part in pieces.values() for k, a in enumerate(part) for b in part[:k]
    )


def test_dot_crosses_fewer_edges_and_needs_no_more_room(how, monkeypatch):
    if how != "dot":
        pytest.skip("compared once")
    rng = np.random.default_rng(30)
    edges = sorted({tuple(sorted(rng.choice(30, 2, replace=False).tolist())) for _ in range(70)})
    dot = layered(list(range(30)), edges)
    monkeypatch.setattr(_layout, "by_dot", lambda rows, links: None)
    own = layered(list(range(30)), edges)
    assert crossings(dot) < crossings(own) and dot.width <= own.width
    assert dot.height == own.height  # the layers are the same


def test_nodes_of_a_layer_are_moved_apart_where_they_were_rounded_together():
    found = _layout._apart(["a", "b", "c"], {"a": 0.0, "b": 0.5, "c": 9.0}, {"a": 1.0, "b": 1.0, "c": 0.3})
    assert found == [("a", 0.0), ("b", 1.0), ("c", 9.0)]
