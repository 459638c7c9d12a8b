"""What all metrics have in common: what they refuse, and that distances are distances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scgim import metrics


@pytest.mark.parametrize(
    "name", ["structural_hamming_distance", "structural_intervention_distance", "edge_f1", "edge_average_precision"]
)
def test_wrong_graphs_are_refused(name):
    score = getattr(metrics, name)
    square = np.zeros((3, 3))
    with pytest.raises(ValueError, match="square"):
        score(np.zeros((3, 2)), square)
    with pytest.raises(ValueError, match="shape of true_graph"):
        score(square, np.zeros((2, 2)))
    with pytest.raises(ValueError, match="diagonal"):
        score(square, np.eye(3))
    with pytest.raises(ValueError, match="finite"):
        score(square, np.full((3, 3), np.nan))


DISTANCES = ["mean_distance", "energy_distance", "sliced_wasserstein", "sinkhorn_wasserstein"]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 12), m=st.integers(1, 12))
def test_distances_are_symmetric_and_vanish_on_equal_sets(seed, n, m):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, 2)), rng.normal(size=(m, 2))
    for name in DISTANCES[:3]:
        distance = getattr(metrics, name)
        assert distance(x, y) == pytest.approx(distance(y, x), abs=1e-9)
        assert distance(x, y) >= 0
        assert distance(x, x[rng.permutation(n)]) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("name", DISTANCES)
def test_wrong_cells_are_refused(name):
    distance = getattr(metrics, name)
    with pytest.raises(ValueError, match="genes of x"):
        distance(np.zeros((2, 3)), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="at least one cell"):
        distance(np.zeros((0, 3)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="finite"):
        distance(np.full((2, 3), np.inf), np.zeros((2, 3)))


def test_targets_of_another_shape_are_refused():
    for score in (metrics.target_f1, metrics.target_average_precision):
        with pytest.raises(ValueError, match="shape of true_targets"):
            score(np.zeros((2, 3)), np.zeros((3, 2)))
        with pytest.raises(ValueError, match="finite"):
            score(np.zeros((2, 3)), np.full((2, 3), np.nan))
