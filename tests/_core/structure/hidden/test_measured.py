"""Noise of measurement: the likelihood that is climbed, and moments without the noise, against formulas written out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from scgim._core.moments.moments import Moments
from scgim._core.structure.hidden.measured import MOST, Climb, implied, measured_noise, most_noise, without_noise


@pytest.fixture
def chain(rng):
    """Effects, both noises and the covariance of three genes in a chain."""
    weights = np.zeros((3, 3))
    weights[0, 1], weights[1, 2] = 0.8, -0.6
    own, noise = np.array([1.0, 0.5, 0.7]), np.array([0.2, 0.4, 0.1])
    return weights, own, noise


def test_the_covariance_is_that_of_drawn_cells(chain, rng):
    weights, own, noise = chain
    y = np.zeros((200_000, 3))
    for j in range(3):
        y[:, j] = y @ weights[:, j] + np.sqrt(own[j]) * rng.normal(size=len(y))
    seen = y + np.sqrt(noise) * rng.normal(size=y.shape)
    np.testing.assert_allclose(implied(weights, own, noise), np.cov(seen.T), atol=0.02)


def climb_of(chain, rng):
    weights, own, noise = chain
    mean, weight = rng.normal(size=(4, 3)), rng.uniform(1, 50, (4, 3))
    function = Climb(implied(*chain) + 0.05, 500.0, np.nonzero(weights), mean, weight, np.full(3, 0.3))
    return function, np.concatenate([weights[function.at], np.log(own), np.log(noise)]), mean, weight


def test_value_and_gradient_of_the_climb(chain, rng):
    function, x, mean, weight = climb_of(chain, rng)
    weights, own, noise = chain
    cov = implied(weights, own, noise)
    rest = mean @ (np.eye(3) - weights)
    expected = 0.5 * (np.linalg.slogdet(cov)[1] + np.trace(np.linalg.solve(cov, function.within)))
    expected += 0.5 * ((weight * rest**2).sum() + (np.log(noise / 0.3) ** 2).sum()) / 500
    value, gradient = function(x)
    assert value == pytest.approx(expected)
    np.testing.assert_allclose(gradient, approx_fprime(x, lambda x: function(x)[0], 1e-7), atol=1e-5)


def test_what_variances_cost(chain, rng):
    """Half the squared distance from the common one, and half the log of the posterior over the prior precision."""
    function, x, *_ = climb_of(chain, rng)
    half = 0.5 * (np.log(chain[2] / 0.3) ** 2).sum()
    for j in (5, 6, 7):
        step = 1e-4 * np.eye(8)[j]
        second = 500 * (function(x + step)[0] - 2 * function(x)[0] + function(x - step)[0]) / 1e-8
        half += 0.5 * np.log(max(second, 1.0))
    assert function.cost(x) == pytest.approx(half, rel=1e-3)


def test_moments_without_noise(chain):
    """The diagonal alone is less; means err by the noise of their cells."""
    within, n = implied(*chain), np.array([10.0, 40.0])
    moments = Moments(n, np.zeros((2, 3, 1)), within, np.zeros(3), np.ones(3), np.ones((3, 1)))
    less = without_noise(moments, chain[2])
    np.testing.assert_allclose(less.within, implied(chain[0], chain[1], np.zeros(3)))
    np.testing.assert_allclose(less.spread, chain[2] / n[:, None])
    np.testing.assert_array_equal(measured_noise(less), chain[2])
    with pytest.raises(ValueError, match="moments: expected some without noise"):
        measured_noise(moments)
    units = np.array([1.0, 10.0, 0.1])
    assert most_noise(within) == pytest.approx(most_noise(within * np.outer(units, units)))
    assert most_noise(np.eye(3)) == MOST
