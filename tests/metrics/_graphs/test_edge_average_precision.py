"""Average precision of edges against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

import systems
from scgim import metrics


def test_edge_average_precision_is_sklearns():
    rng = np.random.default_rng(0)
    true = systems.random_dag(8, 0.4, rng)
    score = rng.integers(0, 5, (8, 8)) / 5.0  # with ties
    np.fill_diagonal(score, 0)
    pairs = ~np.eye(8, dtype=bool)
    assert metrics.edge_average_precision(true, score) == pytest.approx(
        average_precision_score(true[pairs], score[pairs])
    )
    assert np.isnan(metrics.edge_average_precision(np.zeros((3, 3)), np.zeros((3, 3))))
