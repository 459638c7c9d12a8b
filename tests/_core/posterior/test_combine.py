"""The share of the sum that combinations are, against refits and simulated truth."""

import numpy as np
import pytest

from scgim._core.design import Design
from scgim._core.posterior.combine import comparable, learn_share


def test_share_and_its_error_are_those_of_refits(rng):
    summed = rng.normal(size=(8, 30))
    seen = 0.7 * summed + 0.3 * rng.normal(size=summed.shape)
    combination = np.array([0, 0, 1, 2, 3, 4, 4, 5])
    found = learn_share(seen, summed, combination)
    squares = []
    for c in range(6):
        rest = combination != c
        share = (seen[rest] * summed[rest]).sum() / (summed[rest] ** 2).sum()
        squares.append((seen[~rest] - share * summed[~rest]) ** 2)
    assert found.error == pytest.approx(np.sqrt(np.concatenate(squares).mean()))
    assert found.share == pytest.approx((seen * summed).sum() / (summed**2).sum())
    assert 0.6 < found.share < 0.8
    assert found.error < found.error_of_sum
    assert found.settings["n_combinations"] == 6


def test_where_the_sum_holds_it_stands(rng):
    """A share that does not clearly predict the others better is not used."""
    kept = []
    for _ in range(40):
        summed = rng.normal(size=(8, 20))
        kept.append(learn_share(summed + rng.normal(size=summed.shape), summed, np.arange(8)).share)
    assert np.mean(np.array(kept) == 1.0) > 0.9


@pytest.mark.parametrize("n", [0, 1, 2])
def test_a_few_combinations_tell_nothing(rng, n):
    found = learn_share(rng.normal(size=(n, 5)), rng.normal(size=(n, 5)), np.arange(n))
    assert found.share == 1.0
    assert (found.settings == {}) == (n == 0)


def test_drugs_have_to_be_measured_alone():
    dose = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [1, 0, 1]], dtype=float)
    design = Design(("a", "b", "c"), dose, np.zeros(5, int), ("all",), np.full(5, 10.0), has_dose=False)
    assert comparable(design).tolist() == [3]
