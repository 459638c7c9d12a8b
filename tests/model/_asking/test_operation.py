"""What is asked to be done to genes, checked and encoded."""

import math

import numpy as np
import pytest

from scgim._core.observation import Gaussian, PoissonLognormal
from scgim.model._asking.operation import ABSENT, Asked

GENES = ["A", "B", "C", "D"]


def read(*, set_=None, shift=None, scale=None, knockout=None):
    return Asked.read(set_, shift, scale, knockout, GENES)


def encoded(asked, observation, smallest=0.0):
    return asked.operation(GENES, observation, smallest, lambda: np.full(4, 2.0))


ALL = {"set_": {"A": 2}, "shift": {"B": 1.0}, "scale": {"C": 0.5}, "knockout": "D"}


def test_expression_is_set_shifted_scaled_and_knocked_out():
    asked = read(**ALL)
    found = encoded(asked, Gaussian())
    np.testing.assert_array_equal(found.factor, [0, 1, 0.5, 0])
    np.testing.assert_array_equal(found.value, [2, 1, 0, 0])
    np.testing.assert_array_equal(asked.absent(GENES), [False, False, False, True])
    assert asked.text == "knockout D; set A = 2; shift B +1; scale C x 0.5"


def test_logarithms_of_rates_are_set_to_logarithms_and_scaled_by_shifts():
    found = encoded(read(**ALL), PoissonLognormal(), smallest=0.0)
    np.testing.assert_array_equal(found.factor, [0, 1, 1, 0])
    np.testing.assert_allclose(found.value, [math.log(2), 1, math.log(0.5), 2 + math.log(ABSENT)])


@pytest.mark.parametrize("smallest", [-0.5, math.nan])
@pytest.mark.parametrize("asked", [{"knockout": ["A"]}, {"scale": {"A": 0.5}}], ids=str)
def test_zero_that_does_not_mean_absent_is_refused_with_what_to_do(asked, smallest):
    with pytest.raises(ValueError, match="0 means that a gene is absent.*use (set|shift)="):
        encoded(read(**asked), Gaussian(), smallest)


@pytest.mark.parametrize("asked", [{"set_": {"A": 0.0}}, {"scale": {"A": 0}}], ids=str)
def test_logarithms_of_nothing_are_refused(asked):
    with pytest.raises(ValueError, match=r"use knockout=\['A'\]"):
        encoded(read(**asked), PoissonLognormal())


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        ({}, ValueError, "at least one gene"),
        ({"set_": {"A": 1}, "knockout": "A"}, ValueError, "named twice"),
        ({"knockout": ["A", "A"]}, ValueError, "named twice"),
        ({"knockout": "a"}, KeyError, "'a' is not in the model; did you mean 'A'"),
        ({"knockout": 3}, TypeError, "knockout: expected a gene"),
        ({"set_": "A"}, TypeError, "set: expected a dict"),
        ({"set_": {"A": "high"}}, TypeError, "set: expected a number"),
        ({"shift": {"A": math.inf}}, ValueError, "shift: expected a finite"),
        ({"scale": {"A": -1}}, ValueError, "scale: expected a factor"),
        ({"scale": {3: 1.0}}, TypeError, "scale: expected names"),
    ],
    ids=lambda x: str(x) if isinstance(x, dict) else "",
)
def test_wrong_questions_name_the_argument(asked, error, says):
    with pytest.raises(error, match=says):
        read(**asked)
