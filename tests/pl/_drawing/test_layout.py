import numpy as np
import pytest

from scgim.pl._drawing.layout import layered, topological, without_cycles


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
