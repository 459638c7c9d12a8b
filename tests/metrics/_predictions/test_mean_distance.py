"""Distance of means by hand."""

import numpy as np
import pytest

from scgim import metrics


def test_mean_distance_is_euclidean(cells):
    x, y = cells
    assert metrics.mean_distance(x, y) == pytest.approx(np.sqrt(((x.mean(0) - y.mean(0)) ** 2).sum()))
    assert metrics.mean_distance([[0.0, 0.0]], [[3.0, 4.0]]) == 5
