"""Scores with one more parent by one regression, against plain numpy."""

import numpy as np
import pytest
from scipy.special import expit

from scgim._core.design import Design
from scgim._core.kinds.activity import ActiveScore
from scgim._core.structure.parents import Parents
from scgim._core.structure.score import Prior, ShiftScore
from systems import Study


def weighed(score: ShiftScore, j: int, base: tuple[int, ...], free: np.ndarray) -> np.ndarray:
    """The same by numpy: contexts weighed as with the parents `base`, then all coefficients at once."""
    first = score._solve(j, np.array([base], dtype=int).reshape(1, -1))
    sets = np.array([(*base, x) for x in free])
    x, gram, right = score._regression(j, score.columns(sets))
    scaled = np.moveaxis(x, 1, 2) * score._weights(j, first.error, expit(first.odds))[:, None, :]
    known = score.within_dof / first.noise[0]
    products, rhs = gram * known + scaled @ x, right * known + scaled @ score.self_mean[:, j]
    return score._ascend(j, sets, 0, score.maximum(products, rhs, j, sets)).score


def make_score(study, mechanism: str = "linear", *, misfit_cells: float = np.inf) -> ShiftScore:
    moments, rng = study.moments(mechanism), np.random.default_rng(0)
    prior = Prior.default(moments.n_genes).trusting(misfit_cells)
    prior.background_sd, prior.effect_sd = rng.uniform(0, 0.2, moments.n_genes), rng.uniform(0.5, 2, moments.n_genes)
    return ShiftScore(moments, study.design.drug_set, study.design.group, prior)


@pytest.mark.parametrize("n_groups", [1, 3])
@pytest.mark.parametrize("misfit_cells", [np.inf, 20.0])
@pytest.mark.parametrize("mechanism", ["linear", "additive"])
def test_scores_are_those_of_one_regression(make_study, mechanism, misfit_cells, n_groups):
    score = make_score(
        make_study(n_genes=5, n_drugs=6, n_groups=n_groups, seed=2), mechanism, misfit_cells=misfit_cells
    )
    for base in ((), (3,), (0, 4)):
        free = np.setdiff1d(np.arange(5), (2, *base))
        np.testing.assert_allclose(score.coarse_added(2, base, free), weighed(score, 2, base, free), atol=1e-4)


@pytest.mark.parametrize("noisy", [False, True])
def test_noise_and_uncertain_slopes_count_at_the_new_coefficients(make_study, rng, noisy):
    study = make_study(n_genes=5, n_drugs=6, n_groups=2, seed=2)
    moments, prior = study.moments(), Prior.default(5)
    prior.slope_sd = 0.4
    if noisy:
        moments.spread, moments.pair_cells = rng.uniform(0, 0.05, (len(moments.n), 5)), rng.uniform(50, 200, (5, 5))
    score = ShiftScore(moments, study.design.drug_set, study.design.group, prior)
    for base in ((), (0,), (0, 3)):
        free = np.setdiff1d(np.arange(5), (2, *base))
        np.testing.assert_allclose(score.coarse_added(2, base, free), weighed(score, 2, base, free), atol=1e-4)


@pytest.mark.parametrize("mechanism", ["linear", "additive"])
def test_scaled_parents_are_scored_as_by_numpy(make_study, mechanism, rng):
    study = make_study(n_genes=5, n_drugs=6, n_groups=2, seed=2)
    K, design = len(study.design.dose), (study.design.drug_set, study.design.group)
    psi = np.where(study.design.control[:, None], 0.0, rng.uniform(-0.9, 0.9, (K, 5)))  # of the child, too
    moments = study.moments(mechanism, pool=np.arange(K))
    score, free = ActiveScore(moments, *design, Prior.default(5), psi, rng.normal(0, 0.5, 5)), np.array([0, 1, 3, 4])
    np.testing.assert_allclose(score.coarse_added(2, (), free), weighed(score, 2, (), free), atol=1e-4)


def test_a_parent_that_contexts_alone_tell_of_is_found_where_covariances_are_not_trusted(rng):
    """Within contexts no gene tells of another; that gene 0 moves along with gene 1 does."""
    K, n = 24, 30
    context = np.repeat(np.arange(K), n)
    level = rng.standard_normal((K, 12)) * (np.arange(K) > 0)[:, None]
    level[:, 0] = 0.8 * level[:, 1]
    cells = level[context] + rng.standard_normal((K * n, 12))
    drugs = tuple(f"drug {k}" for k in range(1, K))
    design = Design(drugs, np.eye(K, K - 1, -1), np.zeros(K), ("all",), np.full(K, n))
    score = make_score(Study(np.zeros((12, 12)), np.zeros((K - 1, 12)), cells, context, design), misfit_cells=10.0)
    others = np.arange(1, 12)
    full, coarse = score.score_added(0, (), others), score.coarse_added(0, (), others)
    inside, none = score._solve(0, others[:, None], 0).score, score.score_sets(0, np.zeros((1, 0), dtype=int))[0]
    assert full.argmax() == coarse.argmax() == 0
    assert inside[0] < none < coarse[0]  # with coefficients within contexts it would not be tried
    assert Parents(score, [np.delete(np.arange(12), j) for j in range(12)]).best(0, np.arange(12) > 0)[0] == (1,)
