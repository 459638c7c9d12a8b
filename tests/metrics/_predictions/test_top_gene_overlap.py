import numpy as np
import pytest

from scgim.metrics import top_gene_overlap


def test_genes_count_that_are_named_and_go_the_right_way():
    truth = np.array([3.0, -2.0, 1.0, 0.1, 0.0])
    assert top_gene_overlap(truth, np.array([2.0, 2.0, 0.0, 0.0, 0.0]), np.zeros(5), n_top=2) == 0.5
    assert top_gene_overlap(truth, np.array([0.2, 0.1, 0.0, 0.0, 0.0]), np.zeros(5), n_top=1) == 1.0
    assert top_gene_overlap(truth, truth, np.zeros(5), n_top=3) == 1.0
    assert top_gene_overlap(truth, np.zeros(5), np.zeros(5), n_top=3) == 0.0


def test_no_gene_is_refused():
    with pytest.raises(ValueError, match="n_top"):
        top_gene_overlap(np.ones(3), np.ones(3), np.zeros(3), n_top=0)


def test_changes_are_from_the_control(rng):
    truth, mean, control = rng.normal(size=(3, 5, 12))
    expected = top_gene_overlap(truth - control, mean - control, np.zeros(12), n_top=4)
    assert top_gene_overlap(truth, mean, control, n_top=4) == pytest.approx(expected)
    assert top_gene_overlap(truth, mean, np.zeros(12), n_top=4) != pytest.approx(expected)
