"""Signs of targets: shares that drugs tell each other, and one drug nothing."""

import numpy as np
import pytest
from scipy.special import betaln
from tests._core.posterior.test_background import shifts_of

from scgim._core.posterior.background import fit_background
from scgim._core.posterior.unseen.signs import Signs


def weighed(rng, signs, G=30):
    """Each drug moves one gene by two standard deviations."""
    D = len(signs)
    estimate = rng.normal(size=(D, G)) * 0.05
    estimate[np.arange(D), np.arange(D)] += 2.0 * np.asarray(signs)
    shifts, _ = shifts_of(estimate, 0.0025)
    background = fit_background(shifts, D)
    found = Signs.of(shifts, background)
    weight = found.settle(background.log_odds)
    np.testing.assert_allclose(Signs(1 - found.positive).settle(background.log_odds), weight, atol=1e-12)
    return found.positive, weight


def test_a_rise_is_less_probable_a_target_where_all_other_targets_fall(rng):
    positive, weight = weighed(rng, [-1] * 12)
    own = np.eye(12, 30, dtype=bool)
    assert (weight[own] > 0.5).all()
    assert weight[~own & (positive > 0.9)].max() < -1


def test_signs_are_averaged_with_even_ones_by_evidence():
    found = Signs(np.array([[1.0, 0.5], [1.0, 0.5], [0.0, 0.5]])).weigh(np.array([[1.0, 0.0]] * 3))
    even, own = 0.5**2, np.exp(betaln(3, 1))  # evidence of both other drugs of the last one
    share = (even * 0.5 + own * 3 / 4) / (even + own)
    np.testing.assert_allclose(found, [[0, 0], [0, 0], [np.log(2 * (1 - share)), 0]], atol=1e-12)


@pytest.mark.parametrize(("signs", "most"), [([-1, 1] * 6, 0.3), ([-1], 0.0)])
def test_even_signs_say_little_and_one_drug_nothing(rng, signs, most):
    assert np.abs(weighed(rng, signs)[1]).max() <= most
