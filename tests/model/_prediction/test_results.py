"""Tables of targets."""

import numpy as np

from scgim.model._prediction.results import ranks


def test_ranks_by_probability_then_effect() -> None:
    found = ranks(np.array([[0.2, 0.9, 0.2, 0.0]]), np.array([[1.0, 0.0, -2.0, 0.0]]))
    assert found.tolist() == [[3, 1, 2, 4]]
