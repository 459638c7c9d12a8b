"""Edge probabilities against enumeration of orders and of graphs."""

from itertools import combinations, permutations, product

import networkx as nx
import numpy as np
import pytest

from scgim._core.structure.edges import edge_probabilities, inclusion
from scgim._core.structure.order import OrderSearch, search
from scgim._core.structure.parents import Parents
from scgim._core.structure.score import Prior, ShiftScore
from scgim._core.structure.screening import screen


def fitted(study) -> OrderSearch:
    moments = study.moments()
    score = ShiftScore(moments, study.design.drug_set, study.design.group, Prior.default(moments.n_genes))
    return search(Parents(score, screen(score, 40)), rng=np.random.default_rng(0))


def value(score: ShiftScore, j: int, parents: tuple[int, ...]) -> float:
    return float(score.score_sets(j, np.array([parents], dtype=int).reshape(1, -1))[0])


def over_orders(chooser: Parents) -> np.ndarray:
    """Edge probabilities averaged over all orders, each by the score of its best parents."""
    G = chooser.score.n_genes
    weights, edges = [], []
    for order in permutations(range(G)):
        state = OrderSearch(chooser, np.array(order), G)
        weights.append(state.total)
        columns = [inclusion(chooser, j, state.parents[j], state.mask(order.index(j))) for j in range(G)]
        edges.append(np.stack(columns, axis=1))
    weight = np.exp(np.array(weights) - max(weights))
    return np.einsum("o,oij->ij", weight / weight.sum(), np.array(edges))


def over_graphs(score: ShiftScore) -> np.ndarray:
    """Edge probabilities summed over all acyclic graphs."""
    G = score.n_genes
    sets = [[s for n in range(G) for s in combinations([i for i in range(G) if i != j], n)] for j in range(G)]
    table = [{s: value(score, j, s) for s in sets[j]} for j in range(G)]
    weights, graphs = [], []
    for choice in product(*sets):
        graph = np.zeros((G, G))
        for j, parents in enumerate(choice):
            graph[list(parents), j] = 1
        if nx.is_directed_acyclic_graph(nx.DiGraph(graph)):
            weights.append(sum(table[j][s] for j, s in enumerate(choice)))
            graphs.append(graph)
    weight = np.exp(np.array(weights) - max(weights))
    return np.einsum("o,oij->ij", weight / weight.sum(), np.array(graphs))


@pytest.mark.parametrize("n_genes", [3, 4])
@pytest.mark.parametrize("n_cells", [4, 40])
def test_sampled_orders_equal_all_orders(make_study, n_genes, n_cells):
    study = make_study(n_genes=n_genes, n_drugs=2, n_control=5 * n_cells, n_cells=n_cells, n_edges=n_genes - 1, seed=5)
    state = fitted(study)
    kept = state.order, state.parents
    found = edge_probabilities(state.chooser, state, rng=np.random.default_rng(0), n_samples=600)
    np.testing.assert_allclose(found, over_orders(state.chooser), atol=0.07)
    assert state.order == kept[0]
    assert state.parents == kept[1]
    np.testing.assert_array_equal(np.diag(found), 0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n_cells", [4, 40])
def test_near_the_posterior_over_all_graphs(make_study, seed, n_cells):
    study = make_study(n_genes=4, n_drugs=3, n_control=5 * n_cells, n_cells=n_cells, n_edges=3, seed=seed)
    state = fitted(study)
    found = edge_probabilities(state.chooser, state, rng=np.random.default_rng(0), n_samples=400)
    exact = over_graphs(state.chooser.score)
    assert np.abs(found - exact).mean() < (0.04 if n_cells == 40 else 0.1)
    assert np.abs(found - exact).max() < 0.3


def test_inclusion_equals_the_odds_of_two_scores(study):
    chooser = fitted(study).chooser
    allowed = np.array([True, True, False, True, False, True])
    found = inclusion(chooser, 2, (0, 3), allowed)
    with_all = value(chooser.score, 2, (0, 3))
    for x, sign, other in ((0, 1, (3,)), (3, 1, (0,)), (1, -1, (0, 1, 3)), (5, -1, (0, 3, 5))):
        odds = sign * (with_all - value(chooser.score, 2, other))
        assert found[x] == pytest.approx(1 / (1 + np.exp(-odds)), rel=1e-5, abs=1e-12)
    assert found[2] == found[4] == 0
