"""Effects of targets against dense Gaussians."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from scgim._core.design import Design
from scgim._core.posterior.effects.curves import Curves, fit_dose_curves
from scgim._core.posterior.effects.slab import gap_slab
from scgim._core.posterior.effects.targets import fit_targets

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


@pytest.mark.parametrize("deviation", [0.0, 0.3])
def test_offsets_of_plates_are_integrated_out(rng, deviation):
    """All contexts of a drug in a group share one: what is said of effects is what a dense Gaussian says."""
    dose = np.array([[0], [0.5], [1], [2], [0.5], [1], [2], [4]], float)
    group = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    design = Design(("drug",), dose, group, ("a", "b"), np.full(8, 50))
    curves = Curves(np.array([0.75]), np.array([2.0]), 1.5, deviation)
    residual, error = rng.normal(size=(8, 3)), rng.uniform(0.05, 0.4, (8, 3))
    offset2 = np.where(dose > 0, [0.1, 0.8, 20.0], 0.0)
    out = fit_targets(residual, error, design, curves, np.zeros((1, 3)), offset2=offset2)
    rows = np.arange(1, 8)
    h, alike = curves.fraction(dose)[rows, 0], group[rows, None] == group[rows]
    prior = curves.effect_sd**2 * np.outer(h, h) + deviation**2 * np.diag(h**2)
    for j in range(3):
        gain = prior @ np.linalg.inv(prior + np.diag(error[rows, j]) + offset2[1, j] * alike)
        np.testing.assert_allclose(out.of_context.mean[rows, j], gain @ residual[rows, j], atol=1e-9)
        sd = np.sqrt(np.diag(prior - gain @ prior))
        np.testing.assert_allclose(out.of_context.sd[rows, j], sd, atol=1e-7)


def test_single_drugs_equal_dense_gaussians(rng):
    K, G = 6, 4
    residual, error = rng.normal(size=(K, G)), rng.uniform(0.05, 0.4, (K, G))
    odds = rng.normal(size=(2, G))
    out = fit_targets(residual, error, SINGLE, CURVES, odds)
    np.testing.assert_allclose(out.of_drug.probability, 1 / (1 + np.exp(-odds)))
    slab2, dev2 = CURVES.effect_sd**2, CURVES.deviation_sd**2
    for d in range(2):
        rows = np.flatnonzero(SINGLE.dose[:, d])
        h = CURVES.fraction(SINGLE.dose)[rows, d]
        prior = slab2 * np.outer(h, h) + dev2 * np.diag(h**2)
        for j in range(G):
            r, e = residual[rows, j], error[rows, j]
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


def test_effects_of_combined_drugs_add_up():
    """Against the dense Gaussian of all contexts, with targets that are known."""
    rng = np.random.default_rng(3)
    dose = np.array([[1, 0, 0], [2, 0, 0], [0, 1, 0], [0, 2, 0], [1, 1, 0], [2, 1, 0], [0, 1, 1], [1, 0, 1]], float)
    design, curves = make_design(dose), Curves(np.full(3, 0.75), np.full(3, 2.0), 2.0, 0.0)
    h = curves.fraction(dose)
    for on in product((0.0, 1.0), repeat=3):
        r = (h @ (np.array([2.5, -2.0, 3.0]) * on))[:, None] + 0.2 * rng.normal(size=(8, 1))
        odds = np.where(np.array(on) > 0, 30.0, -30.0)[:, None]
        out = fit_targets(r, np.full((8, 1), 0.04), design, curves, odds, n_sweeps=200)
        loading = h * on
        cov = curves.effect_sd**2 * loading @ loading.T
        expected = cov @ np.linalg.solve(cov + 0.04 * np.eye(8), r[:, 0])
        np.testing.assert_allclose((out.of_context.probability * out.of_context.mean)[:, 0], expected, atol=2e-2)


def test_errors_that_contexts_share_widen_every_effect(rng):
    residual, error, odds = rng.normal(size=(6, 3)), np.full((6, 3), 0.2), np.zeros((2, 3))
    plain = fit_targets(residual, error, SINGLE, CURVES, odds)
    wide = fit_targets(residual, error, SINGLE, CURVES, odds, shared=np.full((2, 1, 3), 0.5))
    np.testing.assert_array_equal(wide.of_drug.mean, plain.of_drug.mean)
    np.testing.assert_allclose(wide.of_drug.sd**2, plain.of_drug.sd**2 + 0.5)
    h = CURVES.fraction(SINGLE.dose)[1:4, :1]
    np.testing.assert_allclose(wide.of_context.sd[1:4] ** 2, plain.of_context.sd[1:4] ** 2 + 0.5 * h**2)


def test_drugs_of_one_context_and_of_none_err_by_what_is_shared(rng):
    design = make_design([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 3, 0]])
    curves = Curves(np.full(3, 0.75), np.full(3, 2.0), 1.5, 0.3)
    given = rng.normal(size=(4, 2)), np.full((4, 2), 0.2), design, curves, np.zeros((3, 2))
    plain, wide = fit_targets(*given), fit_targets(*given, shared=np.full((3, 1, 2), 0.5))
    np.testing.assert_allclose(wide.of_drug.sd[:2] ** 2, plain.of_drug.sd[:2] ** 2 + 0.5)
    np.testing.assert_array_equal(wide.of_drug.sd[2], curves.effect_sd)  # the prior


def test_context_probability_is_that_any_drug_targets(rng):
    design = make_design([[1, 0], [0, 1], [1, 1]])
    out = fit_targets(rng.normal(size=(3, 5)), np.full((3, 5), 0.3), design, CURVES, rng.normal(size=(2, 5)))
    p = out.of_drug.probability
    np.testing.assert_allclose(out.of_context.probability[2], 1 - (1 - p[0]) * (1 - p[1]))


def test_values_of_hit_genes_equal_dense_gaussians(rng):
    value, error = rng.normal(2, 1, (6, 3)), rng.uniform(0.05, 0.4, (6, 3))
    odds = rng.normal(size=(2, 3))
    out = fit_targets(value, error, SINGLE, CURVES, odds, superpose=False)
    np.testing.assert_allclose(out.of_drug.probability, 1 / (1 + np.exp(-odds)))
    rows = [1, 2, 3]
    h = CURVES.fraction(SINGLE.dose)[rows, 0]
    prior = CURVES.effect_sd**2 * np.outer(h, h) + CURVES.deviation_sd**2 * np.diag(h**2)
    mean, _ = joint(prior, error[rows, 1], value[rows, 1])
    np.testing.assert_allclose(out.of_context.mean[rows, 1], mean, atol=1e-9)


def test_values_are_read_where_a_drug_is_alone_and_combinations_have_their_mean(rng):
    design = make_design([[0, 0], [1, 0], [0, 1], [1, 1]], has_dose=False)
    value, error = np.array([[0.0, 0.0], [3.0, 2.0], [-3.0, 0.0], [0.5, 2.0]]), np.full((4, 2), 1e-4)
    odds = np.array([[30.0, 30.0], [30.0, -30.0]])
    curves = Curves(np.zeros(2), np.ones(2), 5.0, 0.0)
    out = fit_targets(value, error, design, curves, odds, superpose=False)
    np.testing.assert_allclose(out.of_drug.mean[:, 0], [3, -3], atol=1e-3)
    np.testing.assert_allclose(out.of_context.mean[3], [0.5, 2], atol=1e-3)
    together = fit_targets(
        value[[0, 3]], error[[0, 3]], make_design([[0, 0], [1, 1]], has_dose=False), curves, odds, superpose=False
    )
    np.testing.assert_allclose(together.of_context.mean[1], [0.5, 2], atol=1e-3)  # never alone: the value that is there


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
    out = fit_targets(residual, error, SINGLE, curves, np.zeros((2, 3)))
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
        out = fit_targets(residual, error, design, curves, np.where(amplitude != 0, 30.0, -30.0))
        near = np.abs(out.of_context.mean - truth) <= 1.645 * out.of_context.sd
        inside.append(
            [near[1 + D * i : 1 + D * (i + 1)][truth[1 + D * i : 1 + D * (i + 1)] != 0].mean() for i in range(4)]
        )
    coverage = np.mean(inside, axis=0)  # errors of the curve are common to all targets of a seed
    assert 0.87 < coverage.mean() < 0.94
    assert (coverage > 0.8).all()
