import numpy as np
import pytest

from scgim.metrics import direction_agreement


def test_signs_of_the_largest_changes_count():
    truth = np.array([3.0, -2.0, 1.0, 0.1])
    assert direction_agreement(truth, np.array([1.0, 1.0, 0.0, -5.0]), np.zeros(4), n_top=3) == pytest.approx(0.5)
    assert direction_agreement(truth, np.array([1.0, 1.0, 0.0, -5.0]), np.zeros(4), n_top=1) == 1.0
    assert direction_agreement(truth, truth, np.zeros(4)) == 1.0
    assert direction_agreement(truth, np.zeros(4), np.zeros(4)) == 0.5


def test_no_gene_is_refused():
    with pytest.raises(ValueError, match="n_top"):
        direction_agreement(np.ones(3), np.ones(3), np.zeros(3), n_top=-1)


def test_changes_are_from_the_control(rng):
    truth, mean, control = rng.normal(size=(3, 5, 12))
    expected = direction_agreement(truth - control, mean - control, np.zeros(12), n_top=4)
    assert direction_agreement(truth, mean, control, n_top=4) == pytest.approx(expected)
    assert direction_agreement(truth, mean, np.zeros(12), n_top=4) != pytest.approx(expected)
