"""What the published estimator is tried on."""

import numpy as np
import pytest

from scgim._core.design import Design


@pytest.fixture
def design():
    """A control, one drug at two doses, and another at one."""
    dose = np.array([[0, 0], [1.0, 0], [2.0, 0], [0, 1.0]])
    return Design(("a", "b"), dose, np.zeros(4, int), ("all",), np.full(4, 20), has_dose=True)
