"""FeatureModel: recovery, fall-back, contracts, round trip."""

import json
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from scgim._core.effects import Effects
from scgim._core.features import FeatureModel
from scgim._core.features.backward import Beliefs
from scgim._core.features.model import corrected
from scgim._core.state import pack, unpack


@pytest.fixture(scope="module", params=["drug", "context"])
def fitted(request, world):
    w = world(rows_are=request.param)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return w, FeatureModel.fit(w.fit, w.design, w.features, rng=1)


def test_targets_and_effects_of_new_drugs_are_read_from_features(fitted):
    """Targets and effects of drugs never seen are read from their features, at each dose."""
    w, model = fitted
    probability, effect, sd = model.decode(w.new_features, w.new_dose, w.new_drug)
    called, true = probability > 0.5, w.new_shift != 0
    assert 2 * (called & true).sum() / (called.sum() + true.sum()) > 0.9
    error = np.linalg.norm(probability * effect - w.new_shift, axis=1).mean()
    assert error < 0.2 * np.linalg.norm(w.new_shift, axis=1).mean()
    both = called & true
    assert np.mean(np.abs(effect - w.new_shift)[both] < 2.5 * sd[both]) > 0.85
    assert model.informative
    assert model.score["backward"] < model.score["control"]
    assert model.warning is None


def test_no_effect_is_less_certain_than_if_nothing_was_read(fitted):
    """Calibration widens effects up to the spread of all effects."""
    w, model = fitted
    narrow, wide = (
        replace(model, sd_factor=f).decode_drugs(w.new_features, w.new_dose, w.new_drug)[0] for f in (1.0, 1e3)
    )
    usual = np.maximum(narrow.sd, model.prior.second_moment**0.5)
    np.testing.assert_allclose(wide.sd, np.minimum(1e3 * narrow.sd, usual))


def test_rows_of_a_drug_share_targets(fitted):
    """One drug has one set of targets, and its effects follow the shared dose curve."""
    w, model = fitted
    probability, effect, _ = model.decode(w.new_features, w.new_dose, w.new_drug)
    for d in np.unique(w.new_drug):
        rows = np.flatnonzero(w.new_drug == d)
        np.testing.assert_array_equal(probability[rows], probability[rows[:1]].repeat(len(rows), 0))
        ratio = effect[rows[0]] / effect[rows[-1]]
        np.testing.assert_allclose(ratio, ratio[0])


def test_order_of_rows_and_names_of_labels_do_not_matter(fitted):
    """The order of rows and the labels' names do not matter."""
    w, model = fitted
    order = np.random.default_rng(0).permutation(len(w.new_drug))
    labels = np.array([f"drug {9 - d}" for d in w.new_drug])
    first = model.decode(w.new_features, w.new_dose, w.new_drug)
    second = model.decode(w.new_features[order], w.new_dose[order], labels[order])
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a[order], b, atol=1e-5)


def test_model_survives_being_stored(fitted):
    w, model = fitted
    tree, arrays = pack(model)
    again = unpack(json.loads(json.dumps(tree, allow_nan=False)), arrays)
    first, second = (m.decode(w.new_features, w.new_dose, w.new_drug) for m in (model, again))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_features_without_noise_correct_effects_of_known_drugs(fitted):
    """Features without noise correct the fitted effects of the training drugs."""
    w, model = fitted
    on = w.known != 0
    before, after = (np.abs(a - w.known)[on].mean() for a in (w.fit.of_drug.mean, model.known.mean))
    assert after < 0.9 * before


@pytest.mark.parametrize("n_apart", [0, 2, 3])
def test_features_do_not_correct_drugs_whose_cells_they_contradict(n_apart):
    """Nor any drug where these are more than a tenth, as under wrong mechanisms."""
    cells = Beliefs(np.tile([0.9, 0.9, 0.01], (20, 1)), np.full((20, 3), 2.0), np.full((20, 3), 0.01))
    moved = np.where(np.arange(20) < n_apart, 0.4, 0.1)[:, None]
    found = corrected(cells, replace(cells, mean=cells.mean + moved))
    if n_apart > 2:
        assert found is None
    else:
        np.testing.assert_array_equal(found.mean, np.broadcast_to(2.0 + np.where(moved > 0.1, 0, moved), (20, 3)))


def test_without_a_dose_there_is_no_effect(fitted):
    """No dose, no effect."""
    w, model = fitted
    probability, effect, sd = model.decode(w.new_features[:1], np.zeros(1), np.zeros(1))
    assert not probability.any()
    assert not effect.any()
    assert not sd.any()


