import numpy as np
import pytest
from scipy.stats import binom

from scgim.pl import calibration
from scgim.pl._calibration import wilson


def test_points_are_the_shares_of_the_bins(rng):
    probability = rng.random(4000)
    ax = calibration(rng.random(4000) < probability, probability, show=False)
    points = np.asarray(ax.collections[1].get_offsets())
    assert len(points) == 10
    np.testing.assert_allclose(points[:, 0], points[:, 1], atol=0.09)


def test_the_intervals_hold_nine_tenths_of_shares():
    n, p = 40, 0.3
    k = np.arange(n + 1)
    low, high = wilson(k / n, np.full(n + 1, float(n)))
    assert binom.pmf(k, n, p)[(low <= p) & (p <= high)].sum() == pytest.approx(0.9, abs=0.03)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="shape"):
        calibration(np.ones(3), np.full(4, 0.5), show=False)
