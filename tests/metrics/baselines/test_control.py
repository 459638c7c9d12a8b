"""Means of the control and of the training contexts."""

import numpy as np
import pytest

from scgim.metrics import baselines


def test_control_and_training_mean_are_means(linear_world):
    x, y, new, _, control = linear_world
    np.testing.assert_array_equal(baselines.control(x, y, new, control_mean=control), np.ones((10, 4)))
    np.testing.assert_allclose(baselines.training_mean(x, y, new), np.tile(y.mean(0), (10, 1)))
    with pytest.raises(ValueError, match="control_mean: expected"):
        baselines.control(x, y, new)
