import numpy as np
import pytest

from scgim._core.structure.elimination import Elimination, eliminate
from scgim._core.structure.score import Prior, ShiftScore


def make_score(study, edge_probability=None) -> ShiftScore:
    moments = study.moments()
    prior = Prior.default(moments.n_genes, edge_probability)
    return ShiftScore(moments, study.design.drug_set, study.design.group, prior)


def test_what_is_left_is_the_inverse_of_what_is_left(study):
    score = make_score(study)
    state = Elimination(score)
    covariance = np.linalg.inv(state.precision)
    for j in (3, 0, 5):
        state.remove(j)
        left = np.flatnonzero(state.left)
        inverse = np.linalg.inv(covariance[np.ix_(left, left)])
        np.testing.assert_allclose(state.precision[np.ix_(left, left)], inverse, rtol=1e-8, atol=1e-10)
        means = state.own[score.n_control :, left]
        np.testing.assert_allclose(state.response[:, left], means @ inverse, rtol=1e-7, atol=1e-8)


def test_new_entries_are_those_that_a_removal_brings(study):
    for j in range(6):
        state = Elimination(make_score(study))
        near = np.flatnonzero(state.adjacent[j])
        expected = state.fill[j]
        pairs, hits = state.adjacent[np.ix_(near, near)].sum() // 2, state.hit[:, near].sum()
        state.remove(j)
        found = state.adjacent[np.ix_(near, near)].sum() // 2 - pairs + state.hit[:, near].sum() - hits
        assert expected == found


@pytest.mark.parametrize("seed", range(5))
def test_genes_that_act_on_nothing_leave_nothing_new(make_study, seed):
    study = make_study(n_genes=10, n_drugs=10, n_control=20_000, n_cells=4000, seed=seed)
    state = Elimination(make_score(study))
    leaves = ~(study.graph != 0).any(axis=1)
    assert (state.fill[leaves] <= 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_order_and_parents_of_a_known_system(make_study, seed):
    study = make_study(n_genes=30, n_drugs=30, n_control=8000, n_cells=500, n_edges=50, seed=seed)
    order, parents = eliminate(make_score(study))
    assert sorted(order) == list(range(30))
    place = np.argsort(order)
    i, j = np.nonzero(study.graph)
    assert (place[i] < place[j]).mean() > 0.9
    found = np.mean([a in parents[b] for a, b in zip(i, j, strict=True)])
    assert found > 0.85
    for b in range(30):
        assert (place[parents[b]] < place[b]).all()


def test_forbidden_parents_hold_a_gene_back(study):
    free = Elimination(make_score(study))
    probability = np.full((6, 6), 0.3)
    j = int(free.adjacent.sum(axis=0).argmax())
    probability[:, j] = 0
    bound = Elimination(make_score(study, probability))
    assert bound.fill[j] - free.fill[j] == free.adjacent[:, j].sum()


def test_single_gene_has_no_parents(make_study):
    study = make_study(n_genes=1, n_drugs=1, n_edges=0)
    order, parents = eliminate(make_score(study))
    assert order.tolist() == [0]
    assert parents[0].size == 0
