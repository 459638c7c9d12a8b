"""Effects that differ between levels of a covariate, against dense Gaussians."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from scgim._core.design import Design
from scgim._core.posterior.effects.curves import Curves, fit_dose_curves
from scgim._core.posterior.effects.levels import learn_between, level_blocks, level_sums, pool_levels
from scgim._core.posterior.effects.targets import fit_targets

DOSE = np.array([[0, 0], [0, 0], [0.5, 0], [1, 0], [2, 0], [0.5, 0], [2, 0], [0, 1], [0, 3]], float)
LEVEL = np.array([0, 1, 0, 0, 0, 1, 1, 2, 2])
DESIGN = Design(("a", "b"), DOSE, LEVEL, ("x", "y", "z"), np.full(9, 50), level=LEVEL)
CURVES = Curves(np.array([0.75, 1.5]), np.array([2.0, 1.0]), 1.5, 0.3, between_sd=0.8)


def dense(d: int, r: np.ndarray, e: np.ndarray, curves: Curves, n_levels: int = 3) -> tuple[np.ndarray, ...]:
    """Log density of the residuals, and mean and covariance of (levels' amplitudes, mean amplitude, effects), by conditioning."""
    rows = np.flatnonzero(DOSE[:, d])
    h, level, L = curves.fraction(DOSE)[rows, d], LEVEL[rows], len(rows)
    slab2, between2, dev2 = curves.effect_sd**2, curves.between_sd**2, curves.deviation_sd**2
    amplitudes = np.full((n_levels + 1, n_levels + 1), slab2)
    amplitudes[:n_levels, :n_levels] += between2 * np.eye(n_levels)
    read = np.zeros((L, n_levels + 1))
    read[np.arange(L), level] = h
    cross = np.hstack([read @ amplitudes, read @ amplitudes @ read.T + dev2 * np.diag(h**2)])  # effects with everything
    effects = cross[:, n_levels + 1 :]
    prior = np.block([[amplitudes, cross[:, : n_levels + 1].T], [cross[:, : n_levels + 1], effects]])
    total = effects + np.diag(e)
    gain = cross.T @ np.linalg.inv(total)
    return multivariate_normal(np.zeros(L), total).logpdf(r), gain @ r, prior - gain @ cross


@pytest.mark.parametrize("between", [0.0, 0.3, 2.0])
def test_posterior_equals_dense_gaussians(rng, between):
    curves, G = replace(CURVES, between_sd=between), 3
    residual, error, p = rng.normal(size=(9, G)), rng.uniform(0.05, 0.4, (9, G)), np.zeros((2, G))
    out = fit_targets(residual, error, DESIGN, curves, p)
    for d in range(2):
        rows = np.flatnonzero(DOSE[:, d])
        for j in range(G):
            r, e = residual[rows, j], error[rows, j]
            _, mean, cov = dense(d, r, e, curves)
            sd = np.sqrt(np.diag(cov))
            np.testing.assert_allclose(out.at_level.mean[d, :, j], mean[:3], rtol=1e-8)
            np.testing.assert_allclose(out.at_level.sd[d, :, j], sd[:3], rtol=1e-6)
            assert (out.of_drug.mean[d, j], out.of_drug.sd[d, j]) == pytest.approx((mean[3], sd[3]), rel=1e-6)
            np.testing.assert_allclose(out.of_context.mean[rows, j], mean[4:], rtol=1e-8)
            np.testing.assert_allclose(out.of_context.sd[rows, j], sd[4:], rtol=1e-6)


def test_level_without_contexts_has_the_mean_known_less_well(rng):
    out = fit_targets(rng.normal(size=(9, 2)), np.full((9, 2), 0.1), DESIGN, CURVES, np.zeros((2, 2)))
    np.testing.assert_allclose(out.at_level.mean[0, 2], out.of_drug.mean[0])
    np.testing.assert_allclose(out.at_level.sd[0, 2], np.hypot(out.of_drug.sd[0], CURVES.between_sd))
    assert (out.at_level.sd[0, :2] < out.at_level.sd[0, 2]).all()


def test_levels_without_differences_are_the_shared_fit(rng):
    residual, error, p = rng.normal(size=(9, 4)), rng.uniform(0.05, 0.4, (9, 4)), rng.normal(size=(2, 4))
    axes = np.repeat(np.diag([0.3, 0.2])[:, None], 2, axis=1)
    curves = replace(CURVES, between_sd=0.0, axes=axes)
    shared = fit_targets(residual, error, replace(DESIGN, level=None), curves, p)
    out = fit_targets(residual, error, DESIGN, curves, p)
    assert shared.at_level.shape == (2, 1, 4)
    np.testing.assert_allclose(out.along_curve, shared.along_curve, rtol=1e-9, atol=1e-12)
    for name in ("probability", "mean", "sd"):
        for part in ("of_drug", "of_context"):
            found, expected = (getattr(getattr(x, part), name) for x in (out, shared))
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    for v in range(3):
        np.testing.assert_allclose(out.at_level.mean[:, v], shared.of_drug.mean, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(out.at_level.sd[:, v], shared.of_drug.sd, rtol=1e-9)
        np.testing.assert_allclose(out.level_along_curve[:, :, v], shared.along_curve, rtol=1e-6, atol=1e-9)


def test_values_of_hard_interventions_differ_too(rng):
    value, error = rng.normal(size=(9, 2)), np.full((9, 2), 0.1)
    out = fit_targets(value, error, DESIGN, CURVES, np.full((2, 2), 5.0), superpose=False)
    rows = np.flatnonzero(DOSE[:, 0])
    np.testing.assert_allclose(out.at_level.mean[0, :, 1], dense(0, value[rows, 1], error[rows, 1], CURVES)[1][:3])


def screen(
    rng, between: float, n_drugs: int = 12, n_levels: int = 4
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Design]:
    """Residual means of drugs with one target each, at four doses and all levels."""
    rows = [(d, v, x) for d in range(n_drugs) for v in range(n_levels) for x in (0.5, 1.0, 2.0, 4.0)]
    dose, level = np.zeros((len(rows), n_drugs)), np.array([v for _, v, _ in rows])
    residual, on = rng.normal(0, 0.2, (len(rows), 5)), np.zeros((len(rows), 5), bool)
    amplitude = rng.choice([-1, 1], (n_drugs, 1)) * rng.uniform(2, 5, (n_drugs, 1))
    amplitude = amplitude + between * rng.standard_normal((n_drugs, n_levels))
    for k, (d, v, x) in enumerate(rows):
        dose[k, d], on[k, d % 5] = x, True
        residual[k, d % 5] += amplitude[d, v] * x**2 / (1 + x**2)
    names = tuple(f"level {v}" for v in range(n_levels))
    design = Design(tuple(f"drug {d}" for d in range(n_drugs)), dose, level, names, np.full(len(rows), 50), level=level)
    return residual, np.full(residual.shape, 0.04), on, design


@pytest.mark.parametrize("between", [0.4, 1.0])
def test_differences_between_levels_are_learned(rng, between):
    residual, error, on, design = screen(rng, between)
    curves = fit_dose_curves(residual, error, on, design, p_target=np.full(5, 0.2))
    assert curves.between_sd == pytest.approx(between, rel=0.35)
    assert curves.ec50 == pytest.approx(1.0, rel=0.15)


def test_without_differences_curves_are_those_of_the_shared_fit(rng):
    found = []
    for _ in range(4):
        residual, error, on, design = screen(rng, 0.0)
        curves = fit_dose_curves(residual, error, on, design)
        found.append(curves.between_sd)
        if curves.between_sd == 0:
            shared = fit_dose_curves(residual, error, on, replace(design, level=None))
            np.testing.assert_array_equal(curves.ec50, shared.ec50)
            assert curves.effect_sd == shared.effect_sd
    assert min(found) == 0
    assert max(found) < 0.15


def test_evidence_of_differences_is_that_of_dense_gaussians(rng):
    """The best ratio maximises the density of all residuals, where the size of effects at one level is kept."""
    residual, error, on = rng.normal(size=(9, 2)), np.full((9, 2), 0.05), np.ones((9, 2), bool)
    total, flat = 1.7, replace(CURVES, between_sd=0.0, effect_sd=1.7)
    blocks = level_blocks(residual, error, on, DESIGN, flat.fraction(DOSE))
    found = learn_between(blocks, 3, total, flat.deviation_sd)

    def evidence(between: float) -> float:
        curves = replace(flat, between_sd=between, effect_sd=float(np.sqrt(total**2 - between**2)))
        rows = [np.flatnonzero(DOSE[:, d]) for d in range(2)]
        return sum(dense(d, residual[rows[d], j], error[rows[d], j], curves)[0] for d in range(2) for j in range(2))

    grid = np.linspace(0, 0.95 * total, 200)
    best = max(evidence(x) for x in grid)
    assert evidence(found) >= best - 1e-3


@pytest.mark.parametrize("between", [0.0, 0.8])
def test_sums_of_levels_hold_the_density_of_all_residuals(rng, between):
    curves, residual, error = (
        replace(CURVES, between_sd=between),
        rng.normal(size=(9, 2)),
        rng.uniform(0.05, 0.4, (9, 2)),
    )
    for d in range(2):
        rows = np.flatnonzero(DOSE[:, d])
        h = curves.fraction(DOSE)[rows, d]
        sums = level_sums(residual[rows].T, error[rows].T + (curves.deviation_sd * h) ** 2, h, LEVEL[rows], 3)
        weight, estimate, log = pool_levels(sums, between**2)
        spread = curves.effect_sd**2 + 1 / weight
        found = log - 0.5 * (np.log(weight * spread) + estimate**2 / spread) - 0.5 * len(rows) * np.log(2 * np.pi)
        np.testing.assert_allclose(found, [dense(d, residual[rows, j], error[rows, j], curves)[0] for j in range(2)])


def test_one_level_a_drug_tells_nothing_of_differences(rng):
    residual, error, on, design = screen(rng, 1.0, n_levels=1)
    level = np.asarray(design.dose).argmax(axis=1) % 2  # every drug at a level of its own
    blocks = level_blocks(residual, error, on, replace(design, level=level), np.asarray(design.dose) / 4)
    assert learn_between(blocks, 2, 1.0, 0.0) == 0
