"""Contrasts of contexts against closed forms: weights, shared controls, replicates, combinations."""

import numpy as np
import pytest

from scgim._core.design import Design
from scgim._core.moments.moments import Plates
from scgim._core.posterior.contrasts import classes, contrasts, lack_of_fit, pool, references
from scgim._core.posterior.odds import share


def design_of(dose, group=None, n=None, level=None, names=None) -> Design:
    dose = np.asarray(dose, dtype=float)
    group = np.zeros(len(dose), dtype=int) if group is None else np.asarray(group)
    names = tuple(f"drug {d}" for d in range(dose.shape[1])) if names is None else names
    groups = tuple(str(c) for c in range(group.max() + 1))
    return Design(
        names, dose, group, groups, np.full(len(dose), 50.0) if n is None else np.asarray(n, float), level=level
    )


def test_amplitude_is_least_squares_against_the_controls(rng):
    """Six doses of one drug: the estimate is that of a regression on the curve, its variance counts the controls once."""
    h = np.array([[0.0], [0.1], [0.3], [0.5], [0.7], [0.8], [0.9]])
    design = design_of(h > 0, n=[300, 20, 20, 20, 20, 20, 20])
    value, error = rng.normal(size=(7, 4)), np.tile(2.0 / design.n_cells[:, None], (1, 4))
    found = contrasts(design, h, value, 1e6 * error)  # errors so large that contexts are not found to differ
    centred = value[1:] - value[0]
    np.testing.assert_allclose(found.weight @ value, (h[1:].T @ centred) / (h**2).sum())
    a = h[1:, 0] / (h**2).sum()
    expected = (a**2).sum() * 2.0 / 20 + a.sum() ** 2 * 2.0 / 300
    np.testing.assert_allclose(found.weight**2 @ error, expected)
    np.testing.assert_array_equal(found.scatter, 0)


def test_each_group_has_its_own_controls(rng):
    design = design_of([[0], [1], [0], [1]], group=[0, 0, 1, 1])
    found = contrasts(design, design.dose, np.zeros((4, 2)), np.ones((4, 2)))
    np.testing.assert_allclose(found.weight[0], [-0.5, 0.5, -0.5, 0.5])
    assert found.n_groups[0] == 2
    baseline = rng.normal(size=(2, 3))[design.group]
    np.testing.assert_allclose(found.weight @ baseline, 0, atol=1e-12)


def test_a_group_without_controls_is_compared_with_all_its_contexts():
    np.testing.assert_allclose(references(design_of([[1, 0], [0, 1]], n=[30, 10])), [[0.75, 0.25]])


def test_lack_of_fit_is_unbiased(rng):
    h = np.array([0.3, 0.6, 0.9, 1.0])
    own = h / (h**2).sum()
    error, sd, shared = rng.uniform(0.1, 0.5, 4), 0.7, 0.2
    n = 200_000
    value = (
        h[:, None] * 2.0 + rng.normal(size=(4, n)) * np.sqrt(error + sd**2)[:, None] + rng.normal(size=n) * shared**0.5
    )
    raw = lack_of_fit(value, np.tile(error[:, None], (1, n)), h, own, np.full(n, shared))
    assert raw.mean() == pytest.approx(sd**2, rel=0.02)


def test_an_effect_in_one_of_five_groups_is_not_sure(rng):
    dose, group = np.tile([[0.0], [1.0]], (5, 1)), np.repeat(np.arange(5), 2)
    design, error = design_of(dose, group), np.full((10, 40), 1e-3)
    value = rng.normal(size=(10, 40)) * np.sqrt(1e-3)
    value[1::2, 0] += 1.0
    value[1, 1] += 5.0
    found = contrasts(design, dose, value, error)
    z = (found.weight @ value) / np.sqrt(found.weight**2 @ error + found.between)
    assert abs(z[0, 0]) > 20
    assert abs(z[0, 1]) < 2
    assert found.agree[0, 0] == 5


def test_pool_leaves_the_largest_out():
    raw = np.full((1, 100), 0.1)
    raw[0, :5] = 50.0
    common, each = pool(raw, np.array([4.0]))
    assert common == pytest.approx(0.1)
    assert each[0, 0] > 10
    assert each[0, 50] == pytest.approx(0.1)


