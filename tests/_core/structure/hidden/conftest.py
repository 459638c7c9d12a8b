"""Loadings of two hidden factors."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def loading():
    """``(10, 2)``, of both signs."""
    rng = np.random.default_rng(0)
    return rng.uniform(0.4, 0.8, (10, 2)) * rng.choice([-1, 1], (10, 2))
