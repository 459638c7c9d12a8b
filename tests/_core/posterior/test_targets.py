"""Targets and effects against dense Gaussians and enumeration of targets."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from scgim._core.design import Design
from scgim._core.posterior.curves import Curves, fit_dose_curves
from scgim._core.posterior.slab import gap_slab
from scgim._core.posterior.targets import fit_targets, fit_values

CURVES = Curves(np.array([0.75, 1.5]), np.array([2.0, 1.0]), 1.5, 0.3)


def make_design(dose, *, has_dose: bool = True) -> Design:
    dose = np.asarray(dose, dtype=float)
    K = len(dose)
    drugs = tuple(f"drug {d}" for d in range(dose.shape[1]))
    return Design(drugs, dose, np.zeros(K, dtype=int), ("all",), np.full(K, 50), has_dose)


SINGLE = make_design([[0, 0], [0.5, 0], [1, 0], [2, 0], [0, 1], [0, 3]])


def joint(prior: np.ndarray, e: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and covariance of ``b ~ N(0, prior)`` given ``r ~ N(b, diag(e))`` by precisions."""
    precision = np.linalg.inv(prior) + np.diag(1 / e)
    cov = np.linalg.inv(precision)
    return cov @ (r / e), cov


def test_single_drugs_equal_dense_gaussians(rng):
    K, G = 6, 4
    residual, error = rng.normal(size=(K, G)), rng.uniform(0.05, 0.4, (K, G))
    p_target = np.linspace(0.05, 0.3, G)
    out = fit_targets(residual, error, SINGLE, CURVES, p_target)
    slab2, dev2 = CURVES.effect_sd**2, CURVES.deviation_sd**2
    for d in range(2):
        rows = np.flatnonzero(SINGLE.dose[:, d])
        h = CURVES.fraction(SINGLE.dose)[rows, d]
        prior = slab2 * np.outer(h, h) + dev2 * np.diag(h**2)
        for j in range(G):
            r, e = residual[rows, j], error[rows, j]
            zero = np.zeros(len(rows))
            on = multivariate_normal(zero, prior + np.diag(e)).logpdf(r) + np.log(p_target[j])
            off = multivariate_normal(zero, np.diag(e)).logpdf(r) + np.log1p(-p_target[j])
            assert out.of_drug.probability[d, j] == pytest.approx(1 / (1 + np.exp(off - on)), rel=1e-8)
            mean, cov = joint(prior, e, r)
            np.testing.assert_allclose(out.of_context.mean[rows, j], mean, atol=1e-9)
            np.testing.assert_allclose(out.of_context.sd[rows, j], np.sqrt(np.diag(cov)), atol=1e-7)
            # amplitude and effects together: (a, b) with b = h * (a + deviation)
            whole = np.block([[np.full((1, 1), slab2), slab2 * h[None]], [slab2 * h[:, None], prior]])
            gain = whole[:1, 1:] @ np.linalg.inv(prior + np.diag(e))
            assert out.of_drug.mean[d, j] == pytest.approx((gain @ r)[0])
            assert out.of_drug.sd[d, j] ** 2 == pytest.approx((slab2 - gain @ whole[1:, :1])[0, 0])
    np.testing.assert_array_equal(out.of_context.probability[0], 0)
    np.testing.assert_array_equal(out.of_context.mean[0], 0)


def test_known_targets_settle_the_probability(rng):
    residual, error = rng.normal(size=(6, 3)), np.full((6, 3), 0.2)
    known = np.array([[1, 0, np.nan], [np.nan, np.nan, np.nan]])
    free = fit_targets(residual, error, SINGLE, CURVES, np.full(3, 0.1)).of_drug.probability
    held = fit_targets(residual, error, SINGLE, CURVES, np.full(3, 0.1), known=known).of_drug.probability
    assert held[0, 0] > 0.99
    assert held[0, 1] < 0.01
    np.testing.assert_array_equal(held[1], free[1])
    assert held[0, 2] == free[0, 2]


