"""Energy distance against scipy and the double loop."""

import numpy as np
import pytest
from scipy import stats

from scgim import metrics
from scgim.metrics._predictions.energy_distance import _mean_pair


def test_energy_distance_is_scipys_in_one_dimension(cells):
    """scipy's energy distance is the square root of twice the Cramer distance, the same quantity."""
    x, y = (c[:, :1] for c in cells)
    assert metrics.energy_distance(x, y, squared=False) == pytest.approx(stats.energy_distance(x[:, 0], y[:, 0]))
    assert metrics.energy_distance(x, y) == pytest.approx(stats.energy_distance(x[:, 0], y[:, 0]) ** 2)


def test_energy_distance_in_blocks_is_the_double_loop(cells):
    x, y = cells
    pair = lambda a, b: np.mean([[np.linalg.norm(p - q) for q in b] for p in a])
    expected = 2 * pair(x, y) - pair(x, x) - pair(y, y)
    assert metrics.energy_distance(x, y) == pytest.approx(expected)
    assert _mean_pair(x, y, rows=7) == pytest.approx(pair(x, y))


def test_two_samples_of_one_population_are_at_the_floor():
    """Two samples of one population: about (1/n + 1/m) times the mean pairwise distance."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 500, 20))
    assert metrics.energy_distance(x, y) == pytest.approx((2 / 500) * np.sqrt(40), rel=0.15)
