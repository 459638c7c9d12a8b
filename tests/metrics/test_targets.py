"""Target scores and calibration against closed forms."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from scgim import metrics


def test_target_f1_is_the_average_of_sklearns():
    rng = np.random.default_rng(0)
    true, probability = rng.random((6, 10)) < 0.3, rng.random((6, 10))
    true[:, 0] = True
    expected = np.mean([f1_score(t, p > 0.5) for t, p in zip(true, probability, strict=True)])
    assert metrics.target_f1(true, probability) == pytest.approx(expected)


def test_target_f1_empty_contexts():
    """Nothing to find and nothing called counts 1; anything called there counts 0."""
    none, some = np.zeros((1, 3)), np.array([[0, 1, 0]])
    assert metrics.target_f1(none, none) == 1
    assert metrics.target_f1(none, some) == 0
    assert metrics.target_f1(some, none) == 0
    assert metrics.target_f1(np.vstack([none, some]), np.vstack([none, none])) == 0.5
    with pytest.raises(ValueError, match="at least one context"):
        metrics.target_f1(np.zeros((0, 3)), np.zeros((0, 3)))


def test_threshold_is_strict():
    assert metrics.target_f1([[1, 0]], [[0.5, 0.0]]) == 0
    assert metrics.target_f1([[1, 0]], [[0.5, 0.0]], threshold=0.4) == 1


def test_target_average_precision():
    rng = np.random.default_rng(0)
    true, score = rng.random((5, 10)) < 0.3, rng.integers(0, 4, (5, 10)).astype(float)
    true[:, 0], true[4] = True, False
    expected = np.mean([average_precision_score(t, s) for t, s in zip(true[:4], score[:4], strict=True)])
    assert metrics.target_average_precision(true, score) == pytest.approx(expected)
    assert np.isnan(metrics.target_average_precision(np.zeros((2, 3)), np.zeros((2, 3))))


def test_shapes_are_checked():
    for score in (metrics.target_f1, metrics.target_average_precision):
        with pytest.raises(ValueError, match="shape of true_targets"):
            score(np.zeros((2, 3)), np.zeros((3, 2)))
        with pytest.raises(ValueError, match="finite"):
            score(np.zeros((2, 3)), np.full((2, 3), np.nan))


def test_calibration_of_honest_and_boastful_probabilities():
    rng = np.random.default_rng(0)
    p = rng.random(100_000)
    truth = rng.random(100_000) < p
    assert metrics.calibration_error(truth, p) < 0.01
    assert metrics.calibration_error(truth, np.round(p)) == pytest.approx(0.25, abs=0.01)


def test_reliability_table_by_hand():
    table = metrics.reliability_table([0, 1, 1, 1], [0.05, 0.2, 0.29, 1.0])
    assert list(table["lower"]) == [0.0, 0.2, 0.9]
    assert list(table["n"]) == [1, 2, 1]
    np.testing.assert_allclose(table["probability"], [0.05, 0.245, 1.0])
    np.testing.assert_allclose(table["frequency"], [0, 1, 1])
    assert metrics.calibration_error([0, 1, 1, 1], [0.05, 0.2, 0.29, 1.0]) == pytest.approx((0.05 + 2 * 0.755) / 4)
    assert np.isnan(metrics.calibration_error([], []))


def test_calibration_refuses_what_is_no_probability():
    with pytest.raises(ValueError, match="between 0 and 1"):
        metrics.calibration_error([1], [1.2])
    with pytest.raises(ValueError, match="between 0 and 1"):
        metrics.calibration_error([1], [np.nan])
    with pytest.raises(ValueError, match="shape of truth"):
        metrics.calibration_error([1, 0], [1.0])
    with pytest.raises(ValueError, match="n_bins"):
        metrics.reliability_table([1], [1.0], n_bins=0)