def test_combinations_find_the_most_probable_targets_and_their_effects():
    """Against all choices of targets, with the dense Gaussian of all contexts."""
    rng = np.random.default_rng(3)
    dose = np.array([[1, 0, 0], [2, 0, 0], [0, 1, 0], [0, 2, 0], [1, 1, 0], [2, 1, 0], [0, 1, 1], [1, 0, 1]], float)
    design = make_design(dose)
    curves = Curves(np.full(3, 0.75), np.full(3, 2.0), 2.0, 0.0)
    h, e = curves.fraction(dose), np.full((8, 1), 0.04)
    for truth in product((0, 1), repeat=3):
        amplitude = np.array([2.5, -2.0, 3.0]) * truth
        r = (h @ amplitude)[:, None] + 0.2 * rng.normal(size=(8, 1))
        out = fit_targets(r, e, design, curves, np.full(1, 0.2))
        weights, means = [], []
        for on in product((0, 1), repeat=3):
            loading = h * on
            cov = curves.effect_sd**2 * loading @ loading.T + 0.04 * np.eye(8)
            prior = np.prod([0.2 if o else 0.8 for o in on])
            weights.append(np.log(prior) + multivariate_normal(np.zeros(8), cov).logpdf(r[:, 0]))
            means.append(curves.effect_sd**2 * loading @ loading.T @ np.linalg.solve(cov, r[:, 0]))
        weight = np.exp(np.array(weights) - max(weights))
        weight /= weight.sum()
        marginal = weight @ np.array(list(product((0, 1), repeat=3)))
        np.testing.assert_array_equal(marginal > 0.5, truth)
        np.testing.assert_allclose(out.of_drug.probability[:, 0], marginal, atol=0.12)
        expected = out.of_context.probability * out.of_context.mean
        np.testing.assert_allclose(expected[:, 0], weight @ np.array(means), atol=0.25)  # sweeps shrink a little more


def test_context_probability_is_that_any_drug_targets(rng):
    design = make_design([[1, 0], [0, 1], [1, 1]])
    out = fit_targets(rng.normal(size=(3, 5)), np.full((3, 5), 0.3), design, CURVES, np.full(5, 0.2))
    p = out.of_drug.probability
    np.testing.assert_allclose(out.of_context.probability[2], 1 - (1 - p[0]) * (1 - p[1]))


def test_values_of_hit_genes_equal_dense_gaussians(rng):
    value, error = rng.normal(2, 1, (6, 3)), rng.uniform(0.05, 0.4, (6, 3))
    odds = rng.normal(size=(2, 3))
    out = fit_values(value, error, SINGLE, CURVES, odds)
    np.testing.assert_allclose(out.of_drug.probability, 1 / (1 + np.exp(-odds)))
    rows = [1, 2, 3]
    h = CURVES.fraction(SINGLE.dose)[rows, 0]
    prior = CURVES.effect_sd**2 * np.outer(h, h) + CURVES.deviation_sd**2 * np.diag(h**2)
    mean, _ = joint(prior, error[rows, 1], value[rows, 1])
    np.testing.assert_allclose(out.of_context.mean[rows, 1], mean, atol=1e-9)


def test_curves_with_one_dose_or_none():
    residual = np.zeros((3, 2))
    residual[1] = 2.0
    on = residual > 0
    error = np.full((3, 2), 0.01)
    one = fit_dose_curves(residual, error, on, make_design([[0], [4], [4]]))
    np.testing.assert_array_equal(one.ec50, 4)
    np.testing.assert_allclose(one.fraction(np.array([[4.0]])), 0.5)
    none = fit_dose_curves(residual, error, on, make_design([[0], [1], [1]], has_dose=False))
    np.testing.assert_allclose(none.fraction(np.array([[1.0], [0.0]]))[:, 0], [1, 0])


def test_curves_are_recovered_from_single_drugs(rng):
    D = 12
    dose = np.concatenate([np.zeros((1, D)), *[x * np.eye(D) for x in (0.5, 1.0, 1.5, 2.0)]])
    amplitude = np.where(rng.random((D, 6)) < 0.3, rng.choice([-3.0, 3.0], (D, 6)), 0.0)
    truth = dose**4 / (0.75**4 + dose**4) @ amplitude
    curves = fit_dose_curves(
        truth + 0.1 * rng.normal(size=truth.shape), np.full(truth.shape, 0.01), truth != 0, make_design(dose)
    )
    known = amplitude.any(axis=1)
    np.testing.assert_allclose(curves.ec50[known], 0.75, rtol=0.15)
    np.testing.assert_allclose(curves.slope[known], 4.0, rtol=0.25)
    assert 2 < curves.effect_sd < 4.5


