"""Variances of contexts are drawn towards the pooled one as far as data ask for it."""

import numpy as np
import pytest
from scipy.special import polygamma

from scgim._core.posterior.spread import inverse_trigamma, moderated, prior_freedom


def test_inverse_trigamma_inverts():
    for value in (1e-3, 0.1, 1.0, 30.0):
        assert polygamma(1, inverse_trigamma(value)) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("d0", [3.0, 20.0])
def test_freedom_of_the_prior_is_found(rng, d0):
    truth = d0 / rng.chisquare(d0, (200, 30))
    freedom = np.full(200, 25.0)
    ratio = truth * rng.chisquare(25, (200, 30)) / 25
    assert prior_freedom(ratio, freedom) == pytest.approx(d0, rel=0.1)


def test_equal_variances_become_the_pooled_one(rng):
    pooled, n = np.array([0.5, 2.0]), np.full(400, 30)
    square = pooled * rng.chisquare(29, (400, 2))
    near = moderated(square, n, pooled)
    assert np.abs(near / pooled - 1).max() < np.abs(square / 29 / pooled - 1).max() / 3


def test_contexts_that_differ_keep_their_own_variance(rng):
    n = np.full(100, 200)
    factor = np.where(rng.random((100, 10)) < 0.15, 16.0, 1.0)
    square = factor * rng.chisquare(199, (100, 10))
    found = moderated(square, n, square.sum(axis=0) / 199 / 100)
    np.testing.assert_allclose(found, factor, rtol=0.35)


def test_few_contexts_take_the_pooled_variance():
    np.testing.assert_array_equal(moderated(np.ones((2, 3)), np.array([5, 5]), np.full(3, 0.7)), np.full((2, 3), 0.7))
