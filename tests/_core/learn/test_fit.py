import pickle

import numpy as np
import pytest

from scgim._core.design import Design
from scgim._core.learn.fit import Fit
from scgim._core.learn.fit_search import fit_search
from scgim._core.moments.moments import compute_moments


@pytest.fixture(scope="module")
def fit(study) -> Fit:
    return fit_search(study.moments(), study.design, genes=study.genes, rng=0)


def assert_equal(a, b) -> None:
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_equal(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_equal(x, y)
    else:
        np.testing.assert_array_equal(a, b)


def test_fit_survives_pickling_of_its_dict(fit):
    state = fit.to_dict()
    again = Fit.from_dict(pickle.loads(pickle.dumps(state)))
    assert_equal(again.to_dict(), state)
    assert again.genes == fit.genes


def plain(value) -> bool:
    if isinstance(value, dict):
        return all(isinstance(k, str) and plain(v) for k, v in value.items())
    if isinstance(value, list):
        return all(plain(v) for v in value)
    return isinstance(value, (str, int, float, bool, np.ndarray))


def test_state_of_a_fit_holds_plain_values_only(fit):
    assert plain(fit.to_dict())


def test_from_dict_leaves_its_argument_alone(fit):
    state = fit.to_dict()
    Fit.from_dict(state)
    assert isinstance(state["mechanisms"], dict)
    assert isinstance(state["genes"], list)


def test_effects_of_single_drugs_follow_the_curve(fit):
    dose = np.zeros((3, 5))
    dose[:, 2] = (0.0, 0.8, 1e9)
    probability, effect, sd = fit.effects_at(dose)
    np.testing.assert_array_equal(probability[0], 0)
    np.testing.assert_allclose(probability[1], fit.probability[2])
    fraction = 0.8 ** fit.hill[2] / (fit.ec50[2] ** fit.hill[2] + 0.8 ** fit.hill[2])
    np.testing.assert_allclose(effect[1], fraction * fit.amplitude[2], rtol=1e-9)
    assert (sd[1] > 0).all()
    np.testing.assert_allclose(effect[2], fit.amplitude[2], rtol=1e-6)
    np.testing.assert_allclose(sd[2], fit.amplitude_sd[2], rtol=1e-6)
    fixed = Fit.from_dict({**fit.to_dict(), "curve_axes": None})
    np.testing.assert_allclose(fixed.effects_at(dose)[2][1], fraction * fit.amplitude_sd[2], rtol=1e-9)


def test_effects_at_fitted_doses_are_as_certain_as_those_of_the_contexts(fit, study):
    """Without deviations from the curve, both are the same posterior."""
    assert fit.settings["curve_deviation_sd"] == 0
    _, effect, sd = fit.effects_at(study.design.dose[1:])
    on = fit.context_probability[1:] > 0.9
    np.testing.assert_allclose(effect[on], fit.context_effect[1:][on], rtol=1e-6)
    np.testing.assert_allclose(sd[on], fit.context_effect_sd[1:][on], rtol=0.05)


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
    drug, gene = np.argwhere((study.effect != 0) & (found.probability > 0.9))[0]
    effect, variance = found.effect_of(drug, np.array([0.1, 0.5, 1.0, 2.0, 10.0]))
    relative = np.sqrt(variance[:, gene]) / np.abs(effect[:, gene])
    assert relative[2] < 0.3
    assert relative[0] > relative[1] > relative[2] < relative[3] < relative[4]


def test_effects_of_combinations_superpose(fit):
    both = np.zeros((1, 5))
    both[0, [0, 3]] = 1.0
    single = np.zeros((2, 5))
    single[0, 0], single[1, 3] = 1.0, 1.0
    p, effect, _ = fit.effects_at(both)
    p1, effect1, _ = fit.effects_at(single)
    np.testing.assert_allclose(p[0], 1 - np.prod(1 - p1, axis=0))
    np.testing.assert_allclose(p[0] * effect[0], (p1 * effect1).sum(axis=0))


def test_atomic_of_each_kind(fit):
    effect = np.array([[0.0, 1.0, 0, -2.0, 0, 0]])
    np.testing.assert_array_equal(fit.atomic(effect).shift, effect)
    for kind, name in (("hard", "value"), ("activity", "activity")):
        other = Fit.from_dict({**fit.to_dict(), "intervention": kind}).atomic(effect)
        np.testing.assert_array_equal(other.shift, 0)
        np.testing.assert_array_equal(getattr(other, name), effect)
    hard = Fit.from_dict({**fit.to_dict(), "intervention": "hard"}).atomic(effect)
    np.testing.assert_array_equal(hard.hard, effect != 0)
