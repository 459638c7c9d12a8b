"""Dose curves: their axes and units, and what is learned where doses are few."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from scgim._core.design import Design
from scgim._core.posterior.effects.curves import UNKNOWN_CURVE, Curves, DoseCurves, fit_dose_curves
from scgim._core.posterior.effects.hill import Pair, fit_curves, hill
from scgim._core.posterior.effects.slab import learn_hidden_slab

AXES = np.array([[[0.3, 0.1], [0.2, 0.0]], [[-0.1, 0.2], [0.0, 0.4]]])  # (2, D, 2)
KEPT = DoseCurves(np.array([0.75, 1.5]), np.array([2.0, 1.0]), AXES, np.array([0.1, 0.4]))


def design_of(dose, *, has_dose: bool = True) -> Design:
    dose = np.asarray(dose, dtype=float)
    drugs = tuple(f"drug {d}" for d in range(dose.shape[1]))
    return Design(drugs, dose, np.zeros(len(dose), int), ("all",), np.full(len(dose), 50), has_dose)


def test_ends_are_one_standard_deviation_along_each_axis():
    dose = np.array([0.5, 2.0])
    for (up, down), (ec50, slope) in zip(KEPT.ends(1, dose), AXES[:, 1], strict=True):
        np.testing.assert_allclose(up, hill(dose, 1.5 * np.exp(ec50), np.exp(slope)))
        np.testing.assert_allclose(down, hill(dose, 1.5 * np.exp(-ec50), np.exp(-slope)))
    np.testing.assert_allclose(KEPT.fraction(0, dose), hill(dose, 0.75, 2.0))


def test_curves_move_along_their_axes():
    curves = Curves(KEPT.ec50, KEPT.hill, 1.5, 0.3, axes=AXES)
    moved = curves.moved(1, -2.0)
    np.testing.assert_allclose(np.log(moved.ec50 / KEPT.ec50), -2 * AXES[1, :, 0])
    np.testing.assert_allclose(np.log(moved.slope / KEPT.hill), -2 * AXES[1, :, 1])
    unknown = Curves(KEPT.ec50, KEPT.hill, 1.5, 0.3)
    np.testing.assert_array_equal(unknown.moved(0, 1.0).ec50, KEPT.ec50)
    np.testing.assert_array_equal(unknown.kept(3).axes, np.zeros((2, 2, 2)))
    np.testing.assert_array_equal(curves.kept(3).deviation_sd, [0.3, 0.3, 0.3])
    np.testing.assert_array_equal(DoseCurves.known(KEPT.ec50, KEPT.hill, 3).axes, np.zeros((2, 2, 2)))
    np.testing.assert_array_equal(unknown.components(), [[1.0, 0.0, 1.5**2]])


def test_units_scale_what_is_left_around_the_curve():
    scaled = KEPT.scale(np.array([2.0, 10.0]))
    np.testing.assert_allclose(scaled.deviation_sd, [0.2, 4.0])
    np.testing.assert_array_equal(scaled.axes, AXES)


def deviation_by_densities(residual, variance, effect_sd: float, fraction: float) -> float:
    """The one of five that makes contexts of one drug and dose most likely, by dense Gaussians."""

    def density(k: float) -> float:
        own = np.diag(np.full(len(residual), variance + (k * effect_sd * fraction) ** 2))
        return multivariate_normal(np.zeros(len(residual)), own + (effect_sd * fraction) ** 2).logpdf(residual)

    return effect_sd * max((0.0, 0.05, 0.1, 0.2, 0.4), key=density)


TWICE = np.array([[0.0, 0.0], [2.0, 0.0], [2.3, 0.0], [0.0, 1.0]])  # residual means; one drug in two contexts
TWICE_SD = np.sqrt((4 + 2.3**2 + 1) / 3)


def test_one_dose_is_half_the_full_effect_and_its_curve_unknown():
    """Effects of twice the size that is seen; contexts of one drug tell how far they scatter around a curve."""
    design = design_of([[0, 0], [4, 0], [4, 0], [0, 4]])
    found = fit_dose_curves(TWICE, np.full((4, 2), 1e-3), TWICE != 0, design)
    assert found.effect_sd == pytest.approx(2 * TWICE_SD)
    np.testing.assert_array_equal(found.axes, np.repeat(UNKNOWN_CURVE[:, None], 2, axis=1))
    assert found.deviation_sd == pytest.approx(deviation_by_densities(TWICE[1:3, 0], 1e-3, 2 * TWICE_SD, 0.5))
    assert found.deviation_sd == pytest.approx(0.1 * 2 * TWICE_SD)
    most = fit_dose_curves(TWICE, np.full((4, 2), 1e-3), TWICE != 0, design, one_dose=(1 / 3, 2.0))  # nine tenths
    assert most.effect_sd == pytest.approx(TWICE_SD / 0.9) and most.deviation_sd == pytest.approx(0.1 * most.effect_sd)
    none = fit_dose_curves(TWICE[:1], np.ones((1, 2)), TWICE[:1] != 0, design_of([[0, 0]]))
    assert (none.effect_sd, none.deviation_sd) == (1.0, 0.0)


@pytest.mark.parametrize("unit", [1.0, 0.1, 0.01])
def test_without_doses_the_whole_effect_is_seen(unit):
    """Effects are taken to be a tenth of a standard deviation at the least."""
    design = design_of([[0, 0], [1, 0], [1, 0], [0, 1]], has_dose=False)
    found = fit_dose_curves(unit * TWICE, np.full((4, 2), 1e-3 * unit**2), TWICE != 0, design)
    sd = max(unit * TWICE_SD, 0.1)
    assert found.effect_sd == pytest.approx(sd)
    deviation = deviation_by_densities(unit * TWICE[1:3, 0], 1e-3 * unit**2, sd, 1.0)
    assert found.deviation_sd == pytest.approx(deviation)
    np.testing.assert_array_equal(found.ec50, 0)


def test_one_large_effect_makes_room_for_itself(rng):
    """The prior variance of effects is the mean of the largest squares of each target, or a twentieth of the largest."""
    dose = np.concatenate([np.zeros((1, 1)), [[0.5], [1.0], [2.0]]])
    residual = np.zeros((4, 30))
    residual[1:] = hill(dose[1:], 0.75, 2.0) * 0.2
    residual[1:, 0] *= 50.0
    error = np.full((4, 30), 0.01)
    found = fit_dose_curves(residual, error, residual != 0, design_of(dose))
    assert found.effect_sd == pytest.approx(np.sqrt(0.05) * residual[3, 0])
    fewer = residual[:, :4]
    found = fit_dose_curves(fewer, error[:, :4], fewer != 0, design_of(dose))
    slab2 = (fewer[3] ** 2).mean()
    assert found.effect_sd == pytest.approx(np.sqrt(slab2))
    pairs = [Pair(0, dose[1:, 0], fewer[1:, j], error[1:, j]) for j in range(4)]
    fits = {k: fit_curves(pairs, 1, slab2, slab2 * k**2) for k in (0.0, 0.05, 0.1, 0.2, 0.4)}
    k = max(fits, key=lambda one: fits[one].evidence)
    assert found.deviation_sd == pytest.approx(k * np.sqrt(slab2))
    np.testing.assert_allclose(found.ec50, fits[k].ec50)


def test_distribution_of_effects_is_learned_from_weighted_sums(rng):
    """Each drug counts with its least squares over doses, deviations from the curve among the errors."""
    dose = np.array([[0.0, 0.0], [0.5, 0.0], [2.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
    design, p = design_of(dose), np.full(40, 0.3)
    amplitude = np.where(rng.random((2, 40)) < 0.3, 3.0, 0.0)
    residual = hill(dose, 0.8, 2.0) @ amplitude + 0.2 * rng.normal(size=(6, 40))
    error = rng.uniform(0.02, 0.06, (6, 40))
    on = np.zeros((6, 40), bool)
    on[1:4], on[4:] = amplitude[0] != 0, amplitude[1] != 0
    curves = fit_dose_curves(residual, error, on, design, p_target=p)
    estimate, variance = np.zeros((2, 2, 40))
    for d in range(2):
        rows = np.flatnonzero(dose[:, d])
        h = curves.fraction(dose)[rows, d][:, None]
        e = error[rows] + (curves.deviation_sd * h) ** 2
        variance[d] = 1 / (h**2 / e).sum(axis=0)
        estimate[d] = variance[d] * (h * residual[rows] / e).sum(axis=0)
    np.testing.assert_allclose(curves.slab, learn_hidden_slab(estimate, variance, p, curves.effect_sd**2))
    assert len(curves.slab) == 3
    few = fit_dose_curves(residual[:, :3], error[:, :3], on[:, :3], design, p_target=p[:3] / 10)
    np.testing.assert_allclose(few.slab, [[1.0, 0.0, few.effect_sd**2]])


def test_two_levels_are_enough_to_differ():
    """Without doses; the variance of effects at one level is that of the mean and that between levels together."""
    dose, level = np.tile(np.eye(6), (2, 1)), np.repeat([0, 1], 6)
    names = tuple(f"drug {d}" for d in range(6))
    design = Design(names, dose, level, ("x", "y"), np.full(12, 50), has_dose=False, level=level)
    effect = np.array([2.0, -3.0, 2.5, 3.0, -2.0, 1.5])
    residual = np.diag(effect)[np.tile(np.arange(6), 2)] * np.where(level == 0, 1.2, 0.8)[:, None]
    found = fit_dose_curves(residual, np.full((12, 6), 0.01), residual != 0, design)
    assert 0.2 < found.between_sd < 1.0
    total = np.sqrt((residual[residual != 0] ** 2).mean())
    assert np.hypot(found.effect_sd, found.between_sd) == pytest.approx(total)
    alike = fit_dose_curves(np.vstack([residual[:6]] * 2), np.full((12, 6), 0.01), residual != 0, design)
    assert alike.between_sd == 0
