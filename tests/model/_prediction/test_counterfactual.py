"""Cells that are moved from one intervention to another."""

import numpy as np

from scgim._core.kinds.base import Moved
from scgim._core.kinds.cells import propagate
from scgim._core.mechanisms import MECHANISMS
from scgim._core.mechanisms.additive import Mechanisms
from scgim.model._prediction.counterfactual import MovedCells

WEIGHTS = np.array([[0, 2.0], [0, 0]])
CHAIN = Mechanisms(
    MECHANISMS["linear"],
    np.arange(2),
    [np.array([], int), np.array([0])],
    [np.zeros((0, 1)), np.array([[2.0]])],
    np.array([[1.0, 0.0]]),
    np.array([0.5, 0.4]),
    np.zeros(2),
    np.ones(2),
    WEIGHTS,
)


def test_replayed_cells_keep_their_noise(rng) -> None:
    before, after = (Moved.adding(rng.normal(size=(30, 2))) for _ in range(2))
    noise, group = rng.normal(size=(30, 2)), np.zeros(30, int)
    cells = MovedCells(CHAIN, before, after, group)
    x = propagate(CHAIN, before, group, noise)
    np.testing.assert_allclose(cells.replay(x), propagate(CHAIN, after, group, noise))


def test_means_move_by_the_total_effect(rng) -> None:
    before, after = Moved.nothing(1, 2), Moved.adding(np.array([[1.5, 0.0]]))
    low, high, variance = MovedCells(CHAIN, before, after, np.zeros(1, int)).means()
    np.testing.assert_allclose(high - low, [[1.5, 3.0]])
    np.testing.assert_allclose(variance, [0.25, 0.16 + 4 * 0.25])
