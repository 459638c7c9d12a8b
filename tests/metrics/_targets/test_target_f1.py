"""F1 of targets against scikit-learn, and its corner cases."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from scgim import metrics


def test_target_f1_is_the_average_of_sklearns():
    rng = np.random.default_rng(0)
    true, probability = rng.random((6, 10)) < 0.3, rng.random((6, 10))
    true[:, 0] = True
    expected = np.mean([f1_score(t, p > 0.5) for t, p in zip(true, probability, strict=True)])
    assert metrics.target_f1(true, probability) == pytest.approx(expected)


def test_contexts_without_targets_count_as_their_calls_say():
    """Nothing to find and nothing called counts 1; anything called there counts 0."""
    none, some = np.zeros((1, 3)), np.array([[0, 1, 0]])
    assert metrics.target_f1(none, none) == 1
    assert metrics.target_f1(none, some) == 0
    assert metrics.target_f1(some, none) == 0
    assert metrics.target_f1(np.vstack([none, some]), np.vstack([none, none])) == 0.5
    with pytest.raises(ValueError, match="at least one context"):
        metrics.target_f1(np.zeros((0, 3)), np.zeros((0, 3)))


def test_threshold_of_a_call_is_strict():
    assert metrics.target_f1([[1, 0]], [[0.5, 0.0]]) == 0
    assert metrics.target_f1([[1, 0]], [[0.5, 0.0]], threshold=0.4) == 1
