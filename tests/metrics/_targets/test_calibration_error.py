"""Calibration error of probabilities that are right, and of some that are too sure."""

import numpy as np
import pytest

from scgim import metrics


def test_honest_probabilities_are_calibrated_and_boastful_ones_not():
    rng = np.random.default_rng(0)
    p = rng.random(100_000)
    truth = rng.random(100_000) < p
    assert metrics.calibration_error(truth, p) < 0.01
    assert metrics.calibration_error(truth, np.round(p)) == pytest.approx(0.25, abs=0.01)


def test_calibration_refuses_what_is_no_probability():
    with pytest.raises(ValueError, match="between 0 and 1"):
        metrics.calibration_error([1], [1.2])
    with pytest.raises(ValueError, match="between 0 and 1"):
        metrics.calibration_error([1], [np.nan])
    with pytest.raises(ValueError, match="shape of truth"):
        metrics.calibration_error([1, 0], [1.0])
    with pytest.raises(ValueError, match="n_bins"):
        metrics.reliability_table([1], [1.0], n_bins=0)
