"""Total effects are sums over paths, and carry the noise of every gene."""

import numpy as np

from scgim._core.mechanisms.total import covariance, total_effects, variance

WEIGHTS = np.array([[0, 2.0, 1.0], [0, 0, -3.0], [0, 0, 0]])


def test_paths_are_multiplied_along_and_added() -> None:
    np.testing.assert_allclose(total_effects(WEIGHTS), [[1, 2, 1 - 6], [0, 1, -3], [0, 0, 1]])


def test_a_cycle_is_summed_over_all_its_rounds() -> None:
    A = np.array([[0, 0.5], [-0.4, 0]])
    np.testing.assert_allclose(total_effects(A), sum(np.linalg.matrix_power(A, k) for k in range(60)))


def test_covariance_is_that_of_drawn_cells(rng) -> None:
    sd = np.array([0.5, 1.0, 2.0])
    x = np.zeros((200_000, 3))
    for j in range(3):
        x[:, j] = x @ WEIGHTS[:, j] + sd[j] * rng.standard_normal(len(x))
    found = covariance(WEIGHTS, sd)
    np.testing.assert_allclose(found, np.cov(x.T), rtol=0.03, atol=0.03)
    np.testing.assert_allclose(variance(WEIGHTS, sd), np.diag(found))
