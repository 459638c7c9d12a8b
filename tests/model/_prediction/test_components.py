"""What happens in the rows of a request."""

import numpy as np
import pytest

from scgim._core.effects import Effects
from scgim._core.kinds import KINDS
from scgim.model._prediction.components import Components, Part, beside


def part(kind: str, row: list[int], probability: list, mean: list, sd: float = 0.0) -> Part:
    probability, mean = np.array(probability, float).reshape(-1, 3), np.array(mean, float).reshape(-1, 3)
    return Part(KINDS[kind], np.array(row, dtype=int), Effects(probability, mean, np.full(mean.shape, sd)))


NO_DRIFT = part("shift", [], [], [])


def test_slots_of_rows() -> None:
    one = part("shift", [2, 0, 2, 2], [[0] * 3] * 4, [[0] * 3] * 4)
    assert one.slots(4).tolist() == [[1, -1, -1], [-1, -1, -1], [0, 2, 3], [-1, -1, -1]]


def test_kinds_superpose_each_in_its_way() -> None:
    """Shifts add, of two values the mean is taken, activities multiply."""
    ones = [[1.0, 0, 0], [1.0, 0, 0]]
    second, third = np.roll(ones, 1, axis=1).tolist(), np.roll(ones, 2, axis=1).tolist()
    parts = (
        part("shift", [0, 0], ones, [[1.0, 0, 0], [2.0, 0, 0]]),
        part("hard", [0, 0], second, [[0, 5.0, 0], [0, 7.0, 0]]),
        part("activity", [0, 0], third, [[0, 0, -0.5], [0, 0, -0.5]]),
    )
    moved = Components(1, parts, NO_DRIFT).draw(np.zeros(2, dtype=int), np.random.default_rng(0))
    np.testing.assert_allclose(moved.add, [[3.0, 6.0, 0]] * 2)
    np.testing.assert_allclose(moved.listen, [[1, 0, 1]] * 2)
    np.testing.assert_allclose(moved.speak, [[1, 1, 0.25]] * 2)


def test_expected_interventions_are_posterior_means() -> None:
    """Of values the more probable of both."""
    shift = part("shift", [1, 1], [[0.5, 0, 0], [0, 0, 0]], [[2.0, 0, 0], [0, 0, 0]])
    hard = part("hard", [1, 1], [[0, 0.2, 0], [0, 0.9, 0]], [[0, 3.0, 0], [0, 4.0, 0]])
    moved = Components(2, (shift, hard), NO_DRIFT).expected()
    np.testing.assert_allclose(moved.add, [[0, 0, 0], [1.0, 4.0, 0]])
    np.testing.assert_allclose(moved.listen, [[1, 1, 1], [1, 0, 1]])
    np.testing.assert_allclose(moved.noise, moved.listen)  # a cut mechanism has no noise to keep


def test_drawn_shifts_have_the_moments_of_the_posterior() -> None:
    one = part("shift", [0], [[0.3, 0, 1.0]], [[2.0, 9.0, -1.0]], 0.5)
    components = Components(1, (one,), part("shift", [0], [[1.0] * 3], [[0.1] * 3], 0.2))
    added = components.draw(np.zeros(100_000, dtype=int), np.random.default_rng(1)).add
    np.testing.assert_allclose(added.mean(axis=0), components.mean_added()[0], atol=0.02)
    variance = 0.3 * (0.25 + 4.0) - 0.6**2 + 0.04
    assert added[:, 0].var() == pytest.approx(variance, rel=0.03)


def test_cells_that_respond_have_more_and_the_mean_stays() -> None:
    """All targets of a cell together: ``var = p E[e^2] / s - (p e)^2``, and none in the cells that do not respond."""
    one = part("shift", [0, 1], [[1.0, 1.0, 0]] * 2, [[2.0, -1.0, 9.0]] * 2, 0.5)
    components = Components(2, (one,), NO_DRIFT, responding=np.array([0.4, 1.0]))
    added = components.draw(np.repeat([0, 1], 100_000), np.random.default_rng(1)).add.reshape(2, -1, 3)
    np.testing.assert_allclose(added.mean(axis=1), [[2.0, -1.0, 0]] * 2, atol=0.03)
    np.testing.assert_allclose(added[:, :, 0].var(axis=1), [4.25 / 0.4 - 4.0, 0.25], rtol=0.03)
    still = added[0, :, :2] == 0
    assert (still[:, 0] == still[:, 1]).all() and still.mean() == pytest.approx(0.6, abs=0.01)
    mean = sum(share * moved.add for share, moved in components.shares(0, 9, np.random.default_rng(1)))
    np.testing.assert_allclose(mean, components.draw(np.zeros(9, int), np.random.default_rng(1), 1.0).add)


@pytest.mark.parametrize("probability", [0.0, 0.2, 0.7, 1.0])
def test_drift_acts_where_targets_do_not_first(probability: float) -> None:
    """In all with its probability; beside a target only as far as the chance of no target does not suffice."""
    none = np.array([0.0, 0.2, 0.5, 1.0])
    on, off = beside(np.full(4, probability), none)
    given = (1 - none) * on + none * off
    np.testing.assert_allclose(np.where(none < 1, given, off), probability)
    assert (np.minimum(on, 1 - off)[(none > 0) & (none < 1)] < 1e-12).all()


def test_a_cell_has_a_target_or_its_drift() -> None:
    """Both explain one shift: a gene that is a target with probability 0.6 moves by it in all cells, not by 0.6 of it and 1.4."""
    target = part("shift", [0], [[0.6, 0, 0]], [[2.0, 0, 0]])
    drift = part("shift", [0], [[0.4, 1.0, 1.0]], [[2.0, 0.5, 0]])
    components = Components(1, (target,), drift)
    added = components.draw(np.zeros(500, dtype=int), np.random.default_rng(2)).add
    np.testing.assert_allclose(added, [[2.0, 0.5, 0]] * 500)
    np.testing.assert_allclose(components.mean_added(), [[2.0, 0.5, 0]])
    np.testing.assert_allclose(components.expected().add, [[2.0, 0.5, 0]])
