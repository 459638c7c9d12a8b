"""Which map is used, and how sure it may be."""

import numpy as np
import pytest

from scgim._core.effects import Effects
from scgim._core.features.choose import calibrate_effects, calibrate_targets, choose, dependence, soften


def test_choose_prefers_the_right_map():
    """The map with the smaller error is chosen; a useless one leaves the population."""
    rng = np.random.default_rng(7)
    truth, contexts = rng.normal(size=(30, 5)), [np.ones(2)] * 30
    shifts = {"none": np.zeros((30, 5)), "forward": rng.normal(size=(30, 5)), "backward": truth + 0.1}
    choice = choose(shifts, truth, contexts, lambda x: x)
    assert choice.informative
    assert choice.weights["backward"] >= 0.8
    del shifts["backward"]
    choice = choose(shifts, truth, contexts, lambda x: x)
    assert not choice.informative
    assert choice.weights["none"] == 1


def test_dependence_is_uniform_under_independence():
    """The p value is small for matching pairs, and not otherwise."""
    rng = np.random.default_rng(8)
    assert dependence([10 * np.eye(6)] * 3, rng) < 0.01
    p = [dependence([rng.normal(size=(6, 6)) for _ in range(3)], rng, n_permutations=300) for _ in range(200)]
    assert 0.4 < np.mean(p) < 0.6


def test_overconfident_probabilities_are_softened_and_calibrated_ones_left():
    """Overconfident probabilities are softened, calibrated ones are left."""
    rng = np.random.default_rng(9)
    logit = rng.normal(size=(100, 20)) * 2 - 2
    p = 1 / (1 + np.exp(-logit))
    label = (rng.random(p.shape) < p).astype(float)
    assert calibrate_targets(p, label, label_noise=1e-6) == 1
    assert calibrate_targets(1 / (1 + np.exp(-2 * logit)), label, label_noise=1e-6) == 2
    np.testing.assert_allclose(soften(np.array([0.5, 0.9]), 1.0), [0.5, 0.9])


def test_softening_leaves_what_is_no_evidence():
    """Odds are those of the prior times a root of the Bayes factor."""
    prior, factor = np.array([0.05, 0.2]), np.array([9.0, 0.25])
    odds = prior / (1 - prior)
    np.testing.assert_allclose(soften(prior, 2.0, prior), prior)
    expected = odds * np.sqrt(factor)
    np.testing.assert_allclose(
        soften(odds * factor / (1 + odds * factor), 2.0, prior), expected / (1 + expected), rtol=1e-6
    )


def test_effects_that_were_read_are_widened_beside_the_errors_of_fitted_ones(rng):
    """Errors of fitted effects, as large as those claimed for what was read, are none of its own."""
    n, claimed, fitted = 4000, 0.5, 0.5
    truth, on = rng.normal(size=(1, n)), np.ones((1, n), dtype=bool)
    seen = truth + fitted * rng.normal(size=truth.shape)
    for real, factor in ((1.0, 2.0), (0.5, 1.0), (0.3, 1.0)):
        held = Effects(np.ones(truth.shape), truth + real * rng.normal(size=truth.shape), np.full(truth.shape, claimed))
        assert calibrate_effects(held, seen, np.full(truth.shape, fitted), on) == pytest.approx(factor, rel=0.06)
