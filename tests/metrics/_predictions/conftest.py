"""What the distances are tried on."""

import numpy as np
import pytest


@pytest.fixture
def cells():
    """Two sets of cells ``(60, 3)`` and ``(45, 3)`` that differ in mean and spread."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(60, 3)), rng.normal(1, 2, size=(45, 3))
