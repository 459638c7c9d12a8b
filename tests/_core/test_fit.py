"""The result of a fit: effects along curves, kinds, units, storage."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest

from scgim._core.design import Design
from scgim._core.effects import Effects, KindFit
from scgim._core.fit import Fit
from scgim._core.learn.fit_search import fit_search
from scgim._core.moments.moments import compute_moments
from scgim._core.state import pack, unpack


@pytest.fixture(scope="module")
def fit(study) -> Fit:
    return fit_search(study.moments(), study.design, genes=study.genes, rng=0)


def test_what_is_stored_is_json_and_arrays_and_comes_back(fit):
    tree, arrays = pack(fit)
    again = unpack(json.loads(json.dumps(tree, allow_nan=False)), arrays)
    assert isinstance(again, Fit)
    np.testing.assert_equal(pack(again), (tree, arrays))


def test_no_part_is_optional(fit):
    assert len(fields(fit)) <= 14
    assert all(getattr(fit, field.name) is not None for field in fields(fit))


def test_effects_of_a_drug_follow_its_curve(fit):
    kind, curves = fit.kinds[0], fit.curves
    found = fit.effect_of(kind, 2, np.array([0.8, 1e9]))
    np.testing.assert_allclose(found.probability, np.tile(fit.of_drug.probability[2], (2, 1)))
    fraction = 0.8 ** curves.hill[2] / (curves.ec50[2] ** curves.hill[2] + 0.8 ** curves.hill[2])
    np.testing.assert_allclose(found.mean[0], fraction * fit.of_drug.mean[2], rtol=1e-9)
    assert (found.sd[0] > 0).all()
    np.testing.assert_allclose(found.mean[1], fit.of_drug.mean[2], rtol=1e-6)
    np.testing.assert_allclose(found.sd[1], fit.of_drug.sd[2], rtol=1e-6)
    fixed = replace(fit, curves=replace(curves, axes=np.zeros_like(curves.axes)))
    again = fixed.effect_of(kind, 2, np.array([0.8]))
    np.testing.assert_allclose(again.sd[0], fraction * fit.of_drug.sd[2], rtol=1e-9)


def test_effects_at_fitted_doses_are_as_certain_as_those_of_the_contexts(fit, study):
    """Without deviations from the curve, both are the same posterior."""
    assert fit.settings["curve_deviation_sd"] == 0
    kind = fit.kinds[0]
    for k in np.flatnonzero(study.design.single):
        d = int(study.design.present[k].argmax())
        found, on = fit.effect_of(kind, d, study.design.dose[[k], d]), fit.of_context.probability[k] > 0.9
        np.testing.assert_allclose(found.mean[0][on], fit.of_context.mean[k][on], rtol=1e-6)
        np.testing.assert_allclose(found.sd[0][on], fit.of_context.sd[k][on], rtol=0.05)


def test_one_dose_says_little_of_others(study):
    """Far from the one measured dose, effects are less certain."""
    kept = np.flatnonzero((study.design.dose == 0).all(axis=1) | (study.design.dose == 1).any(axis=1))
    place = np.full(len(study.design.dose), -1)
    place[kept] = np.arange(len(kept))
    cells = place[study.context] >= 0
    moments = compute_moments(lambda: iter([(study.cells[cells], place[study.context[cells]])]), len(kept))
    design = Design(
        study.design.drugs, study.design.dose[kept], study.design.group[kept], ("all",), study.design.n_cells[kept]
    )
    found = fit_search(moments, design, genes=study.genes, rng=0)
    drug, gene = np.argwhere((study.effect != 0) & (found.of_drug.probability > 0.9))[0]
    effect = found.effect_of(found.kinds[0], drug, np.array([0.1, 0.5, 1.0, 2.0, 10.0]))
    relative = effect.sd[:, gene] / np.abs(effect.mean[:, gene])
    assert relative[2] < 0.3
    assert relative[0] > relative[1] > relative[2] < relative[3] < relative[4]


def test_units_of_each_kind(fit):
    """Shifts and values are in units of the expression; changes of activity have none."""
    shift, scale = fit.kinds[0], np.arange(1.0, 7.0)
    both = replace(fit, kinds=(shift, replace(shift, kind="activity")))
    moved = both.to_expression(scale)
    np.testing.assert_allclose(moved.kind("shift").of_drug.mean, scale * shift.of_drug.mean)
    np.testing.assert_array_equal(moved.kind("activity").of_drug.mean, shift.of_drug.mean)
    np.testing.assert_allclose(moved.drift.context_sd, scale * fit.drift.context_sd)
    np.testing.assert_allclose(moved.curves.deviation_sd, scale * fit.curves.deviation_sd)


def test_tables_show_the_more_probable_of_two_kinds(fit):
    shift = fit.kinds[0]
    p = shift.of_drug.probability
    other = KindFit.shared(
        "activity", Effects(0.5 + 0.0 * p, 0.0 * p - 1.0, 0.0 * p), Effects.none(*shift.of_context.shape)
    )
    both = replace(fit, kinds=(shift, other))
    assert (both.kind_of_context == "shift").all()
    np.testing.assert_array_equal(both.of_drug.mean, np.where(p < 0.5, -1.0, shift.of_drug.mean))
    np.testing.assert_allclose(both.of_drug.probability, 1 - (1 - p) * 0.5)
    assert fit.kind("activity").of_drug.probability.sum() == 0
