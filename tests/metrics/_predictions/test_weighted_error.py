import numpy as np
import pytest

from scgim.metrics import weighted_error


def test_genes_weigh_by_their_squared_change():
    truth = np.array([[2.0, 1.0, 0.0]])
    assert weighted_error(truth, np.array([[2.0, 0.0, 9.0]]), np.zeros(3)) == pytest.approx(1 / 5)
    assert weighted_error(truth, np.zeros((1, 3)), np.zeros(3)) == pytest.approx((16 + 1) / 5)
    assert np.isnan(weighted_error(np.zeros(3), np.ones(3), np.zeros(3)))


def test_changes_are_from_the_control(rng):
    truth, mean, control = rng.normal(size=(3, 5, 12))
    expected = weighted_error(truth - control, mean - control, np.zeros(12))
    assert weighted_error(truth, mean, control) == pytest.approx(expected)
    assert weighted_error(truth, mean, np.zeros(12)) != pytest.approx(expected)
