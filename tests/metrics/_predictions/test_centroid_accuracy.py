import numpy as np
import pytest

from scgim.metrics import centroid_accuracy
from scgim.metrics._predictions.centroid_accuracy import centroid_shares


def test_shares_by_brute_force(rng):
    truth, mean = rng.normal(size=(7, 4)), rng.normal(size=(7, 4))
    distance = np.linalg.norm(mean[:, None] - truth[None], axis=2)
    share = [np.mean(np.delete(distance[k], k) > distance[k, k]) for k in range(7)]
    assert centroid_accuracy(truth, mean) == pytest.approx(np.mean(share))


def test_the_truth_scores_one_and_one_mean_for_all_a_half_on_average(rng):
    truth = rng.normal(size=(9, 5))
    assert centroid_accuracy(truth, truth) == 1.0
    assert centroid_accuracy(truth, np.tile(truth.mean(0), (9, 1))) == pytest.approx(0.5)
    assert np.isnan(centroid_accuracy(truth[:1], truth[:1]))


def test_ties_count_one_half():
    """The first is as far from two, farther from a third; the second is nearest to itself."""
    truth, mean = np.array([[1.0], [-1.0], [5.0]]), np.array([[0.0], [-1.0], [9.0]])
    np.testing.assert_allclose(centroid_shares(truth, mean), [(1 + 0.5) / 2, 1.0, 1.0])


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="mean"):
        centroid_accuracy(np.ones((3, 2)), np.ones((2, 2)))
