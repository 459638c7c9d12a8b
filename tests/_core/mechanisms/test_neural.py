"""Neural mechanisms as plain arrays."""

from dataclasses import replace

import numpy as np
import pytest

from scgim._core.kinds.base import Moved
from scgim._core.kinds.cells import mean_cells, sample_cells
from scgim._core.mechanisms.neural import FADE, NeuralMechanisms, activate, activation_slope
from scgim._core.state import pack, unpack


@pytest.fixture
def mechanisms():
    rng = np.random.default_rng(0)
    parents = [np.array([], int), np.array([0]), np.array([0, 1])]
    return NeuralMechanisms(
        order=np.arange(3),
        parents=parents,
        inner=[rng.normal(size=(len(p), 4)) for p in parents],
        bias=[rng.normal(size=4) for _ in parents],
        outer=[rng.normal(size=4) for _ in parents],
        skip=[rng.normal(size=len(p)) for p in parents],
        baseline=np.array([[1.0, 2.0, 3.0]]),
        noise_sd=np.array([0.5, 0.6, 0.7]),
        loc=np.array([0.3, -0.2, 1.0]),
        scale=np.array([1.5, 2.0, 0.5]),
        strength=np.zeros((3, 3)),
    )


def test_contribution_is_zero_at_zero_and_parts_sum_to_it(mechanisms):
    x = np.random.default_rng(1).normal(size=(50, 3))
    assert np.allclose(mechanisms.contribution(2, np.zeros((1, 3))), 0)
    parts = mechanisms.parent_contributions(2, x)
    assert np.allclose(parts.sum(1), mechanisms.contribution(2, x), atol=1e-6)
    assert mechanisms.contribution(0, x).shape == (50,)
    assert not mechanisms.contribution(0, x).any()


@pytest.mark.parametrize("reach", [None, np.array([-0.3, 0.4])[:, None] + np.zeros(3)])
@pytest.mark.parametrize("n_hinges", [None, np.array([0, 4, 2])])
def test_slopes_are_those_of_finite_differences(mechanisms, n_hinges, reach):
    mechanisms = replace(mechanisms, n_hinges=n_hinges, reach=reach)
    x, step = np.random.default_rng(1).normal(size=(5, 3)), 1e-6
    for k, parent in enumerate(mechanisms.parents[2]):
        up = x.copy()
        up[:, parent] += step
        slope = (mechanisms.contribution(2, up) - mechanisms.contribution(2, x)) / step
        assert np.allclose(slope, mechanisms.slopes(2, x)[:, k], atol=1e-4)


def test_beyond_the_data_nothing_follows_for_long(mechanisms):
    """Inside mechanisms are the same; beyond, values tend to that half a standard deviation further."""
    z = np.random.default_rng(1).uniform(-1, 1, size=(50, 3))
    found = mechanisms.reaching(-np.ones(3), np.ones(3))

    def means(of, z):
        x = of.loc + of.scale * z
        return of.baseline[0, 2] + of.contribution(2, x)

    np.testing.assert_allclose(means(found, z), means(mechanisms, z), atol=1e-12)
    np.testing.assert_allclose(means(found, 40 * np.sign(z)), means(mechanisms, (1 + FADE) * np.sign(z)), atol=1e-9)
    again = unpack(*pack(found))
    assert np.array_equal(again.contribution(2, 5 * z), found.contribution(2, 5 * z))


def test_hinges_have_a_slope_on_each_side():
    far = np.array([[-1e4, -1e4], [0.0, 0.0], [1e4, 1e4]])
    np.testing.assert_allclose(activate(far, 1), [[-1, 0], [0, 0.5], [1, 1e4]], atol=1e-3)
    np.testing.assert_allclose(activation_slope(far, 1), [[0, 0], [1, 0.5], [0, 1]], atol=1e-6)
    np.testing.assert_array_equal(activate(far, 0), np.tanh(far))


def test_networks_survive_being_stored(mechanisms):
    mechanisms = replace(mechanisms, n_hinges=np.array([0, 1, 2]))
    again = unpack(*pack(mechanisms))
    x = np.random.default_rng(1).normal(size=(5, 3))
    assert np.array_equal(again.contribution(2, x), mechanisms.contribution(2, x))


def test_sampling_and_means_agree(mechanisms):
    shift = np.zeros((1, 3))
    shift[0, 1] = 2.0
    mean = mean_cells(mechanisms, Moved.adding(shift), np.array([0]), n_draws=4096)
    cells = sample_cells(
        mechanisms, Moved.adding(np.repeat(shift, 4000, 0)), np.zeros(4000, int), np.random.default_rng(0)
    )
    assert np.allclose(cells.mean(0), mean[0], atol=0.1)


def test_activity_scales_what_children_see(mechanisms):
    x = np.random.default_rng(2).normal(size=(20, 3))
    one, none = np.ones((20, 2)), np.zeros((20, 2))
    np.testing.assert_allclose(mechanisms.active_contribution(2, x, one), mechanisms.contribution(2, x))
    np.testing.assert_allclose(mechanisms.active_contribution(2, x, none), 0, atol=1e-12)
    half, seen = np.tile([0.5, 1.0], (20, 1)), x * [0.5, 1, 1]
    np.testing.assert_allclose(mechanisms.active_contribution(2, x, half), mechanisms.contribution(2, seen))
