"""Graph scores against closed forms, brute force and other implementations."""

import itertools

import networkx as nx
import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import average_precision_score

from scgim import metrics


def random_dag(n, p, rng):
    upper = np.triu(rng.random((n, n)) < p, 1)
    order = rng.permutation(n)
    graph = np.zeros_like(upper)
    graph[np.ix_(order, order)] = upper
    return graph.astype(int)


def brute_force_sid(true_graph, graph):
    """The definition, path by path: is the parent set of i in `graph` a valid adjustment set for (i, j)?"""
    g = nx.DiGraph(true_graph)
    skeleton = g.to_undirected()
    below = {v: nx.descendants(g, v) for v in g}
    wrong = 0
    for i, j in itertools.permutations(range(len(true_graph)), 2):
        given = set(np.flatnonzero(graph[:, i]))
        if j in given:
            wrong += j in below[i]
            continue
        valid = True
        for path in nx.all_simple_paths(skeleton, i, j):
            if all(
                g.has_edge(a, b) for a, b in itertools.pairwise(path)
            ):  # causal: nothing on or below it is adjusted for
                valid &= not any(({w} | below[w]) & given for w in path[1:])
                continue
            blocked = False
            for a, b, c in zip(path, path[1:], path[2:], strict=False):
                collider = g.has_edge(a, b) and g.has_edge(c, b)
                blocked |= not (({b} | below[b]) & given) if collider else b in given
            valid &= blocked
        wrong += not valid
    return wrong


@pytest.mark.parametrize("seed", range(60))
def test_sid_equals_brute_force(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 7))
    a, b = random_dag(n, rng.uniform(0.2, 0.9), rng), random_dag(n, rng.uniform(0, 0.9), rng)
    assert metrics.structural_intervention_distance(a, b) == brute_force_sid(a, b)


def test_sid_equals_gadjid():
    """An independent implementation on larger graphs, where it is installed."""
    gadjid = pytest.importorskip("gadjid")
    rng = np.random.default_rng(0)
    for _ in range(10):
        a, b = (random_dag(30, 0.15, rng).astype(np.int8) for _ in range(2))
        assert (
            metrics.structural_intervention_distance(a, b) == gadjid.sid(a, b, edge_direction="from row to column")[1]
        )


def test_sid_known_values():
    """Figure 1 of the paper on SID: same Hamming distance, different SID; supergraphs cost nothing."""
    true = np.zeros((5, 5), int)
    for i, j in [(0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4)]:
        true[i, j] = 1
    more = true.copy()
    more[2, 3] = 1
    reversed_ = true.copy()
    reversed_[0, 1], reversed_[1, 0] = 0, 1
    assert metrics.structural_hamming_distance(true, more) == metrics.structural_hamming_distance(true, reversed_) == 1
    assert metrics.structural_intervention_distance(true, more) == 0
    assert metrics.structural_intervention_distance(true, reversed_) == 8
    assert metrics.structural_intervention_distance(true, true) == 0


def test_sid_refuses_a_cyclic_truth():
    with pytest.raises(ValueError, match="acyclic"):
        metrics.structural_intervention_distance([[0, 1], [1, 0]], [[0, 1], [0, 0]])


def test_shd_counts_reversals_once():
    true = np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]])
    assert metrics.structural_hamming_distance(true, true) == 0
    assert metrics.structural_hamming_distance(true, true.T) == 2
    assert metrics.structural_hamming_distance(true, np.zeros((3, 3))) == 2
    both = true + true.T  # an edge in both directions differs once from one direction
    assert metrics.structural_hamming_distance(true, both) == 2
    assert metrics.structural_hamming_distance(sparse.csr_matrix(true * 0.3), true) == 0


def test_edge_f1():
    true = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 0]])
    assert metrics.edge_f1(true, true * -0.5) == 1
    assert metrics.edge_f1(true, true.T) == 0
    assert metrics.edge_f1(np.zeros((3, 3)), np.zeros((3, 3))) == 1
    one = np.zeros((3, 3))
    one[0, 1] = 1
    assert metrics.edge_f1(true, one) == pytest.approx(2 * 1 / (3 + 1))


def test_edge_average_precision_is_sklearns():
    rng = np.random.default_rng(0)
    true = random_dag(8, 0.4, rng)
    score = rng.integers(0, 5, (8, 8)) / 5.0  # with ties
    np.fill_diagonal(score, 0)
    pairs = ~np.eye(8, dtype=bool)
    assert metrics.edge_average_precision(true, score) == pytest.approx(
        average_precision_score(true[pairs], score[pairs])
    )
    assert np.isnan(metrics.edge_average_precision(np.zeros((3, 3)), np.zeros((3, 3))))


@pytest.mark.parametrize(
    "name", ["structural_hamming_distance", "structural_intervention_distance", "edge_f1", "edge_average_precision"]
)
def test_bad_graphs(name):
    score = getattr(metrics, name)
    square = np.zeros((3, 3))
    with pytest.raises(ValueError, match="square"):
        score(np.zeros((3, 2)), square)
    with pytest.raises(ValueError, match="shape of true_graph"):
        score(square, np.zeros((2, 2)))
    with pytest.raises(ValueError, match="diagonal"):
        score(square, np.eye(3))
    with pytest.raises(ValueError, match="finite"):
        score(square, np.full((3, 3), np.nan))
