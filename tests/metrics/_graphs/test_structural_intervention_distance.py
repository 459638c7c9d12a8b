"""Structural intervention distance against its definition, another implementation and known values."""

import itertools

import networkx as nx
import numpy as np
import pytest

import systems
from scgim import metrics


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
    a, b = systems.random_dag(n, rng.uniform(0.2, 0.9), rng), systems.random_dag(n, rng.uniform(0, 0.9), rng)
    assert metrics.structural_intervention_distance(a, b) == brute_force_sid(a, b)


def test_a_collider_below_the_children_is_opened():
    """Truth 0 -> 1 -> 2 <- 3, and 2 taken for a parent of 0: adjusting for it opens the walk from 0 to 3."""
    true, graph = np.zeros((4, 4), int), np.zeros((4, 4), int)
    true[0, 1] = true[1, 2] = true[3, 2] = graph[2, 0] = 1
    assert metrics.structural_intervention_distance(true, graph) == brute_force_sid(true, graph) == 7


def test_sid_equals_gadjid():
    """An independent implementation on larger graphs, where it is installed."""
    gadjid = pytest.importorskip("gadjid")
    rng = np.random.default_rng(0)
    for _ in range(10):
        a, b = (systems.random_dag(30, 0.15, rng).astype(np.int8) for _ in range(2))
        assert (
            metrics.structural_intervention_distance(a, b) == gadjid.sid(a, b, edge_direction="from row to column")[1]
        )


def test_sid_has_the_values_of_its_paper():
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
