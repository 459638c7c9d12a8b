"""What the baselines are tried on."""

import numpy as np
import pytest


@pytest.fixture
def linear_world():
    """Means that are linear in the features, without noise: (features, means, new features, new means, control mean)."""
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(50, 3)), rng.normal(size=(3, 4))
    return x[:40], x[:40] @ weights + 1, x[40:], x[40:] @ weights + 1, np.ones(4)
