"""What odds of targets become: targets of contexts, what a fit keeps, and errors that contexts share."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from scgim._core.design import Design
from scgim._core.posterior.contrasts import contrasts
from scgim._core.posterior.odds import Odds, Support, learn_odds, odds_of_contexts, share
from scgim._core.posterior.shifts import Shifts

DOSE = np.array([[0, 0], [1, 0], [1, 0], [0, 1], [0, 1]], float)
DESIGN = Design(("a", "b"), DOSE, np.zeros(5, int), ("all",), np.array([40.0, 20.0, 10.0, 20.0, 20.0]))
COMBINED = Design(("a", "b"), np.array([[0, 0], [1, 0], [1, 1]], float), np.zeros(3, int), ("all",), np.full(3, 9.0))


def odds_of(log_odds, regulators=None) -> Odds:
    log_odds = np.asarray(log_odds, dtype=float)
    return Odds(log_odds, np.ones((3, 3)), np.zeros((2, 1, 3)), None, None, regulators)  # type: ignore[arg-type]


def test_targets_are_more_probable_than_not():
    found = odds_of([[0.0, 1e-9, -2.0], [1.0, -1.0, -1.0]])
    np.testing.assert_array_equal(found.on(COMBINED), [[0, 0, 0], [0, 1, 0], [1, 1, 0]])
    moves = SimpleNamespace(moves=np.array([[False, False, True], [False, False, False]]))
    np.testing.assert_array_equal(
        odds_of([[0.0, 1e-9, -2.0], [1.0, -1.0, -1.0]], moves).on(COMBINED), [[0, 0, 0], [0, 1, 1], [1, 1, 1]]
    )


def test_odds_of_a_context_are_those_of_any_of_its_drugs():
    found = odds_of_contexts(np.array([[0.0, 1.0], [-1.0, 2.0]]), COMBINED)
    p = 1 / (1 + np.exp(-np.array([[0.0, 1.0], [-1.0, 2.0]])))
    both = 1 - (1 - p[0]) * (1 - p[1])
    np.testing.assert_allclose(found, [[-np.inf] * 2, [0.0, 1.0], np.log(both / (1 - both))])
    kept = Support.not_compared(found, np.array([True, False]))
    np.testing.assert_array_equal(kept.agree, np.ones((2, 2)))
    np.testing.assert_array_equal(kept.n_groups, [1, 1])


def test_drugs_of_one_class_keep_odds_that_are_numbers():
    found = share(np.array([[500.0], [500.0], [3.0]]), np.array([0, 0, 2]))
    np.testing.assert_allclose(found, [[0.0], [0.0], [3.0]], atol=1e-9)


def test_what_contexts_share_is_what_is_left_of_the_errors(rng):
    """Error of an amplitude, less what its own contexts err by, and drift beside the effect; contexts scatter, controls do not."""
    value, error = rng.normal(size=(5, 8)), np.full((5, 8), 0.01)
    found = contrasts(DESIGN, DOSE, value, error)
    assert found.context_sd > 0.1
    estimate = found.weight @ value
    variance = found.weight**2 @ error + found.scatter
    shifts = Shifts(np.stack([estimate, estimate]), np.stack([variance, variance]), np.zeros((2, 2, 8)), found, error)
    odds = learn_odds(shifts, DESIGN, None)
    scatter = np.array([0, 1, 1, 1, 1])[:, None] * found.context_sd**2
    np.testing.assert_allclose(odds.error, error + scatter)
    own = np.zeros((2, 8))
    for r, d in enumerate(found.drug):
        for k in np.flatnonzero(DOSE[:, d]):
            own[r] += found.weight[r, k] ** 2 * odds.error[k]
    rest = np.maximum(variance - own - found.offset, 0) + odds.background.beside
    assert odds.shared.shape == (2, 1, 8)
    np.testing.assert_allclose(odds.shared[found.drug, found.level], rest)
    doubt = rng.uniform(size=(2, 8))
    unsure = learn_odds(replace(shifts, doubt=doubt), DESIGN, None)
    np.testing.assert_array_equal(unsure.log_odds, odds.log_odds)
    np.testing.assert_allclose(unsure.shared[found.drug, found.level], rest + doubt)
    settings = odds.settings
    assert settings["drift_sd"] == pytest.approx(np.sqrt(np.median(odds.background.scale)))
    assert settings["between_contexts_sd"] == found.context_sd
    support = odds.support(DESIGN)
    np.testing.assert_array_equal(support.agree, found.agree)
    assert np.isneginf(support.log_odds[0]).all()