def test_combinations_are_solved_exactly(rng):
    """A backbone that was measured alone, and partners that were not."""
    dose = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1]], float)
    design = design_of(dose)
    amplitude = rng.normal(size=(3, 6))
    found = contrasts(design, dose, dose @ amplitude, np.ones((5, 6)))
    order = np.argsort(found.drug)
    np.testing.assert_allclose((found.weight @ (dose @ amplitude))[order][0], amplitude[0], atol=1e-9)
    pairs = design_of(dose[:4])
    found = contrasts(pairs, dose[:4], dose[:4] @ amplitude, np.ones((4, 6)))
    np.testing.assert_allclose(found.weight @ (dose[:4] @ amplitude), amplitude, atol=1e-9)
    assert found.identified.all()


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_drugs_that_were_measured_only_together_share(rng, names):
    dose = np.array([[0, 0], [1, 1], [1, 1]], float)
    design = design_of(dose, names=names)
    value = rng.normal(size=(3, 4))
    found = contrasts(design, dose, value, np.ones((3, 4)))
    assert not found.identified.any()
    np.testing.assert_array_equal(classes(design), [0, 0])
    np.testing.assert_allclose(found.weight[0], found.weight[1])
    np.testing.assert_allclose(found.weight[0] @ value, value[1:].mean(axis=0) - value[0])
    odds = share(np.array([[20.0, -3.0], [20.0, -3.0]]), classes(design))
    probability = 1 / (1 + np.exp(-odds))
    np.testing.assert_allclose(probability[:, 0], 0.5, atol=1e-6)
    np.testing.assert_allclose(probability[:, 1], 0.5 / (1 + np.exp(3.0)))


def test_levels_have_rows_of_their_own():
    dose, group = np.array([[0], [1], [0], [1]], float), np.array([0, 0, 1, 1])
    found = contrasts(design_of(dose, group, level=group), dose, np.zeros((4, 2)), np.ones((4, 2)))
    np.testing.assert_array_equal(found.level, [0, 1])
    np.testing.assert_allclose(found.weight, [[-1, 1, 0, 0], [0, 0, -1, 1]])


def spread_of(value, error, height, own, shared=0.0) -> tuple[float, int]:
    """Variance that ``E |R y|^2`` asks for beyond errors, from matrices, and its degrees of freedom."""
    left = np.eye(len(height)) - np.outer(height, own)
    known = np.trace(left @ (np.diag(error) + shared) @ left.T)
    return ((left @ value) @ (left @ value) - known) / np.trace(left @ left.T), len(height) - 1


@pytest.mark.parametrize("cell", [2.0, 0.3])
def test_contexts_and_groups_differ_by_what_dense_covariances_say(cell):
    """Two and three doses in two groups with controls of their own, one dose in a third; every gene the same up to its sign."""
    h = np.array([[0.0], [0.3], [0.8], [0.0], [0.2], [0.5], [1.0], [0.0], [0.7]])
    group = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2])
    design = design_of(h > 0, group, n=[100, 10, 40, 20, 10, 20, 30, 50, 15])
    error = np.tile(cell / design.n_cells[:, None], (1, 30))
    one = np.array([0.7, 2.5, -0.9, 0.2, 1.5, -0.8, 3.0, 0.4, 6.0])
    found = contrasts(design, h, one[:, None] * np.where(np.arange(30) % 2, 1, -1), error)
    sizes, freedom = [], []
    for c in range(2):
        rows = np.flatnonzero(group == c)
        control, rows = rows[0], rows[1:]
        n, height = design.n_cells[rows], h[rows, 0]
        own = n * height / (n @ height**2)
        size, nu = spread_of(one[rows] - one[control], error[rows, 0], height, own, error[control, 0])
        sizes.append(size)
        freedom.append(nu)
    context2 = np.average(sizes, weights=freedom)
    assert found.context_sd == pytest.approx(np.sqrt(context2))
    amplitude, variance, scattered = [], [], []
    for c in range(3):
        rows = np.flatnonzero(group == c)
        control, rows = rows[0], rows[1:]
        height, precision = h[rows, 0], 1 / (1 / design.n_cells[rows] + context2 / cell)
        own = precision * height / (precision @ height**2)
        amplitude.append(own @ (one[rows] - one[control]))
        scattered.append((own**2).sum() * context2)
        variance.append(own**2 @ error[rows, 0] + own.sum() ** 2 * error[control, 0] + scattered[-1])
    group2, _ = spread_of(np.array(amplitude), np.array(variance), np.ones(3), np.full(3, 1 / 3))
    assert found.group_sd == pytest.approx(np.sqrt(group2))
    weight = 1 / (np.array(variance) + group2)
    np.testing.assert_allclose(np.abs(found.weight @ one), np.abs(weight @ amplitude / weight.sum()))
    np.testing.assert_allclose(found.scatter[0], weight**2 @ scattered / weight.sum() ** 2)
    np.testing.assert_allclose(found.between[0], group2 * (weight**2).sum() / weight.sum() ** 2)


