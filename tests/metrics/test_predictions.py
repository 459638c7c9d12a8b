"""Distances between sets of cells against closed forms and other implementations."""

import builtins

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from scgim import metrics

DISTANCES = ["mean_distance", "energy_distance", "sliced_wasserstein", "sinkhorn_wasserstein"]


@pytest.fixture
def cells():
    rng = np.random.default_rng(0)
    return rng.normal(size=(60, 3)), rng.normal(1, 2, size=(45, 3))


def test_mean_distance(cells):
    x, y = cells
    assert metrics.mean_distance(x, y) == pytest.approx(np.sqrt(((x.mean(0) - y.mean(0)) ** 2).sum()))
    assert metrics.mean_distance([[0.0, 0.0]], [[3.0, 4.0]]) == 5


def test_energy_distance_is_scipys_in_one_dimension(cells):
    """scipy's energy distance is the square root of twice the Cramer distance, the same quantity."""
    x, y = (c[:, :1] for c in cells)
    assert metrics.energy_distance(x, y, squared=False) == pytest.approx(stats.energy_distance(x[:, 0], y[:, 0]))
    assert metrics.energy_distance(x, y) == pytest.approx(stats.energy_distance(x[:, 0], y[:, 0]) ** 2)


def test_energy_distance_in_blocks_is_the_double_loop(cells):
    x, y = cells
    pair = lambda a, b: np.mean([[np.linalg.norm(p - q) for q in b] for p in a])
    expected = 2 * pair(x, y) - pair(x, x) - pair(y, y)
    assert metrics.energy_distance(x, y) == pytest.approx(expected)
    assert metrics._energy_distance._mean_pair(x, y, rows=7) == pytest.approx(pair(x, y))


def test_energy_distance_floor():
    """Two samples of one population: about (1/n + 1/m) times the mean pairwise distance."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 500, 20))
    assert metrics.energy_distance(x, y) == pytest.approx((2 / 500) * np.sqrt(40), rel=0.15)


def test_sliced_wasserstein_is_pots(cells):
    ot = pytest.importorskip("ot")
    x, y = cells
    directions = np.random.default_rng(3).normal(size=(3, 100))
    directions /= np.linalg.norm(directions, axis=0)
    expected = ot.sliced_wasserstein_distance(x, y, projections=directions, p=2)
    assert metrics.sliced_wasserstein(x, y, rng=3) == pytest.approx(expected)


def test_sliced_wasserstein_of_a_shift():
    """In one dimension a shift by 2 is 2 away; one cell against one is the mean over directions."""
    x = np.random.default_rng(0).normal(size=(50, 1))
    assert metrics.sliced_wasserstein(x, x + 2) == pytest.approx(2)
    assert metrics.sliced_wasserstein(x, x) == 0


def test_sinkhorn_comes_close_to_exact_transport(cells):
    ot = pytest.importorskip("ot")
    x, y = cells
    exact = np.sqrt(ot.emd2([], [], ot.dist(x, y)))
    assert metrics.sinkhorn_wasserstein(x, y, regularisation=0.01, max_iter=5000) == pytest.approx(exact, rel=0.02)
    assert metrics.sinkhorn_wasserstein(x, y) >= exact
    assert metrics.sinkhorn_wasserstein(x[:1], x[:1]) == pytest.approx(0, abs=1e-6)


def test_sinkhorn_without_pot_says_what_to_install(cells, monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "ot":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"pip install .scgim\[eval\]"):
        metrics.sinkhorn_wasserstein(*cells)


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
def test_bad_cells(name):
    distance = getattr(metrics, name)
    with pytest.raises(ValueError, match="genes of x"):
        distance(np.zeros((2, 3)), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="at least one cell"):
        distance(np.zeros((0, 3)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="finite"):
        distance(np.full((2, 3), np.inf), np.zeros((2, 3)))


def test_pearson_mean_change():
    rng = np.random.default_rng(0)
    true, mean, control = rng.normal(size=(3, 4, 10))
    expected = np.mean([stats.pearsonr(t - c, m - c)[0] for t, m, c in zip(true, mean, control, strict=True)])
    assert metrics.pearson_mean_change(true, mean, control) == pytest.approx(expected)
    assert metrics.pearson_mean_change(true[0], true[0], control[0]) == pytest.approx(1)
    assert metrics.pearson_mean_change(true, control, control) == 0
    assert np.isnan(metrics.pearson_mean_change(control, true, control))


def test_pearson_gets_one_control_for_all_contexts():
    rng = np.random.default_rng(0)
    true, mean = rng.normal(size=(2, 4, 10))
    control = rng.normal(size=10)
    assert metrics.pearson_mean_change(true, mean, control) == metrics.pearson_mean_change(
        true, mean, np.tile(control, (4, 1))
    )
