"""Average precision of targets against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from scgim import metrics


def test_target_average_precision_is_the_average_of_sklearns():
    rng = np.random.default_rng(0)
    true, score = rng.random((5, 10)) < 0.3, rng.integers(0, 4, (5, 10)).astype(float)
    true[:, 0], true[4] = True, False
    expected = np.mean([average_precision_score(t, s) for t, s in zip(true[:4], score[:4], strict=True)])
    assert metrics.target_average_precision(true, score) == pytest.approx(expected)
    assert np.isnan(metrics.target_average_precision(np.zeros((2, 3)), np.zeros((2, 3))))
