"""Means of the control and of the training contexts."""

import numpy as np
import pytest

from scgim.metrics import baselines


@pytest.fixture
def linear_world():
    """Means that are linear in the features, without noise: (features, means, new features, new means, control mean)."""
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(50, 3)), rng.normal(size=(3, 4))
    return x[:40], x[:40] @ weights + 1, x[40:], x[40:] @ weights + 1, np.ones(4)


def test_control_and_training_mean_are_means(linear_world):
    x, y, new, _, control = linear_world
    np.testing.assert_array_equal(baselines.control(x, y, new, control_mean=control), np.ones((10, 4)))
    np.testing.assert_allclose(baselines.training_mean(x, y, new), np.tile(y.mean(0), (10, 1)))
    with pytest.raises(ValueError, match="control_mean: expected"):
        baselines.control(x, y, new)