@pytest.mark.parametrize("rows_are", ["drug", "context"])
def test_features_without_information_leave_the_population_and_a_warning(world, rows_are):
    """Features without information leave the population's intervention, and a warning."""
    w = world(3, rows_are=rows_are, informative=False)
    with pytest.warns(UserWarning, match="do not predict the interventions"):
        model = FeatureModel.fit(w.fit, w.design, w.features)
    assert not model.informative
    probability, effect, sd = model.decode(w.new_features, w.new_dose, w.new_drug)
    error = np.linalg.norm(probability * effect - w.new_shift, axis=1).mean()
    train = (w.fit.of_drug.probability * w.fit.of_drug.mean).mean(0)
    control, mean = (np.linalg.norm(w.new_shift - x, axis=1).mean() for x in (0, train))
    assert error <= 1.02 * min(control, mean)
    assert np.ptp(probability, axis=0).max() == 0
    assert (sd > 0).all()


def test_without_features_there_is_the_population_and_no_warning(world):
    """No features: the population, without a warning."""
    w = world(n_drugs=6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = FeatureModel.fit(w.fit, w.design, None)
    posterior, position = model.decode_drugs(None, drug=np.array(["b", "a", "b"]))
    assert posterior.probability.shape == (2, 10)
    assert position.tolist() == [0, 1, 0]


@pytest.mark.parametrize("n_drugs", [1, 3, 6])
def test_few_drugs_do_not_fail(world, n_drugs):
    """Few drugs do not fail."""
    w = world(n_drugs=n_drugs)
    model = FeatureModel.fit(w.fit, w.design, w.features, warn=False)
    for x in model.decode(w.new_features, w.new_dose, w.new_drug):
        assert np.isfinite(x).all()


def test_counts_and_constant_columns(world):
    """Fingerprints: bits that tell the targets, with constant columns, without doses."""
    w = world(2)
    rng = np.random.default_rng(0)
    codes = rng.random((10, 40)) < 0.3
    bits, new_bits = (
        np.c_[((x != 0).astype(float) @ codes > 0).astype(float), np.ones(len(x))] for x in (w.known, w.new_effect)
    )
    design = SimpleNamespace(dose=np.r_[np.zeros((1, 30)), np.eye(30)], has_dose=False)
    model = FeatureModel.fit(w.fit, design, bits, rng=0)
    posterior, _ = model.decode_drugs(new_bits)
    assert model.informative
    top = posterior.probability.argmax(1)
    assert np.mean(w.new_effect[np.arange(10), top] != 0) > 0.6


def test_wrong_shapes_and_values_of_features_are_refused(world):
    """Shapes and values are checked."""
    w = world(n_drugs=10, n_genes=6)
    with pytest.raises(ValueError, match="features: expected 10 rows"):
        FeatureModel.fit(w.fit, w.design, w.features[:-1])
    broken = w.features.copy()
    broken[0, 0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        FeatureModel.fit(w.fit, w.design, broken)
    model = FeatureModel.fit(w.fit, w.design, w.features)
    with pytest.raises(ValueError, match=r"shape \(n, 8\)"):
        model.decode(w.new_features[:, :3], w.new_dose, w.new_drug)
    with pytest.raises(ValueError, match="features: needed"):
        model.decode(None, w.new_dose, w.new_drug)


def test_criterion_is_the_propagated_change(world):
    """The score is measured after propagation."""
    w = world(n_drugs=10, n_genes=6)
    one, two = (FeatureModel.fit(w.fit, w.design, w.features, propagate=lambda x, f=f: f * x) for f in (1, 2))
    assert two.score["control"] == pytest.approx(2 * one.score["control"])


def test_few_drugs_are_read_by_the_forward_map(world):
    """Ten drugs: most targets of new drugs are rare in training, but what the features share is not thrown away."""
    better = []
    for seed in range(2):
        w = world(seed, n_drugs=10, n_features=8, n_genes=12, rows_are="context")
        model = FeatureModel.fit(w.fit, w.design, w.features, rng=0)
        probability, effect, _ = model.decode(w.new_features, w.new_dose, w.new_drug)
        error = np.linalg.norm(probability * effect - w.new_shift, axis=1).mean()
        better.append(error / np.linalg.norm(w.new_shift, axis=1).mean())
        assert model.informative
    assert np.mean(better) < 0.8


def test_average_of_drugs_must_be_clearly_right(world):
    """Without features, effects of both signs leave no change as the best guess."""
    w = world(2)
    assert FeatureModel.fit(w.fit, w.design, None, rng=0).choice.shrink == 0
    of = w.fit.of_drug
    probability = np.broadcast_to(np.where(np.arange(of.shape[1]) < 2, 1 - 1e-6, 1e-4), of.shape)
    four = Effects(probability, np.full(of.shape, 4.0), of.sd)
    same = SimpleNamespace(of_drug=four, acting=four, curves=w.fit.curves)
    assert FeatureModel.fit(same, w.design, None, rng=0).choice.shrink == 1
