"""The distribution of effects: densities and moments by quadrature, and when a gap around zero is believed."""

import numpy as np
import pytest

from scgim._core.posterior.effects.slab import (
    gap_slab,
    learn_hidden_slab,
    learn_slab,
    log_mixture,
    single_slab,
    tilted_moments,
)

GRID = np.linspace(-30, 30, 60_001)


def test_moments_are_those_of_quadrature():
    slab = gap_slab(0.7, 3.0, 0.5, 9.0)
    prior = np.exp(log_mixture(GRID, np.zeros_like(GRID), slab))
    assert np.trapezoid(prior, GRID) == pytest.approx(1, abs=1e-4)
    density = prior * np.exp(-0.5 * (GRID - 1.2) ** 2 / 0.8)
    density /= density.sum()
    mean, variance = tilted_moments(np.array([1.2]), np.array([0.8]), slab)
    assert mean[0] == pytest.approx((density * GRID).sum(), abs=1e-6)
    assert variance[0] == pytest.approx((density * (GRID - mean[0]) ** 2).sum(), abs=1e-6)
    blurred = np.exp(log_mixture(np.array([1.2]), np.array([0.8]), slab))[0]
    both = prior * np.exp(-0.5 * (GRID - 1.2) ** 2 / 0.8) / np.sqrt(2 * np.pi * 0.8)
    assert blurred == pytest.approx(np.trapezoid(both, GRID), rel=1e-4)


def effects_of(rng, kind: str) -> np.ndarray:
    on = rng.random((40, 20)) < 0.1
    size = rng.uniform(1, 3, on.shape) * rng.choice([-1, 1], on.shape)
    return np.where(on, size if kind == "gap" else 2 * rng.standard_normal(on.shape), 0.0)


@pytest.mark.parametrize("kind", ["gap", "none"])
def test_a_gap_is_believed_only_where_there_is_one(kind):
    """Small effects that cannot be told from none must not be taken for a gap."""
    found = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        effect = effects_of(rng, kind)
        variance = np.full(effect.shape, 0.15**2)
        estimate = effect + 0.15 * rng.standard_normal(effect.shape)
        found.append(
            len(learn_hidden_slab(estimate, variance, np.full(20, 0.1), float((effect[effect != 0] ** 2).mean())))
        )
    assert found == [3 if kind == "gap" else 1] * 5


def test_few_effects_say_nothing_of_their_distribution(rng):
    np.testing.assert_array_equal(learn_slab(np.array([2.0, -2.0]), 4.0), single_slab(4.0))
    estimate = 0.1 * rng.standard_normal((5, 4))
    estimate[0, 0] = 2.0
    found = learn_hidden_slab(estimate, np.full((5, 4), 0.01), np.full(4, 0.1), 4.0)
    np.testing.assert_array_equal(found, single_slab(4.0))


def test_moments_of_many_genes_are_those_of_each_alone(rng):
    slab = gap_slab(0.3, 2.0, 0.4, 5.0)
    mean, variance = rng.normal(size=(4, 3)), rng.uniform(0.1, 2, (4, 3))
    first, second = tilted_moments(mean, variance, slab)
    density = log_mixture(mean, variance, slab)
    assert first.shape == second.shape == density.shape == (4, 3)
    for i in np.ndindex(4, 3):
        alone = tilted_moments(mean[i][None], variance[i][None], slab)
        assert (first[i], second[i]) == (pytest.approx(alone[0][0]), pytest.approx(alone[1][0]))
        assert density[i] == pytest.approx(log_mixture(mean[i][None], variance[i][None], slab)[0])


def test_a_gap_is_described_by_share_of_increases_and_moments_of_sizes(rng):
    """Against the effects themselves: which of them are positive, and mean and variance of their sizes."""
    size = 3 + 0.5 * rng.standard_normal(40)
    effects = size * np.where(np.arange(40) < 30, 1.0, -1.0)
    tau2 = float((effects**2).mean())
    np.testing.assert_allclose(learn_slab(effects, tau2), gap_slab(0.75, size.mean(), size.var(), tau2))
    same = np.full(12, 2.0) * np.where(np.arange(12) < 4, 1.0, -1.0)  # no variance: a tenth of the size stands for it
    np.testing.assert_allclose(learn_slab(same, 4.0), gap_slab(1 / 3, 2.0, 0.2**2, 4.0))
    up = np.full(12, 2.0)  # no decreases: one in twelve may be
    np.testing.assert_allclose(learn_slab(up, 4.0), gap_slab(11 / 12, 2.0, 0.2**2, 4.0))
    np.testing.assert_array_equal(learn_slab(2 * rng.standard_normal(400), 4.0), single_slab(4.0))


def test_hidden_gaps_have_the_share_of_increases_and_the_sizes_of_clear_targets(rng):
    on = np.zeros((30, 10), dtype=bool)
    on[:, 0] = True
    effect = np.where(
        on, np.where(np.arange(30) < 24, 1.0, -1.0)[:, None] * (4 + 0.8 * rng.standard_normal(on.shape)), 0
    )
    estimate, variance = effect + 0.1 * rng.standard_normal(effect.shape), np.full(effect.shape, 0.01)
    found = learn_hidden_slab(estimate, variance, np.full(10, 1e-6), 16.0)  # so that others do not count
    size = np.abs(estimate[on])
    expected = gap_slab(0.8, size.mean(), size.var() - 0.01, 16.0)
    np.testing.assert_allclose(found, expected, rtol=0.02)


@pytest.mark.parametrize("n_targets", [7, 8])
def test_eight_targets_may_show_a_gap(n_targets):
    estimate = np.zeros((10, 10))
    estimate[:n_targets, 0] = 4.0 * np.where(np.arange(n_targets) % 2, 1, -1)
    found = learn_hidden_slab(estimate, np.full((10, 10), 0.01), np.full(10, 1e-3), 16.0)
    assert len(found) == (3 if n_targets == 8 else 1)
