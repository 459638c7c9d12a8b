"""Shifts beyond the mechanisms, and every term of their error, against closed forms."""

from dataclasses import replace

import numpy as np
import pytest

from scgim._core.design import Design
from scgim._core.mechanisms.linear import Linear
from scgim._core.moments.moments import Moments
from scgim._core.posterior.evidence import Evidence
from scgim._core.posterior.shifts import doubt_of_others, find_shifts, linear_effects, plain_shifts, sampling

N = np.array([400.0, 100.0, 50.0])
DESIGN = Design(("a", "b"), np.array([[0, 0], [1, 0], [0, 1]], float), np.zeros(3, int), ("all",), N, False)
PARENTS: dict[int, tuple[int, ...]] = {0: (), 1: (0,), 2: (0, 1)}
EFFECTS = np.array([[0.0, 0.8, 0.3], [0.0, 0.0, -0.5], [0.0, 0.0, 0.0]])
NOISE = np.array([1.0, 0.5, 0.7])


def chain(rng, factor=None) -> tuple[Moments, Evidence]:
    """x0 -> x1, and both -> x2; noise of each context is that of all, times a factor ``(K, G)``."""
    factor = np.ones((3, 3)) if factor is None else factor
    total = np.linalg.inv(np.eye(3) - EFFECTS)
    variance = (NOISE * factor) @ (total * total)  # (K, G)
    within = total.T @ np.diag(NOISE) @ total
    mean = rng.normal(size=(3, 3))
    moments = Moments(
        N, mean[:, :, None], within, np.zeros(3), np.ones(3), np.ones((3, 1)), Linear(),
        square=variance * (N - 1)[:, None],
    )  # fmt: skip
    coef = tuple(EFFECTS[list(PARENTS[j]), j] for j in range(3))
    cov = tuple(0.01 * np.eye(len(PARENTS[j])) for j in range(3))
    residual = mean - mean @ EFFECTS
    zero = np.zeros((2, 3))
    return moments, Evidence(np.zeros((1, 3)), NOISE, residual, residual**2, zero, np.zeros(3), coef, cov)


def test_linear_effects_are_the_matrix_of_the_system(rng):
    np.testing.assert_array_equal(linear_effects(*reorder(chain(rng))), EFFECTS)


def reorder(found):
    moments, evidence = found
    return moments, PARENTS, evidence


def test_noise_of_a_context_follows_from_all_variances_there(rng):
    """With many cells a context keeps its own variance, and each gene its own part of it."""
    factor = np.array([[1.0, 1.0, 1.0], [4.0, 1.0, 1.0], [1.0, 1.0, 3.0]])
    moments, evidence = chain(rng, factor)
    sure = 1e6 * N
    many = Moments(
        sure, moments.mean, moments.within, moments.loc, moments.scale, moments.slope,
        square=moments.square / (N - 1)[:, None] * (sure - 1)[:, None],
    )  # fmt: skip
    residual, alone = sampling(many, evidence, EFFECTS, DESIGN)
    np.testing.assert_allclose(residual * sure[:, None], NOISE * factor, rtol=1e-3)
    np.testing.assert_allclose(alone * sure[:, None], moments.square / (N - 1)[:, None], rtol=1e-3)


def test_without_variances_of_contexts_the_noise_of_all_is_taken(rng):
    moments, evidence = chain(rng)
    moments.square, moments.spread = None, np.full((3, 3), 0.1)
    residual, _ = sampling(moments, evidence, EFFECTS, DESIGN)
    np.testing.assert_allclose(residual, NOISE / N[:, None] + 0.1 + 0.1 * (EFFECTS**2).sum(axis=0))


def test_noise_of_measurement_is_passed_on_by_no_gene(rng):
    """Of a residual mean that of the gene itself and, times their squared effects, that of its parents; means have it as it is."""
    moments, evidence = chain(rng)
    noise = np.array([0.2, 0.4, 0.1])
    seen = replace(moments, measured=noise, spread=noise / N[:, None], square=moments.square + noise * (N - 1)[:, None])
    residual, alone = sampling(seen, evidence, EFFECTS, DESIGN)
    np.testing.assert_allclose(residual * N[:, None], np.tile(NOISE + noise + noise @ EFFECTS**2, (3, 1)))
    np.testing.assert_allclose(alone * N[:, None], np.tile(np.diag(moments.within) + noise, (3, 1)))


def test_edges_that_the_graph_lacks_leave_effects_in_doubt(rng):
    """Each adds what its slope beside the parents would pass on, by its probability."""
    moments, _ = chain(rng)
    parents: dict[int, tuple[int, ...]] = {0: (), 1: (), 2: (1,)}
    probability = np.zeros((3, 3))
    probability[0, 2], probability[1, 0], probability[0, 1], probability[1, 2] = 0.3, 0.2, 0.005, 0.6
    moved = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, 0.0]])
    S = moments.within
    slope = np.linalg.solve(S[:2, :2], S[:2, 2])[0]
    np.testing.assert_allclose(slope, EFFECTS[0, 2])
    turned = S[0, 1] / S[1, 1]  # of gene 0 on gene 1
    expected = np.stack([0.2 * (moved[:, 1] * turned) ** 2, [0, 0], 0.3 * (moved[:, 0] * slope) ** 2], axis=1)
    np.testing.assert_allclose(doubt_of_others(moments, parents, probability, moved), expected, atol=1e-15)
    copies = replace(moments, within=np.ones((3, 3)))  # beside a parent they have no slope
    assert (doubt_of_others(copies, parents, probability, moved)[:, 2] == 0).all()


def test_every_error_is_counted_once(rng):
    moments, evidence = chain(rng)
    probability = np.where(EFFECTS != 0, 0.9, 0.0)
    found = find_shifts(moments, DESIGN, PARENTS, evidence, probability, DESIGN.dose)
    step = moments.mean[1:, :, 0] - moments.mean[0, :, 0]
    np.testing.assert_allclose(found.estimate[0], step - step @ EFFECTS)
    np.testing.assert_allclose(found.estimate[1], step)
    np.testing.assert_allclose(found.passed[0], step**2 @ EFFECTS**2)
    cells = NOISE * (1 / N[1:] + 1 / N[0])[:, None]
    coefficients = 0.01 * step**2 @ (EFFECTS != 0)
    np.testing.assert_allclose(found.variance[0], cells + coefficients + 0.1 * found.passed[0], rtol=1e-6)
    assert (found.passed[1] == 0).all()


def test_networks_pass_on_what_the_residual_lacks(rng):
    moments, evidence = chain(rng)
    mean = moments.mean[:, :, 0]
    found = plain_shifts(DESIGN, evidence, mean, np.diag(moments.within), DESIGN.dose)
    step = mean[1:] - mean[0]
    np.testing.assert_allclose(found.passed[0], (step @ EFFECTS) ** 2)
    np.testing.assert_allclose(found.variance[0], NOISE * (1 / N[1:] + 1 / N[0])[:, None])


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_results_do_not_depend_on_where_means_are_counted_from(rng, scale):
    moments, evidence = chain(rng)
    one = find_shifts(moments, DESIGN, PARENTS, evidence, EFFECTS != 0, DESIGN.dose)
    moments.mean = moments.mean + scale
    other = find_shifts(moments, DESIGN, PARENTS, evidence, EFFECTS != 0, DESIGN.dose)
    np.testing.assert_allclose(other.estimate, one.estimate, atol=1e-10)
    np.testing.assert_allclose(other.variance, one.variance, atol=1e-10)
