"""Correlation of changes of the mean against scipy."""

import numpy as np
import pytest
from scipy import stats

from scgim import metrics


def test_correlation_of_changes_is_scipys():
    rng = np.random.default_rng(0)
    true, mean, control = rng.normal(size=(3, 4, 10))
    expected = np.mean([stats.pearsonr(t - c, m - c)[0] for t, m, c in zip(true, mean, control, strict=True)])
    assert metrics.pearson_mean_change(true, mean, control) == pytest.approx(expected)
    assert metrics.pearson_mean_change(true[0], true[0], control[0]) == pytest.approx(1)
    near = metrics.pearson_mean_change(1e-3 * true, 1e-3 * mean, 1e-3 * control)  # in any units
    assert near == pytest.approx(expected)
    assert metrics.pearson_mean_change(true, control, control) == 0
    assert np.isnan(metrics.pearson_mean_change(control, true, control))


def test_one_control_serves_all_contexts():
    rng = np.random.default_rng(0)
    true, mean = rng.normal(size=(2, 4, 10))
    control = rng.normal(size=10)
    assert metrics.pearson_mean_change(true, mean, control) == metrics.pearson_mean_change(
        true, mean, np.tile(control, (4, 1))
    )
