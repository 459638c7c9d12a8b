"""F1 of edges by hand."""

import numpy as np
import pytest

from scgim import metrics


def test_edge_f1_counts_directed_edges():
    true = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 0]])
    assert metrics.edge_f1(true, true * -0.5) == 1
    assert metrics.edge_f1(true, true.T) == 0
    assert metrics.edge_f1(np.zeros((3, 3)), np.zeros((3, 3))) == 1
    one = np.zeros((3, 3))
    one[0, 1] = 1
    assert metrics.edge_f1(true, one) == pytest.approx(2 * 1 / (3 + 1))
