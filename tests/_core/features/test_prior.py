"""The population of known drugs as a prior of new ones."""

import numpy as np
import pytest

from scgim._core.features.prior import learn_prior


def test_frequent_targets_are_likelier_and_the_slab_has_a_component_a_sign():
    """Frequent targets are likelier, and the slab has a component a sign where small effects are missing."""
    rng = np.random.default_rng(3)
    on = np.zeros((50, 8), bool)
    on[:, 0] = rng.random(50) < 0.6
    on[np.arange(50), rng.integers(1, 8, 50)] = True
    effect = np.where(on, rng.choice([-4.0, 4.0], on.shape) + rng.normal(size=on.shape), 0)
    prior = learn_prior(on.astype(float), effect, np.full(on.shape, 0.1), np.ones(50), np.full(50, 2.0))
    assert prior.probability.argmax() == 0
    assert prior.slab.shape == (3, 3)
    assert np.exp(prior.log_size).sum() == pytest.approx(1)
    factor, spread = prior.factor(np.array([0.0, 1.0]))
    np.testing.assert_allclose(factor, [0, 0.5])
    np.testing.assert_allclose(spread, 0, atol=1e-12)


def test_new_drugs_share_the_uncertainty_of_the_curve():
    """Little at measured doses, more elsewhere; and drugs that differ add to it."""
    effect = np.where(np.eye(6) > 0, 3.0, 0.0)
    sd, doses = np.full((6, 6), 0.1), np.array([1.0, 2.0])
    axes = np.repeat(np.array([[[0.1, 0.0]], [[0.0, 0.1]]]), 6, axis=1)
    arguments = ((effect != 0) * 1.0, effect, sd, np.full(6, 0.75), np.full(6, 4.0))
    known = learn_prior(*arguments).factor(np.array([0.5, 1.0]))[1]
    np.testing.assert_array_equal(known, 0)
    spread = learn_prior(*arguments, axes=axes, doses=doses).factor(np.array([0.4, 1.0, 2.0]))
    np.testing.assert_allclose(spread[0], 1 / (1 + (0.75 / np.array([0.4, 1.0, 2.0])) ** 4))
    relative = spread[1] / spread[0]
    assert relative[0] > 3 * relative[1] > 3 * relative[2] > 0
    different = (*arguments[:3], np.geomspace(0.4, 1.4, 6), np.full(6, 4.0))
    assert learn_prior(*different, axes=axes, doses=doses).factor(np.array([1.0]))[1][0] > 2 * spread[1][1]
