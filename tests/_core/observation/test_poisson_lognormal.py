"""Moments of Poisson log-normal counts against their closed form, and what a large sample says."""

import numpy as np
import pytest
from scipy import sparse

from scgim._core.observation.poisson_lognormal import draw_rates, move_counts, poisson_lognormal_moments

N_MOVED = 40_000

COV = np.array([[0.5, 0.3, 0.0], [0.3, 0.8, -0.2], [0.0, -0.2, 0.4]])
MEAN = np.array([[0.2, 1.0, -0.5], [1.2, 0.1, -0.5]])


def draw(rng, n, contexts=2):
    context = np.repeat(np.arange(contexts), n)
    size = np.exp(rng.normal(0, 0.4, len(context)))
    z = MEAN[context] + rng.multivariate_normal(np.zeros(3), COV, len(context))
    return rng.poisson(size[:, None] * np.exp(z)).astype(float), context, size


def test_recovers_means_and_covariance_of_the_latent_layer(rng):
    counts, context, size = draw(rng, 60_000)
    found = poisson_lognormal_moments(lambda: iter([(counts, context, size)]), 2)
    np.testing.assert_allclose(found.within, COV, atol=0.03)
    np.testing.assert_allclose(found.mean, MEAN, atol=0.03)


def test_matches_the_sums_by_hand_for_one_context():
    counts = np.array([[0.0, 2.0], [3.0, 1.0], [1.0, 0.0], [2.0, 4.0], [4.0, 3.0]])
    size = np.array([0.5, 1.0, 1.5, 0.8, 1.2])
    found = poisson_lognormal_moments(lambda: iter([(counts, np.zeros(5, int), size)]), 1)
    rate = counts.sum(0) / size.sum()
    e = counts - size[:, None] * rate
    s1, s2, s3 = (np.sum(size**p) for p in (1, 2, 3))
    products = e.T @ e - np.diag(rate * (s1 - s2 / s1))
    norm = (s2 - 2 * s3 / s1 + s2**2 / s1**2) * np.outer(rate, rate)
    np.testing.assert_allclose(found.within, np.log(np.maximum(1 + products / norm, 0.05)))


def test_chunks_and_sparse_matrices_give_the_same(rng):
    counts, context, size = draw(rng, 200)
    whole = poisson_lognormal_moments(lambda: iter([(counts, context, size)]), 2)
    order = [slice(0, 150), slice(150, 400)]
    parts = poisson_lognormal_moments(lambda: ((sparse.csr_matrix(counts[r]), context[r], size[r]) for r in order), 2)
    for name in ("n", "mean", "spread", "within", "pair_variance"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name))


def test_errors_of_the_means_are_as_large_as_stated(rng):
    z, n = [], 40
    for _ in range(150):
        counts, context, size = draw(rng, n)
        found = poisson_lognormal_moments(lambda c=(counts, context, size): iter([c]), 2)
        # the true covariance: its error is the same in all contexts and no matter here
        excess = np.expm1(np.diag(COV)) * ((size[context == 0] ** 2).sum() / size[context == 0].sum() ** 2)
        total = np.array([counts[context == k].sum(0) for k in (0, 1)])
        depth = np.array([size[context == k].sum() for k in (0, 1)])[:, None]
        mean = np.log((total + 0.5) / depth) + excess / 2 - np.diag(COV) / 2
        z.append((mean - MEAN) / np.sqrt(1 / (total + 0.5) + excess))
        assert (found.spread >= 0).all()
    assert np.std(z) == pytest.approx(1, abs=0.1)
    assert np.abs(np.mean(z)) < 0.15


def test_a_gene_without_counts_in_a_context_is_known_badly(rng):
    counts, context, size = draw(rng, 50)
    counts[context == 1, 0] = 0
    found = poisson_lognormal_moments(lambda: iter([(counts, context, size)]), 2)
    assert np.isfinite(found.mean).all()
    assert found.spread[1, 0] > 1 > found.spread[0, 0]


def test_no_cells_are_refused():
    with pytest.raises(ValueError, match="chunks"):
        poisson_lognormal_moments(lambda: iter(()), 2)


def test_counts_move_to_the_changed_distribution():
    rng = np.random.default_rng(0)
    variance, mean = np.array([0.3, 0.3, 0.8, 0.5]), np.array([1.0, 2.0, 0.0, 1.5])
    change, log_size = np.array([-1.0, 0.7, 1.2, 0.0]), rng.normal(0, 0.3, size=N_MOVED)
    z = mean + np.sqrt(variance) * rng.standard_normal((N_MOVED, 4))
    count = rng.poisson(np.exp(z + log_size[:, None])).astype(float)
    moved = move_counts(count, np.tile(change, (N_MOVED, 1)), np.tile(mean, (N_MOVED, 1)), variance, log_size, rng)
    fresh = rng.poisson(np.exp(z + change + log_size[:, None]))
    np.testing.assert_allclose(moved.mean(0), fresh.mean(0), rtol=0.02)
    np.testing.assert_allclose(moved.var(0), fresh.var(0), rtol=0.1)
    np.testing.assert_allclose((moved == 0).mean(0), (fresh == 0).mean(0), atol=0.01)
    np.testing.assert_array_equal(moved[:, 3], count[:, 3])  # nothing happened to this gene
    assert (moved[:, 0] <= count[:, 0]).all() and (moved[:, 1] >= count[:, 1]).all()


@pytest.mark.parametrize("count", [0, 2, 40])
def test_posterior_of_rates_is_that_of_quadrature(count):
    rng = np.random.default_rng(3)
    z = np.linspace(-6, 9, 6001)
    weight = np.exp(count * z - np.exp(z) - 0.5 * (z - 1.0) ** 2 / 0.36)
    expected = (weight * np.exp(z)).sum() / weight.sum()
    draws = draw_rates(np.full(N_MOVED, count), np.full(N_MOVED, 1.0), np.full(N_MOVED, 0.6), rng)
    assert draws.mean() == pytest.approx(expected, rel=0.01)


def test_counts_stay_bounded_under_absurd_changes():
    rng = np.random.default_rng(1)
    zero = np.zeros((5, 2))
    moved = move_counts(np.full((5, 2), 3.0), np.array([[-1e3, 1e3]] * 5), zero, np.ones(2), np.zeros(5), rng)
    assert (moved[:, 0] == 0).all() and np.isfinite(moved).all()
