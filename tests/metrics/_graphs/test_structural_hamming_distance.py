"""Structural Hamming distance by hand."""

import numpy as np
from scipy import sparse

from scgim import metrics


def test_shd_counts_reversals_once():
    true = np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]])
    assert metrics.structural_hamming_distance(true, true) == 0
    assert metrics.structural_hamming_distance(true, true.T) == 2
    assert metrics.structural_hamming_distance(true, np.zeros((3, 3))) == 2
    both = true + true.T  # an edge in both directions differs once from one direction
    assert metrics.structural_hamming_distance(true, both) == 2
    assert metrics.structural_hamming_distance(sparse.csr_matrix(true * 0.3), true) == 0
