"""Counterfactual counts and zeros have the distribution of cells that are drawn anew, and keep what the cells had."""

import numpy as np
import pytest

from scgim._core.observation.poisson_lognormal import draw_rates, move_counts
from scgim._core.observation.zero_inflated import move_zero_inflated

N = 40_000


def test_counts_move_to_the_changed_distribution():
    rng = np.random.default_rng(0)
    variance, mean = np.array([0.3, 0.3, 0.8, 0.5]), np.array([1.0, 2.0, 0.0, 1.5])
    change, log_size = np.array([-1.0, 0.7, 1.2, 0.0]), rng.normal(0, 0.3, size=N)
    z = mean + np.sqrt(variance) * rng.standard_normal((N, 4))
    count = rng.poisson(np.exp(z + log_size[:, None])).astype(float)
    moved = move_counts(count, np.tile(change, (N, 1)), np.tile(mean, (N, 1)), variance, log_size, rng)
    fresh = rng.poisson(np.exp(z + change + log_size[:, None]))
    np.testing.assert_allclose(moved.mean(0), fresh.mean(0), rtol=0.02)
    np.testing.assert_allclose(moved.var(0), fresh.var(0), rtol=0.1)
    np.testing.assert_allclose((moved == 0).mean(0), (fresh == 0).mean(0), atol=0.01)
    np.testing.assert_array_equal(moved[:, 3], count[:, 3])  # nothing happened to this gene
    assert (moved[:, 0] <= count[:, 0]).all() and (moved[:, 1] >= count[:, 1]).all()


@pytest.mark.parametrize("count", [0, 2, 40])
def test_posterior_of_rates_against_quadrature(count):
    rng = np.random.default_rng(3)
    z = np.linspace(-6, 9, 6001)
    weight = np.exp(count * z - np.exp(z) - 0.5 * (z - 1.0) ** 2 / 0.36)
    expected = (weight * np.exp(z)).sum() / weight.sum()
    draws = draw_rates(np.full(N, count), np.full(N, 1.0), np.full(N, 0.6), rng)
    assert draws.mean() == pytest.approx(expected, rel=0.01)


def test_counts_bounded_for_absurd_changes():
    rng = np.random.default_rng(1)
    zero = np.zeros((5, 2))
    moved = move_counts(np.full((5, 2), 3.0), np.array([[-1e3, 1e3]] * 5), zero, np.ones(2), np.zeros(5), rng)
    assert (moved[:, 0] == 0).all() and np.isfinite(moved).all()


@pytest.mark.parametrize(("before", "after"), [(0.5, 0.2), (0.2, 0.6), (0.3, 0.3)])
def test_zeros_come_and_go_as_their_probability_says(before, after):
    rng = np.random.default_rng(2)
    mean, variance, change = np.array([0.5]), np.array([0.4]), 0.8
    value = np.where(rng.random((N, 1)) < before, 0.0, np.exp(mean + np.sqrt(variance) * rng.standard_normal((N, 1))))
    full = np.ones((N, 1))
    moved = move_zero_inflated(value, change * full, before * full, after * full, mean * full, variance, rng)
    assert (moved == 0).mean() == pytest.approx(after, abs=0.01)
    logs = np.log(moved[moved > 0])
    assert logs.mean() == pytest.approx(1.3, abs=0.02) and logs.var() == pytest.approx(0.4, rel=0.05)
    kept = (value > 0) & (moved > 0)
    np.testing.assert_allclose(moved[kept], value[kept] * np.exp(change), rtol=1e-10)
