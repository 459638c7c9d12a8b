import numpy as np
import pytest

from scgim.metrics import mean_reciprocal_rank


def test_the_first_true_target_counts_and_ties_share():
    truth = np.array([[0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]])
    score = np.array([[4.0, 3.0, 2.0, 1.0], [1.0, 1.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0]])
    assert mean_reciprocal_rank(truth, score) == pytest.approx((1 / 2 + 1 / 1.5) / 2)
    assert np.isnan(mean_reciprocal_rank(np.zeros((1, 3)), np.ones((1, 3))))


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="score"):
        mean_reciprocal_rank(np.ones((2, 3)), np.ones((2, 4)))
