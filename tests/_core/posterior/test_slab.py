"""The distribution of effects: densities and moments by quadrature, and when a gap around zero is believed."""

import numpy as np
import pytest

from scgim._core.posterior.slab import (
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
