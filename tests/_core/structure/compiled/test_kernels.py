"""Compiled scores against plain numpy."""

import numba
import numpy as np
import pytest

from scgim._core.design import Design
from scgim._core.kinds.activity import ActiveScore
from scgim._core.structure.cycles.cyclic import CyclicScore
from scgim._core.structure.score import Prior, ShiftScore
from systems import Study


def make_score(
    study, mechanism: str = "linear", *, noisy: bool = False, slope_sd: float = 0.0, kind: type = ShiftScore
) -> ShiftScore:
    moments, rng = study.moments(mechanism), np.random.default_rng(0)
    G = moments.n_genes
    if noisy:
        moments.spread, moments.pair_cells = rng.uniform(0, 0.05, (len(moments.n), G)), rng.uniform(50, 200, (G, G))
    prior = Prior.default(G)
    prior.slope_sd = slope_sd
    prior.background_sd, prior.effect_sd = rng.uniform(0, 0.2, G), rng.uniform(0.5, 2, G)
    return kind(moments, study.design.drug_set, study.design.group, prior)


CASES = [
    ("linear", False, 0.0),
    ("linear", True, 0.0),
    ("linear", False, 0.4),
    ("linear", True, 0.4),
    ("additive", False, 0.0),
]
SETS = ([()], [(0,), (3,)], [(0, 1), (1, 3), (3, 4)], [(0, 1, 3, 4)])


def assert_as_numpy(score):
    """Scores and coefficients of gene 2 are those of the plain reference."""
    for sets in SETS:
        array = np.array(sets, dtype=int).reshape(len(sets), -1)
        plain = score._solve(2, array)
        scores, coef = score.solutions(2, array)
        np.testing.assert_allclose(scores, plain.score, rtol=1e-9)
        np.testing.assert_allclose(coef, plain.coef, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("n_groups", [1, 3])
@pytest.mark.parametrize(("mechanism", "noisy", "slope_sd"), CASES)
def test_compiled_scores_are_those_of_numpy(make_study, mechanism, noisy, slope_sd, n_groups):
    study = make_study(n_genes=5, n_drugs=6, n_groups=n_groups, seed=2)
    score = make_score(study, mechanism, noisy=noisy, slope_sd=slope_sd)
    assert_as_numpy(score)


@pytest.mark.parametrize("mechanism", ["linear", "additive"])
def test_compiled_scores_of_scaled_parents_are_those_of_numpy(make_study, mechanism, rng):
    study = make_study(n_genes=5, n_drugs=6, n_groups=2, seed=2)
    K = len(study.design.dose)
    psi = np.where(study.design.control[:, None], 0.0, rng.uniform(-0.9, 0.9, (K, 5)))  # of the child, too
    design = study.design.drug_set, study.design.group
    score = ActiveScore(
        study.moments(mechanism, pool=np.arange(K)), *design, Prior.default(5), psi, rng.normal(0, 0.5, 5)
    )
    for sets in SETS:
        array = np.array(sets, dtype=int).reshape(len(sets), -1)
        np.testing.assert_allclose(score.solutions(2, array)[0], score._solve(2, array).score, rtol=1e-9)


def test_compiled_scores_with_cycles_are_those_of_numpy(make_study):
    score = make_score(make_study(n_genes=5, n_drugs=6, seed=2), kind=CyclicScore)
    weight = np.zeros((5, 5))
    weight[2, 0], weight[0, 1], weight[1, 3] = 0.4, -0.5, 0.3
    score.inverse = np.linalg.inv(np.eye(5) - weight)
    assert_as_numpy(score)


@pytest.mark.parametrize("mechanism", ["linear", "additive"])
def test_what_a_far_parent_passes_on_is_no_shift_while_its_coefficient_is_uncertain(rng, mechanism):
    """From coefficients within contexts alone the ascent ends at a target; without it, evidence is higher."""
    context, cells = np.repeat(np.arange(4), 20), rng.standard_normal((80, 3))
    cells[context == 1, 0] += 40  # no drug acts on the child, to which an error of its coefficient looks like a shift
    cells[:, 1] += 0.5 * cells[:, 0]
    design = Design(("a", "b", "c"), np.eye(4, 3, -1), np.zeros(4), ("all",), np.full(4, 20))
    score = make_score(Study(np.eye(3, k=1), np.eye(3), cells, context, design), mechanism)
    score.prior.background_sd[:] = 0
    sets = np.array([[0], [2]])
    one, two = score._ascend(1, sets, score.n_steps), score._solve(1, sets)
    assert one.odds[0].max() > 5
    assert two.odds[0].max() < 0
    assert two.score[0] > one.score[0] + 1
    assert two.score[1] >= one.score[1]
    scores, coef = score.solutions(1, sets)
    np.testing.assert_allclose(scores, two.score, rtol=1e-9)
    np.testing.assert_allclose(coef, two.coef, rtol=1e-6, atol=1e-8)
    assert (score.coarse_added(1, (), sets[:, 0]) <= scores + 0.05).all()
    assert score.gene(1, (0,)).log_odds.max() < 0


def test_prior_that_was_exchanged_counts_at_once(study):
    score = make_score(study)
    before = score.score_sets(2, np.array([[0]]))
    score.prior = Prior.default(6)
    after = score.score_sets(2, np.array([[0]]))
    assert before != after
    assert after == pytest.approx(score._solve(2, np.array([[0]])).score)


@pytest.mark.parametrize("mechanism", ["linear", "additive"])
def test_python_and_the_compiled_search_ask_for_the_same_compiled_scores(study, mechanism):
    score = make_score(study, mechanism)
    assert numba.typeof(score._inverse_row(2)) == numba.typeof(score.engine()[3][3])
