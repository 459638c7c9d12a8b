"""Compiled steps of the choice of shifts and activities against numpy and scipy."""

import itertools

import numpy as np
import pytest
from scipy.special import log_ndtr

from scgim._core.kinds.compiled import joint as kernels
from scgim._core.kinds.joint import DrugChoice, LocalForm, log_mass, packed, truncated


def make_choice(rng, bounded: int, n: int = 6) -> DrugChoice:
    """A problem whose variables explain each other away in part, some of them well outside the bounds."""
    x = rng.normal(size=(12, n)) + 0.8 * rng.normal(size=(12, 1))
    y = x @ np.where(np.arange(n) < 2, 4.0, 0.0) + 0.7 * rng.normal(size=12)
    return DrugChoice(x.T @ x, x.T @ y, rng.uniform(0.5, 2, n), np.full(n, -1.5), bounded)


def test_tails_have_their_digits():
    x = np.array([-1e4, -300.0, -40.0, -25.1, -24.9, -8.0, -1.0, 0.0, 0.5, 5.0, 9.0, 40.0])
    np.testing.assert_allclose([kernels.log_tail(v) for v in x], log_ndtr(x), rtol=1e-9, atol=1e-300)


def test_masses_and_moments_between_bounds():
    mean, variance = np.array([0.3, 2.0, -5.0, 12.75, -0.2]), np.array([0.1, 0.2, 0.3, 0.01, 1e-9])
    found = [kernels.log_within(m, v, -1.0, 1.0) for m, v in zip(mean, variance, strict=True)]
    np.testing.assert_allclose(found, log_mass(mean, variance, -1.0, 1.0), rtol=1e-9)
    both = np.array([kernels.cut(m, v, f, -1.0, 1.0) for m, v, f in zip(mean, variance, found, strict=True)]).T
    np.testing.assert_allclose(both, truncated(mean, variance, -1.0, 1.0), rtol=1e-9)


@pytest.mark.parametrize("bounded", [0, 1, 3, 6])
def test_odds_and_evidence_are_those_of_numpy(rng, bounded):
    choice = make_choice(rng, bounded)
    arrays = choice.arrays()
    for each in itertools.product([False, True], repeat=6):
        on, found = np.array(each), [np.empty(6) for _ in range(3)]
        kernels.conditional(on, arrays, *found)
        for compiled, plain in zip(found, choice.conditional(on), strict=True):
            np.testing.assert_allclose(compiled, plain, rtol=1e-7, atol=1e-9)
        assert kernels.evidence(on, arrays) == pytest.approx(choice.evidence(on), abs=1e-8)


def test_a_sweep_draws_each_variable_given_the_others(rng):
    choice, memory = make_choice(rng, 2), kernels.memory_of(6)
    on, visited, uniform = np.zeros(6, dtype=bool), np.array([3, 0, 1]), np.array([0.9, 0.5, 0.0])
    plain = on.copy()
    for i, u in zip(visited, uniform, strict=True):
        odds = choice.conditional(plain)[0]
        plain[i] = u < 1 / (1 + np.exp(-odds[i]))
    row = kernels.sweep(on, visited, uniform, choice.arrays(), memory)
    assert on.tolist() == plain.tolist()
    np.testing.assert_allclose(memory[3][row], choice.conditional(plain)[0], rtol=1e-7, atol=1e-9)


def test_choices_are_remembered_until_there_is_no_room(rng):
    choice, memory, n = make_choice(rng, 2, 8), kernels.memory_of(8), kernels.KEPT
    every = [np.array(on) for on in itertools.product([False, True], repeat=8)]
    rows = [kernels.recall(on, choice.arrays(), memory) for on in every]
    assert rows == [r % n for r in range(256)] and memory[2][0] == 256
    for on, row in [*zip(every, rows, strict=True)][-n:]:
        assert kernels.recall(on, choice.arrays(), memory) == row
        for part, plain in zip(memory[3:], choice.conditional(on), strict=True):
            np.testing.assert_allclose(part[row], plain, rtol=1e-7, atol=1e-9)
    assert memory[2][0] == 256


def test_background_is_integrated_out(rng):
    root, parents = rng.normal(size=(3, 5, 3)), np.array([3, 0, 1])
    within, linear, mean = np.swapaxes(root, 1, 2) @ root, rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
    residual, w, variance = rng.normal(size=3), rng.uniform(1, 2, 3), rng.uniform(0, 1, (2, 3, 4))
    out = np.empty((3, 4, 4)), np.empty((3, 4)), np.empty(3)
    kernels.tell(2, parents, within, linear, mean, residual, 1 / w, *variance, *out)
    for k in range(3):
        loading = np.append(mean[k], 1.0)  # of what moves the mean
        square, told = w[k] * np.outer(loading, loading), w[k] * residual[k] * loading
        square[:3, :3] += within[k]
        told[:3] += linear[k]
        spread = np.append(variance[0, k, parents], variance[1, k, 2])
        inside = np.linalg.inv(np.diag(1 / spread) + square)
        np.testing.assert_allclose(out[0][k], square - square @ inside @ square, atol=1e-9)
        np.testing.assert_allclose(out[1][k], told - square @ inside @ told, atol=1e-9)
        determinant = np.linalg.slogdet(np.diag(1 / spread) + square)[1] + np.log(spread).sum()
        assert out[2][k] == pytest.approx(0.5 * told @ inside @ told - 0.5 * determinant)


def test_what_a_gene_tells_is_added_at_its_variables(rng):
    variables, rows = np.array([1, 4]), np.array([0, 2])
    form, linear_form = rng.normal(size=(3, 2, 2)), rng.normal(size=(3, 2))
    factor, others = rng.uniform(size=(2, 5)), rng.normal(size=(2, 5))
    square, linear = np.zeros((5, 5)), np.zeros(5)
    forms = [LocalForm(variables[:0], form[:, :0, :0], linear_form[:, :0], linear_form[:, 0])]
    forms.append(LocalForm(variables, form, linear_form, linear_form[:, 0]))
    kernels.add_forms(*packed(forms), rows, factor, others, square, linear)
    f, q = factor[:, variables], linear_form[rows] - np.einsum("lab,lb->la", form[rows], others[:, variables])
    expected = np.einsum("la,lab,lb->ab", f, form[rows], f)
    np.testing.assert_allclose(square[np.ix_(variables, variables)], expected)
    np.testing.assert_allclose(linear[variables], (f * q).sum(axis=0))
    assert not square[[0, 2, 3]].any() and not linear[[0, 2, 3]].any()
