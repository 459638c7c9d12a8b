"""Interventions of rows, put together of those of drugs."""

import numpy as np

from scgim.model._prediction.components import Components, compose, nothing


def test_shifts_add_values_average_and_activities_multiply() -> None:
    atomic = nothing(1, 3, {0, 1, 2})
    at, kind = (np.zeros(3, int), np.arange(3)), np.arange(3)
    compose(atomic, at, np.array([1.0, 5.0, -0.5]), kind)
    compose(atomic, at, np.array([2.0, 7.0, -0.5]), kind)
    assert atomic.shift.tolist() == [[3.0, 0, 0]]
    assert atomic.hard is not None and atomic.value is not None and atomic.activity is not None
    assert atomic.hard.tolist() == [[False, True, False]]
    assert atomic.value[0, 1] == 6.0
    assert atomic.activity.tolist() == [[0, 0, -0.75]]


def test_rows_have_a_slot_for_each_of_their_components() -> None:
    empty = np.zeros((4, 3))
    slots = Components(np.array([2, 0, 2, 2]), empty, empty, empty, empty).slots(4)
    assert slots.tolist() == [[1, -1, -1], [-1, -1, -1], [0, 2, 3], [-1, -1, -1]]
