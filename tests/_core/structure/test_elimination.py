from dataclasses import replace

import numpy as np
import pytest

from scgim._core.structure.elimination import Elimination, MeanNoise, eliminate
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
        means = score._centred()[1][score.n_control :, left]
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


def noisy(study, size: float, cells: int, seed: int = 0) -> tuple[ShiftScore, np.ndarray]:
    """A score whose covariance is that of so many cells, and whose means have errors of variances ``w_k s_i``, with these ``(K, G)``."""
    rng, moments = np.random.default_rng(seed), study.moments()
    K, G = moments.mean.shape[:2]
    spread = size * np.outer(rng.uniform(0.5, 2, K), rng.uniform(0.5, 2, G))
    mean = moments.mean + (np.sqrt(spread) * rng.standard_normal((K, G)))[:, :, None]
    within = np.cov(rng.multivariate_normal(np.zeros(G), moments.within, size=cells).T)
    noise = replace(moments, mean=mean, within=within, spread=spread, pair_cells=np.full((G, G), float(cells)))
    score = ShiftScore(noise, study.design.drug_set, study.design.group, Prior.default(G))
    return score, spread[score.sorted]


def test_errors_of_means_are_passed_on_by_the_precision(study):
    score, spread = noisy(study, 0.1, 10_000)
    state, c = Elimination(score), score.n_control
    error = spread[c:] + score.groups[c:] @ (score.start_baseline**2 @ spread)  # a product, as there is one baseline
    np.testing.assert_allclose(state.observed(score.spread), error)
    for j in (3, 0, 5):
        near = np.setdiff1d(np.flatnonzero(state.left), j)
        precision, _, foreseen = state.without(j, near)
        state.remove(j)
        left = np.flatnonzero(state.left)
        P = state.precision[np.ix_(left, left)]
        expected = error[:, left] @ P**2 / np.diag(P) ** 2
        for passed in (foreseen, state.now(left)):
            np.testing.assert_allclose(state.noise.of(left, np.diag(precision), passed), expected, rtol=1e-8)


def test_errors_of_a_gene_beyond_a_product_stay_its_own(study):
    score, _ = noisy(study, 0.1, 10_000)
    spread = np.array(score.spread)
    spread[-1, 2] = 50.0  # of a mean that is not known
    state = Elimination(score)
    before = MeanNoise(state.observed(score.spread), state.precision)
    after = MeanNoise(state.observed(spread), state.precision)
    every, diagonal = np.arange(6), np.diag(state.precision)
    first, last = (noise.of(every, diagonal, np.diag(noise.passed)) for noise in (before, after))
    assert last[-1, 2] - first[-1, 2] == pytest.approx(50.0, rel=0.05)
    np.testing.assert_allclose(np.delete(last[-1], 2), np.delete(first[-1], 2), rtol=0.3)
    assert (last >= state.observed(spread) * (1 - 1e-9)).all()


@pytest.mark.parametrize("seed", range(3))
def test_noise_of_observation_is_not_taken_for_entries(make_study, seed):
    study = make_study(n_genes=30, n_drugs=30, n_control=8000, n_cells=500, n_edges=50, seed=seed)
    true = Elimination(make_score(study))
    score, _ = noisy(study, 0.02, 1000, seed)
    state = Elimination(score)
    assert state.hit.sum() < 1.2 * true.hit.sum()
    assert not (state.adjacent & ~true.adjacent).any()
    place = np.argsort(eliminate(score)[0])
    i, j = np.nonzero(study.graph)
    assert (place[i] < place[j]).mean() > 0.7
    score.spread, score.known_dof = None, score.dof
    blind = Elimination(score)
    assert blind.hit.sum() > 3 * true.hit.sum()
    assert (blind.adjacent & ~true.adjacent).any()


@pytest.mark.parametrize("error", [[], [[0.0, 0.0, 0.2], [0.0, 0.0, 0.3], [0.3, 0.4, 0.5]]], ids=["no context", "few"])
def test_errors_that_most_genes_do_not_have_stand_for_themselves(error):
    error = np.array(error).reshape(-1, 3)
    precision = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 3.0]])
    noise = MeanNoise(error, precision)
    np.testing.assert_allclose(noise.of(np.arange(3), np.diag(precision), np.diag(noise.passed)), error)
