"""What is expected of an intervention."""

import numpy as np

from scgim.model._prediction.components import Components
from scgim.model._prediction.counterfactual import expected


def test_expected_interventions_are_posterior_means() -> None:
    components = Components(
        np.array([1, 1]),
        np.array([[0.5, 0.2, 0], [0, 0.9, 0]]),
        np.array([[2.0, 3.0, 0], [0, 4.0, 0]]),
        np.zeros((2, 3)),
        np.array([[0, 1, 0], [0, 1, 0]], np.int8),
    )
    atomic = expected(components, 2, 3)
    assert atomic.shift.tolist() == [[0, 0, 0], [1.0, 0, 0]]
    assert atomic.hard is not None and atomic.value is not None
    assert atomic.hard.tolist() == [[False] * 3, [False, True, False]]
    assert atomic.value[1, 1] == 4.0
