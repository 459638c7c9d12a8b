"""What every kind of intervention keeps: its name, the normal form that it writes, and draws that agree with means."""

import numpy as np
import pytest

from scgim._core.effects import Effects
from scgim._core.kinds import INTERVENTIONS, KINDS
from scgim._core.kinds.abduct import abduct
from scgim._core.kinds.base import Moved
from scgim._core.kinds.cells import mean_cells, propagate
from scgim._core.mechanisms import MECHANISMS
from scgim._core.mechanisms.additive import Mechanisms
from scgim.model._module.kinds import TRAINED

N_CELLS, N_GENES, TARGET = 40_000, 3, 1
NAMES = list(KINDS)


@pytest.fixture
def mechanisms():
    """A chain of three genes, linear."""
    return Mechanisms(
        MECHANISMS["linear"],
        np.arange(3),
        [np.array([], int), np.array([0]), np.array([1])],
        [np.zeros((0, 1)), np.array([[0.8]]), np.array([[-0.5]])],
        np.array([[1.0, 2.0, 3.0]]),
        np.array([0.5, 0.6, 0.7]),
        np.zeros(3),
        np.ones(3),
        np.zeros((3, 3)),
    )


def moved_by(name, effect, n=N_CELLS):
    moved = Moved.nothing(n, N_GENES)
    KINDS[name].write(moved, (np.arange(n), np.full(n, TARGET)), np.full(n, effect))
    return moved


@pytest.mark.parametrize("name", NAMES)
def test_it_is_registered_under_its_name(name):
    kind = KINDS[name]
    assert kind.name == name
    assert [type(one) for one in INTERVENTIONS[name]] == [type(kind)]
    assert kind.scatter in ("none", "drug_set", "context")


@pytest.mark.parametrize("name", NAMES)
def test_scored_kinds_have_a_score_and_a_twin_in_torch(name):
    kind = KINDS[name]
    assert kind.scored == (name in TRAINED)
    assert kind.scored == (hasattr(kind, "score") and hasattr(kind, "posterior"))


@pytest.mark.parametrize("name", NAMES)
def test_only_what_is_written_to_moves(name):
    moved = moved_by(name, 0.5, n=4)
    nothing = Moved.nothing(4, N_GENES)
    for part in ("add", "listen", "speak", "noise"):
        found, before = (np.broadcast_to(getattr(m, part), (4, N_GENES)) for m in (moved, nothing))
        others = np.delete(np.arange(N_GENES), TARGET)
        np.testing.assert_array_equal(found[:, others], before[:, others])
    assert KINDS[name].additive == moved.only_adds


@pytest.mark.parametrize("name", NAMES)
def test_no_drug_does_nothing(name):
    kind, nothing = KINDS[name], Effects.none(2, N_GENES)
    where, _ = kind.point(nothing)
    assert not where.any()


@pytest.mark.parametrize("name", NAMES)
def test_certain_targets_get_their_effect(name):
    mean = np.array([[0.0, 0.7, 0.0]])
    effects = Effects((mean != 0).astype(float), mean, np.full(mean.shape, 0.1))
    where, value = KINDS[name].point(effects)
    np.testing.assert_array_equal(where, mean != 0)
    np.testing.assert_allclose(value[where], mean[where])


@pytest.mark.parametrize("name", NAMES)
def test_the_mean_of_cells_is_the_mean_that_is_expected(name, mechanisms, rng):
    moved, group = moved_by(name, 0.5), np.zeros(N_CELLS, int)
    cells = propagate(mechanisms, moved, group, rng.standard_normal((N_CELLS, N_GENES)))
    expected = mean_cells(mechanisms, moved_by(name, 0.5, n=1), np.zeros(1, int))
    np.testing.assert_allclose(cells.mean(axis=0), expected[0], atol=0.02)
    without = mean_cells(mechanisms, Moved.nothing(1, N_GENES), np.zeros(1, int))
    assert (np.abs(expected - without)[0] > 1e-6).any()
    assert expected[0, 0] == pytest.approx(without[0, 0])  # a cause of the target does not hear of it


@pytest.mark.parametrize("name", NAMES)
def test_noise_is_found_again_unless_it_is_hidden(name, mechanisms, rng):
    moved, group = moved_by(name, 0.5, n=50), np.zeros(50, int)
    noise = rng.standard_normal((50, N_GENES))
    found = abduct(mechanisms, propagate(mechanisms, moved, group, noise), moved, group)
    seen = np.broadcast_to(moved.listen, noise.shape) > 0
    assert moved.hides_noise == (not seen.all())
    np.testing.assert_allclose(found[seen], noise[seen], atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_units_are_those_of_the_expression_or_none(name):
    scale = np.array([0.5, 1.0, 2.0])
    units = KINDS[name].units(scale)
    assert np.array_equal(units, scale) or np.array_equal(units, np.ones(3))
