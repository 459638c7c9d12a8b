"""What an experiment tells about edges, against brute force."""

import numpy as np
import pytest

from scgim._core.posterior.information import entropy, information, states


def by_draws(p, forward, backward, rng, n=200_000):
    """Mutual information in bits, from draws of the state and of what is seen."""
    centre = np.array([[0, 0], [0, forward], [backward, 0]])
    state = rng.choice(3, n, p=p)
    z = centre[state] + rng.normal(size=(n, 2))
    density = np.exp(-0.5 * ((z[:, None] - centre) ** 2).sum(axis=2))
    return np.mean(np.log2(density[np.arange(n), state] / (density @ p)))


@pytest.mark.parametrize("signal", [(0.0, 0.0), (0.5, 0.0), (3.0, 0.0), (2.0, -1.0), (0.0, 6.0)])
def test_information_is_that_of_draws(signal, rng):
    p = np.array([0.2, 0.5, 0.3])
    found = information(p[None], *(np.array([s]) for s in signal))[0]
    assert found == pytest.approx(by_draws(p, *signal, rng), abs=0.02)


def test_a_strong_signal_tells_everything_and_none_nothing():
    p = states(np.array([0.5, 0.4]), np.array([0.5, 0.1]))
    np.testing.assert_allclose(information(p, np.full(2, 40.0), np.full(2, 40.0)), entropy(p), atol=1e-6)
    np.testing.assert_allclose(information(p, np.zeros(2), np.zeros(2)), 0, atol=1e-12)
    np.testing.assert_allclose(entropy(p)[0], 1.0)


def test_what_is_known_cannot_be_told(rng):
    p = states(np.array([1.0, 0.0]), np.array([0.0, 0.0]))
    np.testing.assert_allclose(information(p, rng.normal(size=2), rng.normal(size=2)), 0, atol=1e-9)


def test_edges_that_exclude_each_other_are_states(rng):
    p = states(np.array([0.9, 0.3]), np.array([0.6, 0.1]))
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_allclose(p[0], [0, 0.6, 0.4], atol=1e-12)
