"""Reliability table by hand."""

import numpy as np
import pytest

from scgim import metrics


def test_reliability_table_is_that_made_by_hand():
    table = metrics.reliability_table([0, 1, 1, 1], [0.05, 0.2, 0.29, 1.0])
    assert list(table["lower"]) == [0.0, 0.2, 0.9]
    assert list(table["n"]) == [1, 2, 1]
    np.testing.assert_allclose(table["probability"], [0.05, 0.245, 1.0])
    np.testing.assert_allclose(table["frequency"], [0, 1, 1])
    assert metrics.calibration_error([0, 1, 1, 1], [0.05, 0.2, 0.29, 1.0]) == pytest.approx((0.05 + 2 * 0.755) / 4)
    assert np.isnan(metrics.calibration_error([], []))
