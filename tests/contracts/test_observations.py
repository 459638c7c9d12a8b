"""What every noise model keeps: its name, its state, its refusals, and that draws, means and moves agree."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from scgim._core.design import Design
from scgim._core.moments.moments import compute_moments
from scgim._core.observation import OBSERVATIONS, from_state, to_state
from scgim._core.observation.base import Values

N_GENES, N_CELLS = 3, 60_000
MEAN, SD = np.array([1.0, 2.0, 0.5]), np.array([0.4, 0.3, 0.5])
CONTEXTS = np.array([[0.0], [0.0], [1.0]])  # doses of one drug
DESIGN = Design(("drug",), CONTEXTS, np.array([0, 1, 0]), ("left", "right"), np.full(3, N_CELLS // 3))
FITTING = {
    "gaussian": Values("adata.X", False, -2.0, 5.0, N_GENES, (None,), None, ()),
    "poisson_lognormal": Values("adata.X", True, 0.0, 50.0, N_GENES, (None,), "depth", ()),
    "zero_inflated_lognormal": Values("adata.X", False, 0.0, 500.0, N_GENES, (None,), None, ()),
}
UNFITTING = {
    "poisson_lognormal": ({"counts": False}, {"modalities": ("rna", "protein")}, {"continuous": ("cycle",)}),
    "zero_inflated_lognormal": ({"smallest": -1.0}, {"continuous": ("cycle",)}),
    "gaussian": (),
}
NAMES = list(OBSERVATIONS)


@dataclass
class OneGaussian:
    """A causal layer of independent genes."""

    shift: np.ndarray

    def mean(self):
        return (MEAN + self.shift)[None]

    def log_mean(self):
        return self.mean(), self.mean() + SD**2 / 2


@dataclass
class Study:
    """Cells in memory, as noise models read them."""

    x: np.ndarray
    index: np.ndarray

    def __call__(self):
        return iter([(self.x, self.index)])

    def moments(self):
        return compute_moments(self, len(CONTEXTS))

    def sizes(self):
        return np.full(len(self.x), 2.0)


@dataclass
class Moved:
    """Every cell moves by the same amount."""

    by: np.ndarray
    n: int

    def replay(self, x):
        return x + self.by

    def means(self):
        before = np.tile(MEAN, (self.n, 1))
        return before, before + self.by, SD**2


def layer(rng):
    index = np.arange(N_CELLS) % 3
    return MEAN + SD * rng.standard_normal((N_CELLS, N_GENES)), index


@pytest.fixture(params=NAMES)
def learned(request, rng):
    """A noise model that was learned from data of its own, these data, and their causal layer."""
    observation = OBSERVATIONS[request.param]()
    if request.param == "zero_inflated_lognormal":
        observation = replace(observation, zeros=np.stack([np.full(N_GENES, -1.0), np.full(N_GENES, -0.5), MEAN]))
    z, index = layer(rng)
    x = observation.draw(z, lambda: np.tile(MEAN, (N_CELLS, 1)), np.zeros(N_CELLS, int), None, rng)
    return (*observation.learn(Study(x, index), DESIGN), x)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_registered_under_its_name(name):
    assert OBSERVATIONS[name].name == name


@pytest.mark.parametrize("name", NAMES)
def test_values_that_fit_it_raise_nothing_and_are_not_remarked_upon(name):
    assert [r for r in OBSERVATIONS[name]().check(FITTING[name]) if "size_factor" not in r] == []


@pytest.mark.parametrize(("name", "change"), [(n, change) for n in NAMES for change in UNFITTING[n]])
def test_values_that_do_not_fit_are_refused_with_what_to_do(name, change):
    with pytest.raises(ValueError, match="use|model|cut|give"):
        OBSERVATIONS[name]().check(replace(FITTING[name], **change))


def test_moments_are_those_of_the_layer(learned):
    moments, _, _ = learned
    np.testing.assert_allclose(moments.mean[:, :, 0] * moments.scale + moments.loc, np.tile(MEAN, (3, 1)), atol=0.05)
    np.testing.assert_allclose(np.sqrt(np.diag(moments.within)) * moments.scale, SD, atol=0.05)


def test_its_state_is_plain_and_brings_it_back(learned):
    _, observation, x = learned
    back = from_state(to_state(observation))
    assert type(back) is type(observation)
    group, seed = np.arange(len(x)) % 2, 3
    one, two = (o.draw(x / 50, lambda: x / 50, group, None, np.random.default_rng(seed)) for o in (observation, back))
    np.testing.assert_array_equal(one, two)


def test_draws_have_the_mean_that_it_expects(learned, rng):
    _, observation, _ = learned
    shift = np.array([0.5, 0.0, -0.5])
    z, _ = layer(rng)
    group = np.zeros(N_CELLS, int)
    drawn = observation.draw(z + shift, lambda: np.tile(MEAN + shift, (N_CELLS, 1)), group, None, rng)
    expected = observation.expect(OneGaussian(shift), np.zeros(1, int), None)
    np.testing.assert_allclose(drawn.mean(axis=0), expected[0], rtol=0.03, atol=0.02)


def test_cells_that_do_not_move_stay_as_they_are(learned, rng):
    _, observation, x = learned
    same = observation.move(x, Moved(np.zeros(N_GENES), len(x)), np.full(len(x), 2.0), rng)
    np.testing.assert_allclose(same, x, rtol=1e-12)


def test_moved_cells_have_the_mean_of_cells_drawn_there(learned, rng):
    _, observation, x = learned
    shift = np.array([0.4, 0.0, -0.4])
    moved = observation.move(x, Moved(shift, len(x)), np.full(len(x), 2.0), rng)
    expected = observation.expect(OneGaussian(shift), np.zeros(1, int), None)
    np.testing.assert_allclose(moved.mean(axis=0), expected[0], rtol=0.05, atol=0.02)
