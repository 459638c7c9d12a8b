import numpy as np
import pytest

from scgim.metrics import recall_at


def test_a_true_target_among_the_first_counts():
    truth, score = np.array([[0, 0, 1], [1, 0, 0]]), np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    assert recall_at(truth, score, 1) == 0.5 and recall_at(truth, score, 3) == 1.0


def test_rows_without_targets_do_not_count():
    truth, score = np.array([[0, 0, 1], [0, 0, 0], [1, 1, 1]]), np.array([[3.0, 2.0, 1.0]] * 3)
    assert recall_at(truth, score, 2) == 0.5
    assert recall_at(truth[:1], score[:1], 2) == 0.0
    assert np.isnan(recall_at(truth[1:2], score[1:2], 1))


def test_no_gene_is_refused():
    with pytest.raises(ValueError, match="k"):
        recall_at(np.ones((1, 2)), np.ones((1, 2)), 0)