def test_two_contexts_tell_how_contexts_differ():
    """One degree of freedom: half the squared difference, less the variance of a mean."""
    design = design_of([[0], [1], [1]], n=[100, 20, 20])
    found = contrasts(design, design.dose, np.tile([[0.7], [1.5], [-0.3]], (1, 9)), np.full((3, 9), 0.1))
    assert found.context_sd == pytest.approx(np.sqrt(1.8**2 / 2 - 0.1))


@pytest.mark.parametrize("n", [[100, 20, 20, 40], [1, 1, 1, 1]])
def test_what_is_left_of_plates_is_an_error_that_doses_share(n):
    """Weights are generalised least squares, and the shared error counts with the square of their sum."""
    h, variance, left, sd = np.array([[0.0], [0.2], [0.5], [0.9]]), np.array([3.0, 0.5, 1.0]), 0.02, 0.3
    design = design_of(h > 0, n=n)
    plates = Plates(np.zeros((4, 3)), np.array([0, left, left, left]), sd)
    found = contrasts(design, h, np.zeros((4, 3)), variance / design.n_cells[:, None], plates)
    inverse = np.linalg.inv(np.diag(1 / design.n_cells[1:]) + sd**2)
    own = inverse @ h[1:, 0] / (h[1:, 0] @ inverse @ h[1:, 0])
    np.testing.assert_allclose(found.weight[0], [-own.sum(), *own])
    np.testing.assert_allclose(found.scatter[0], variance * left * own.sum() ** 2)
    np.testing.assert_allclose(found.offset, found.scatter)


def test_contexts_differ_around_curves_whose_small_doses_tell_the_plate():
    """Weights of a drug's contexts sum to less than one, because offsets of plates are read off its smallest dose."""
    h, value = np.array([[0.0], [0.1], [0.5], [0.9]]), np.array([0.5, 1.5, 2.0, 2.2])
    design = design_of(h > 0, n=[50, 20, 20, 20])
    error = 0.2 / design.n_cells
    plates = Plates(np.zeros((4, 9)), np.zeros(4), 1.0)
    found = contrasts(design, h, np.tile(value[:, None], (1, 9)), np.tile(error[:, None], (1, 9)), plates)
    inverse = np.linalg.inv(np.diag(1 / design.n_cells[1:]) + 1.0)
    own = inverse @ h[1:, 0] / (h[1:, 0] @ inverse @ h[1:, 0])
    assert own.sum() < 0.5
    size, _ = spread_of(value[1:] - value[0], error[1:], h[1:, 0], own, error[0])
    assert found.context_sd == pytest.approx(np.sqrt(size))


def test_contexts_count_with_their_cells_down_to_one():
    design = design_of([[0], [0], [1], [1], [0], [1]], [0, 0, 0, 0, 1, 1], n=[1, 3, 1, 4, 1, 1])
    np.testing.assert_allclose(references(design)[0, :2], [0.25, 0.75])
    found = contrasts(design, design.dose, np.zeros((6, 2)), np.ones((6, 2)))
    share = 1 / np.array([1 / 4 + 1 / 5, 1 + 1])  # of the groups: one over the variances of their differences
    share /= share.sum()
    expected = np.array([-0.25, -0.75, 0.2, 0.8, 0, 0]) * share[0] + np.array([0, 0, 0, 0, -1, 1]) * share[1]
    np.testing.assert_allclose(found.weight[0], expected)