def test_mixture_of_amplitudes_equals_enumerated_components(rng):
    """Each component is a dense Gaussian with its own mean; the posterior is their mixture."""
    slab = gap_slab(0.6, 2.0, 0.3, 4.0)
    curves = Curves(CURVES.ec50, CURVES.slope, 2.0, 0.3, slab)
    residual, error = rng.normal(size=(6, 3)), rng.uniform(0.05, 0.4, (6, 3))
    out = fit_targets(residual, error, SINGLE, curves, np.full(3, 0.2))
    rows = np.array([1, 2, 3])
    h = curves.fraction(SINGLE.dose)[rows, 0]
    for j in range(3):
        r, e = residual[rows, j], error[rows, j]
        weights, means, variances = [], [], []
        for w, m, v in slab:
            prior = v * np.outer(h, h) + 0.3**2 * np.diag(h**2)
            weights.append(w * multivariate_normal(m * h, prior + np.diag(e)).pdf(r))
            mean, cov = joint(prior, e, r - m * h)
            means.append(m * h + mean)
            variances.append(np.diag(cov))
        on, off = 0.2 * np.sum(weights), 0.8 * multivariate_normal(np.zeros(3), np.diag(e)).pdf(r)
        assert out.of_drug.probability[0, j] == pytest.approx(on / (on + off), rel=1e-6)
        share = np.array(weights) / np.sum(weights)
        mean = share @ np.array(means)
        second = share @ (np.array(variances) + np.array(means) ** 2)
        np.testing.assert_allclose(out.of_context.mean[rows, j], mean, atol=1e-9)
        np.testing.assert_allclose(out.of_context.sd[rows, j], np.sqrt(second - mean**2), atol=1e-7)


def test_intervals_hold_the_truth_at_every_dose():
    """Targets share a curve that is learned: at every dose, also where it bends, 90 % intervals hold 90 %."""
    D, G, levels = 12, 6, (0.5, 1.0, 1.5, 2.0)
    dose = np.concatenate([np.zeros((1, D)), *[x * np.eye(D) for x in levels]])
    inside = []
    for seed in range(15):
        rng = np.random.default_rng(seed)
        amplitude = np.where(rng.random((D, G)) < 0.3, rng.choice([-1, 1], (D, G)) * rng.uniform(2, 4, (D, G)), 0.0)
        truth = dose**4 / (0.75**4 + dose**4) @ amplitude
        residual, error = truth + 0.15 * rng.normal(size=truth.shape), np.full(truth.shape, 0.15**2)
        design, p = make_design(dose), np.full(G, 0.3)
        curves = fit_dose_curves(residual, error, truth != 0, design, p_target=p)
        out = fit_targets(residual, error, design, curves, p)
        near = np.abs(out.of_context.mean - truth) <= 1.645 * out.of_context.sd
        inside.append(
            [near[1 + D * i : 1 + D * (i + 1)][truth[1 + D * i : 1 + D * (i + 1)] != 0].mean() for i in range(4)]
        )
    coverage = np.mean(inside, axis=0)  # errors of the curve are common to all targets of a seed
    assert 0.87 < coverage.mean() < 0.94
    assert (coverage > 0.8).all()


def test_small_differences_are_no_targets_where_effects_are_large():
    """Effects of 2 to 4: what is at 0.5 with an error of 0.2 is not given a probability in between."""
    rng = np.random.default_rng(0)
    D, G = 30, 10
    dose = np.concatenate([np.zeros((1, D)), *[x * np.eye(D) for x in (1.0, 2.0)]])
    amplitude = np.where(rng.random((D, G)) < 0.1, rng.choice([-1, 1], (D, G)) * rng.uniform(2, 4, (D, G)), 0.0)
    truth = dose**2 / (0.5**2 + dose**2) @ amplitude
    residual, error = truth + 0.2 * rng.normal(size=truth.shape), np.full(truth.shape, 0.2**2)
    design, p = make_design(dose), np.full(G, 0.1)
    curves = fit_dose_curves(residual, error, truth != 0, design, p_target=p)
    out = fit_targets(residual, error, design, curves, p).of_drug.probability
    plain = fit_targets(
        residual, error, design, Curves(curves.ec50, curves.slope, curves.effect_sd, 0.0), p
    ).of_drug.probability
    between = [((x > 0.05) & (x < 0.95)).sum() for x in (out, plain)]
    assert between[0] <= 1 < between[1]
    np.testing.assert_array_equal(out > 0.5, amplitude != 0)
