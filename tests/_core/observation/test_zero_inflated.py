"""Moments of zero-inflated log-normal values, and the regression of zeros on means."""

import numpy as np
import pytest
from scipy import sparse

from scgim._core.observation.zero_inflated import fit_zeros, move_zero_inflated, zero_inflated_moments

N_MOVED = 40_000

COV = np.array([[1.0, 0.5, 0.0], [0.5, 1.5, -0.4], [0.0, -0.4, 0.7]])
MEAN = np.array([[0.0, 1.0, -0.5], [2.0, 0.0, -0.5]])
ZERO = np.array([0.2, 0.5, 0.7])


def draw(rng, n):
    context = np.repeat([0, 1], n)
    z = MEAN[context] + rng.multivariate_normal(np.zeros(3), COV, 2 * n)
    return np.where(rng.random(z.shape) < ZERO, 0.0, np.exp(z)), context


def test_recovers_moments_and_zeros(rng):
    x, context = draw(rng, 40_000)
    found, zeros = zero_inflated_moments(lambda: iter([(x, context)]), 2)
    np.testing.assert_allclose(found.within, COV, atol=0.04)
    np.testing.assert_allclose(found.mean, MEAN, atol=0.04)
    np.testing.assert_allclose(zeros, np.tile(ZERO, (2, 1)), atol=0.02)


def test_without_zeros_they_are_the_moments_of_the_logarithms(rng):
    z = rng.normal(size=(60, 3))
    found, _ = zero_inflated_moments(lambda: iter([(np.exp(z), np.zeros(60, int))]), 1)
    np.testing.assert_allclose(found.within, np.cov(z.T))
    np.testing.assert_allclose(found.mean[0], z.mean(0))
    np.testing.assert_allclose(found.spread, 0, atol=1e-12)


def test_pairs_of_few_cells_are_unbiased(rng):
    within = []
    for _ in range(400):
        x, context = draw(rng, 20)
        within.append(zero_inflated_moments(lambda c=(x, context): iter([c]), 2)[0].within)
    np.testing.assert_allclose(np.mean(within, axis=0), COV, atol=0.12)


def test_spread_is_what_missing_cells_add(rng):
    x, context = draw(rng, 50)
    found, _ = zero_inflated_moments(lambda: iter([(x, context)]), 2)
    seen = np.array([(x[context == k] > 0).sum(0) for k in (0, 1)])
    np.testing.assert_allclose(found.spread, np.diag(found.within) * (1 / seen - 1 / 50))


def test_chunks_and_sparse_matrices_give_the_same(rng):
    x, context = draw(rng, 100)
    whole = zero_inflated_moments(lambda: iter([(x, context)]), 2)
    rows = [slice(0, 30), slice(30, 200)]
    parts = zero_inflated_moments(lambda: ((sparse.csr_matrix(x[r]), context[r]) for r in rows), 2)
    np.testing.assert_allclose(parts[0].within, whole[0].within)
    np.testing.assert_allclose(parts[1], whole[1])


def test_zeros_follow_the_mean_where_they_do(rng):
    mean = rng.normal(size=(300, 2))
    truth = 1 / (1 + np.exp(-(0.5 + np.array([-1.0, 0.0]) * mean)))
    n = np.full(300, 200.0)
    zeros = rng.binomial(200, truth) / 200
    intercept, slope, centre = fit_zeros(n, zeros, mean)
    np.testing.assert_allclose(slope, [-1, 0], atol=0.05)
    np.testing.assert_allclose(intercept - slope * centre, 0.5, atol=0.05)


def test_no_cells_are_refused():
    with pytest.raises(ValueError, match="chunks"):
        zero_inflated_moments(lambda: iter(()), 2)


@pytest.mark.parametrize(("before", "after"), [(0.5, 0.2), (0.2, 0.6), (0.3, 0.3)])
def test_zeros_come_and_go_as_their_probability_says(before, after):
    rng = np.random.default_rng(2)
    mean, variance, change = np.array([0.5]), np.array([0.4]), 0.8
    value = np.where(
        rng.random((N_MOVED, 1)) < before, 0.0, np.exp(mean + np.sqrt(variance) * rng.standard_normal((N_MOVED, 1)))
    )
    full = np.ones((N_MOVED, 1))
    moved = move_zero_inflated(value, change * full, before * full, after * full, mean * full, variance, rng)
    assert (moved == 0).mean() == pytest.approx(after, abs=0.01)
    logs = np.log(moved[moved > 0])
    assert logs.mean() == pytest.approx(1.3, abs=0.02) and logs.var() == pytest.approx(0.4, rel=0.05)
    kept = (value > 0) & (moved > 0)
    np.testing.assert_allclose(moved[kept], value[kept] * np.exp(change), rtol=1e-10)
