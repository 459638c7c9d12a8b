"""Sliced Wasserstein distance against POT and a closed form."""

import numpy as np
import pytest

from scgim import metrics


def test_sliced_wasserstein_is_pots(cells):
    ot = pytest.importorskip("ot")
    x, y = cells
    directions = np.random.default_rng(3).normal(size=(3, 100))
    directions /= np.linalg.norm(directions, axis=0)
    expected = ot.sliced_wasserstein_distance(x, y, projections=directions, p=2)
    assert metrics.sliced_wasserstein(x, y, rng=3) == pytest.approx(expected)


def test_sliced_wasserstein_of_a_shift_is_the_closed_form():
    """In one dimension a shift by 2 is 2 away; one cell against one is the mean over directions."""
    x = np.random.default_rng(0).normal(size=(50, 1))
    assert metrics.sliced_wasserstein(x, x + 2) == pytest.approx(2)
    assert metrics.sliced_wasserstein(x, x) == 0
