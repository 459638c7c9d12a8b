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


def test_contexts_of_few_and_many_cells_are_made_comparable():
    """Logarithms of variances that lie s above and below what their cells let expect: a variance of s^2, less that of sampling."""
    half = np.tile([1.0, 2.0, 30.0], 4)
    expected = polygamma(0, half) - np.log(half)
    away = 2.0 * np.repeat([1.0, -1.0], 6)
    ratio = np.exp(expected + away)[:, None] * [1.0, 5.0]  # genes at any level
    found = prior_freedom(ratio, 2 * half)
    excess = 2.0**2 * 12 / 11 - polygamma(1, half).mean()
    assert polygamma(1, found / 2) == pytest.approx(excess)


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


def test_variances_are_drawn_by_the_learned_freedom(rng):
    """Small variances count as large ones do; a gene without any, and contexts of few cells, teach nothing."""
    n = np.append(np.full(60, 12), [1, 2])
    factor = np.append(8 / rng.chisquare(8, 60), [1.0, 1.0])[:, None]
    square = factor * np.maximum(n - 1, 0)[:, None] * rng.chisquare(11, (62, 4)) / 11 * [0.01, 0.1, 1.0, 0.0]
    pooled = square.sum(axis=0) / (n - 1.0).sum()
    ratio = square[:60, :3] / 11 / pooled[:3]
    d0 = prior_freedom(ratio, np.full(60, 11.0))
    assert np.isfinite(d0)
    np.testing.assert_allclose(moderated(square, n, pooled), (d0 * pooled + square) / (d0 + n - 1.0)[:, None])
    np.testing.assert_array_equal(moderated(0 * square, n, 0 * pooled), np.zeros((62, 4)))
    three, two = slice(57, 60), slice(58, 62)
    assert not np.allclose(moderated(square[three] * [[1.0], [9.0], [30.0]], n[three], pooled), pooled)
    np.testing.assert_array_equal(moderated(square[two] * 9.0, n[two], pooled), np.tile(pooled, (4, 1)))
    threes = np.full(6, 3)
    assert not np.allclose(moderated(np.repeat([0.01, 9.0], 3)[:, None] * [2.0, 2.0], threes, np.full(2, 4.5)), 4.5)
