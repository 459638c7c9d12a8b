"""Requests and predictions against closed forms, from a fit written by hand."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scgim._core.arrays import as_log_odds
from scgim._core.effects import Effects, KindFit
from scgim._core.fit import Fit, Graph
from scgim._core.kinds.abduct import abduct
from scgim._core.kinds.base import Moved
from scgim._core.kinds.cells import propagate
from scgim._core.mechanisms.additive import Mechanisms
from scgim._core.mechanisms.linear import Linear
from scgim._core.posterior.drift import Drift
from scgim._core.posterior.effects.curves import DoseCurves
from scgim._core.posterior.effects.levels import Levels
from scgim._core.posterior.odds import Support
from scgim._core.posterior.regulation.regulators import RegulatorFit
from scgim.model._prediction.cells import PredictedLayer
from scgim.model._prediction.predictor import Predictor
from scgim.model._prediction.request import make_request, read_new_features
from scgim.model._reading.cells import Adjustment
from scgim.model._reading.spec import make_spec
from scgim.model._study.contexts import derive_contexts
from scgim.model._study.features import Features
from scgim.model._study.study import Study

GENES = ["a", "b", "c"]
W = np.array([[0, 2.0, 0], [0, 0, -1.0], [0, 0, 0]])
BASELINE = np.array([[1.0, 0.0, 0.5], [3.0, 1.0, 0.5]])
SPEC = make_spec(
    perturbation_key=["d1", "d2"],
    control="ctrl",
    dose_key=["c1", "c2"],
    batch_key="batch",
    continuous_covariate_keys=["cycle"],
)


def rows(*values: tuple) -> pd.DataFrame:
    return pd.DataFrame(values, columns=["d1", "c1", "d2", "c2", "batch"][: len(values[0])])


def make_predictor(
    features: Features | None = None, feature_model: Any = None, intervention: str = "shift"
) -> Predictor:
    frame = rows(
        *[("ctrl", 0, "ctrl", 0, b) for b in "xxxy"],
        *[("A", 1.0, "ctrl", 0, "x")] * 2,
        *[("B", 2.0, "ctrl", 0, "y")] * 2,
    )
    contexts = derive_contexts(frame, SPEC)
    data = Study(SPEC, contexts.table, contexts.design, contexts.groups, features, GENES, [None] * 3, False)
    mechanisms = Mechanisms(
        mechanism=Linear(),
        order=np.arange(3),
        parents=[np.array([], int), np.array([0]), np.array([1])],
        coef=[np.zeros((0, 1)), np.array([[2.0]]), np.array([[-1.0]])],
        baseline=BASELINE,
        noise_sd=np.full(3, 0.5),
        loc=np.zeros(3),
        scale=np.ones(3),
        strength=W,
    )
    K = len(contexts.table)
    of_drug = Effects(np.array([[1.0, 0, 0], [0, 0.5, 0]]), np.array([[4.0, 0, 0], [0, 6.0, 0]]), np.zeros((2, 3)))
    of_context = Effects(np.zeros((K, 3)), np.zeros((K, 3)), np.ones((K, 3)))
    of_context.probability[2, 0], of_context.mean[2, 0] = 1.0, 1.75  # A at 1; its curve says 2
    of_context.probability[3, 1], of_context.mean[3, 1] = 0.5, 4.25  # B at 2; its curve says 4
    fit = Fit(
        genes=tuple(GENES),
        drugs=contexts.design.drugs,
        settings={"intervention": intervention},
        graph=Graph(W, (W != 0).astype(float)),
        mechanisms=mechanisms,
        kinds=(KindFit.shared(intervention, of_drug, of_context),),
        curves=DoseCurves.known(np.ones(2), np.ones(2), 3),
        drift=Drift.none(2, np.zeros(3)),
        levels=Levels(np.zeros(2, dtype=int), np.zeros(3)),
        history=[],
        support=Support.not_compared(as_log_odds(of_context.probability), np.ones(2, dtype=bool)),
        regulators=RegulatorFit.none(2, 3),
    )
    return Predictor(fit, data, feature_model)


ADJUSTMENT = Adjustment(np.array([10.0]), np.array([[1.0, 0.0, 0.0]]))


def closed_form(shift: list[float], group: int) -> np.ndarray:
    return np.linalg.solve(np.eye(3) - W.T, BASELINE[group] + np.array(shift))


@pytest.mark.parametrize(
    ("row", "shift", "group"),
    [
        (("ctrl", 0, "ctrl", 0, "y"), [0, 0, 0], 1),
        (("A", 1.0, "ctrl", 0, "x"), [1.75, 0, 0], 0),  # fitted
        (("A", 1.0, "ctrl", 0, "y"), [1.75, 0, 0], 1),  # fitted in the other batch
        (("ctrl", 0, "A", 3.0, "x"), [3, 0, 0], 0),  # new dose
        (("B", 1.0, "A", 3.0, "x"), [3, 1.5, 0], 0),  # new combination
    ],
)
def test_mean_is_the_closed_form(row: tuple, shift: list[float], group: int) -> None:
    predictor = make_predictor()
    request = make_request(rows(row), predictor.data, None)
    components = predictor.components(request, None)
    np.testing.assert_allclose(predictor.mean(request, components)[0], closed_form(shift, group))


def test_left_out_covariates_are_pooled() -> None:
    predictor = make_predictor()
    request = make_request(rows(("ctrl", 0.0, "ctrl", 0.0)), predictor.data, None)
    np.testing.assert_allclose(request.group, [[5 / 8, 3 / 8]])
    found = predictor.mean(request, predictor.components(request, None))[0]
    np.testing.assert_allclose(found, 5 / 8 * closed_form([0, 0, 0], 0) + 3 / 8 * closed_form([0, 0, 0], 1))


def test_cells_follow_the_posterior() -> None:
    """Mean and variance of drawn cells: half of them are hit by B, and every gene has its noise."""
    predictor = make_predictor()
    request = make_request(rows(("B", 1.0, "A", 3.0, "x")), predictor.data, None)
    blocks = list(predictor.sample(request, predictor.components(request, None), 40_000, np.random.default_rng(0)))
    x = np.concatenate([b[0] for b in blocks])
    np.testing.assert_allclose(x.mean(0), closed_form([3, 1.5, 0], 0), atol=0.05)
    inverse = np.linalg.inv(np.eye(3) - W)
    covariance = inverse.T @ np.diag([0.25, 0.25 + 0.25 * 3.0**2, 0.25]) @ inverse
    np.testing.assert_allclose(np.cov(x.T), covariance, atol=0.2)


def with_small_effects() -> Predictor:
    """Drug A moves gene b, which is not its target, by 1 at full effect; contexts differ by 0.3."""
    predictor = make_predictor()
    small, spread = np.array([[9.0, 1.0, 0], [0, 9.0, 0.4]]), np.full((2, 3), 0.2)  # 9: where p = 1 or 1/2
    of_drug = Effects(1 - predictor.fit.of_drug.probability, small, spread)
    fit = replace(predictor.fit, drift=Drift(np.zeros(3), np.full(3, 0.3), of_drug))
    return Predictor(fit, predictor.data)


@pytest.mark.parametrize(
    ("row", "shift", "group"),
    [
        (("ctrl", 0, "ctrl", 0, "y"), [0, 0, 0], 1),
        (("A", 1.0, "ctrl", 0, "x"), [1.75, 0.5, 0], 0),  # half of the full effect
        (("B", 1.0, "A", 3.0, "x"), [3, 1.5 + 0.75 + 0.5 * 4.5, 0.2], 0),
    ],
)
def test_small_effects_move_the_mean(row: tuple, shift: list[float], group: int) -> None:
    predictor = with_small_effects()
    request = make_request(rows(row), predictor.data, None)
    components = predictor.components(request, None)
    np.testing.assert_allclose(predictor.mean(request, components)[0], closed_form(shift, group))
    assert (components.marginal()[0].probability <= 1e-12).sum() >= 1  # and make no targets


def test_contexts_that_were_not_measured_differ_of_their_own() -> None:
    predictor, spread = with_small_effects(), []
    table = rows(("A", 1.0, "ctrl", 0, "x"), ("A", 1.0, "ctrl", 0, "y"), ("B", 1.0, "A", 1.0, "y"))
    request = make_request(table, predictor.data, None)
    components = predictor.components(request, None)
    for x, _, _ in predictor.sample(request, components, 50_000, np.random.default_rng(0)):
        spread.append(x)
    x = np.concatenate(spread).reshape(3, -1, 3)
    noise = (x - x @ W).var(axis=1)  # of the mechanisms
    np.testing.assert_allclose(noise[0, 1:], [0.25 + 0.01, 0.25 + 0.01], atol=0.01)
    np.testing.assert_allclose(noise[1, 1:], [0.25 + 0.01 + 0.09, 0.25 + 0.01 + 0.09], atol=0.01)
    assert noise[0, 0] == pytest.approx(noise[1, 0], abs=0.05)  # a certain target has no more
    assert noise[2, 2] == pytest.approx(0.25 + 2 * 0.01 + 0.09, abs=0.01)  # once a context, not once a drug


def test_continuous_covariates_are_added_back() -> None:
    predictor = make_predictor()
    table = rows(("ctrl", 0, "ctrl", 0, "x"), ("ctrl", 0, "ctrl", 0, "x")).assign(cycle=[10.0, 12.0])
    request = make_request(table, predictor.data, ADJUSTMENT)
    mean = predictor.mean(request, predictor.components(request, None))
    np.testing.assert_allclose(mean[1] - mean[0], [2.0, 0, 0])


class Decoder:
    """Stands for a map from features: the first feature is the shift of gene c."""

    known = None

    def decode(self, features: np.ndarray, dose: np.ndarray, drug: np.ndarray) -> tuple[np.ndarray, ...]:
        probability, effect = np.zeros((len(dose), 3)), np.zeros((len(dose), 3))
        probability[:, 2], effect[:, 2] = 1.0, features[:, 0] * dose
        self.drug = drug
        return probability, effect, np.zeros((len(dose), 3))

    def fraction(self, dose: np.ndarray) -> np.ndarray:
        return dose / (1 + dose)


BY_DRUG = Features("drug", ("A", "B", "spare"), ("p", "q"), np.array([[0.0, 1], [1, 0], [7, 0]]))
BY_CONTEXT = Features("context", (), ("p", "q"), np.zeros((4, 2)))


def test_unknown_drugs_are_read_from_features() -> None:
    decoder = Decoder()
    predictor = make_predictor(BY_DRUG, decoder)
    request = make_request(rows(("new/1", 2.0, "A", 3.0, "x"), ("spare", 1.0, "new/1", 1.0, "x")), predictor.data, None)
    assert request.drugs == ("A", "B", "new/1", "spare")
    table = pd.DataFrame({"q": [0.0], "p": [5.0]}, index=["new/1"])
    mean = predictor.mean(request, predictor.components(request, read_new_features(table, predictor.data, request)))
    np.testing.assert_allclose(mean, [closed_form([3, 0, 10], 0), closed_form([0, 0, 12], 0)])
    assert decoder.drug[0] == decoder.drug[1] != decoder.drug[2]


def test_unknown_drugs_are_read_from_features_of_rows() -> None:
    decoder = Decoder()
    predictor = make_predictor(BY_CONTEXT, decoder)
    table = rows(("new", 2.0, "ctrl", 0, "x"), ("A", 3.0, "ctrl", 0, "x"), ("new", 3.0, "ctrl", 0, "x"))
    request = make_request(table, predictor.data, None)
    values = read_new_features([[5.0, 0], [0, 0], [6.0, 0]], predictor.data, request)
    mean = predictor.mean(request, predictor.components(request, values))
    np.testing.assert_allclose(mean, [closed_form(s, 0) for s in ([0, 0, 10], [3, 0, 0], [0, 0, 18])])
    assert decoder.drug.tolist() == [0, 0]


def test_unknown_drugs_are_as_uncertain_as_levels_differ() -> None:
    predictor = make_predictor(BY_DRUG, Decoder())
    between = np.array([1.0, 2.0, 3.0])
    predictor = Predictor(replace(predictor.fit, levels=Levels(np.array([0, 1]), between)), predictor.data, Decoder())
    request = make_request(rows(("spare", 3.0, "ctrl", 0, "x")), predictor.data, None)
    components = predictor.components(request, read_new_features(None, predictor.data, request))
    np.testing.assert_allclose(components.parts[0].effects.sd[0], 0.75 * between)


FEATURES = pd.DataFrame({"p": [1.0], "q": [0.0]}, index=["new"])


@pytest.mark.parametrize(
    ("registered", "table", "features", "error", "message"),
    [
        (BY_DRUG, {"d1": "new"}, None, KeyError, "'new'"),
        (BY_DRUG, {"d1": "new"}, FEATURES.rename(index={"new": "other"}), KeyError, "'new'"),
        (BY_DRUG, {"d1": "new"}, FEATURES[["p"]], KeyError, "'q'"),
        (BY_DRUG, {"d1": "new"}, FEATURES.to_numpy(), TypeError, "features: expected a pandas DataFrame"),
        (BY_DRUG, {"d1": "new"}, FEATURES * np.nan, ValueError, "features"),
        (BY_CONTEXT, {"d1": "new"}, None, KeyError, "'new'"),
        (BY_CONTEXT, {"d1": "new"}, np.zeros((2, 2)), ValueError, r"expected shape \(1, 2\)"),
        (BY_CONTEXT, {"d1": "new"}, np.array([["a", "b"]]), TypeError, "numbers"),
        (None, {"d1": "new"}, None, KeyError, "'new' was not in the training data"),
        (None, {"d1": "new"}, FEATURES, KeyError, "'new'"),
        (None, {"d1": "a"}, None, KeyError, "did you mean 'A'.*features_key"),
        (None, {"d1": "A+A"}, None, KeyError, "split_combinations"),
        (None, {}, FEATURES, ValueError, "without features_key"),
        (None, {"c1": -1.0}, None, ValueError, "negative"),
        (None, {"c1": "1"}, None, TypeError, "numbers"),
        (None, {"batch": "z"}, None, ValueError, r"'batch' is 'z'.*\['x', 'y'\]"),
        (None, {"d2": "A"}, None, ValueError, "twice"),
    ],
)
def test_wrong_requests_are_refused(
    registered: Features | None, table: dict, features: Any, error: type[Exception], message: str
) -> None:
    data = make_predictor(registered).data
    frame = rows(("A", 1.0, "ctrl", 1.0, "x")).assign(**table)
    with pytest.raises(error, match=message):
        read_new_features(features, data, make_request(frame, data, None))


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        ("A", TypeError, "perturbations: expected a DataFrame"),
        (rows(("A", 1.0, "ctrl", 0, "x")).iloc[:0], ValueError, "at least one row"),
        (rows(("A", 1.0, "ctrl")), KeyError, "'c2' is missing"),
    ],
)
def test_wrong_tables_are_refused(table: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make_request(table, make_predictor().data, None)


def test_marginal_of_a_combination_superposes_its_drugs() -> None:
    predictor = make_predictor()
    request = make_request(rows(("B", 1.0, "A", 3.0, "x"), ("ctrl", 0, "ctrl", 0, "x")), predictor.data, None)
    found, kind = predictor.components(request, None).marginal()
    np.testing.assert_allclose(found.probability, [[1, 0.5, 0], [0, 0, 0]])
    np.testing.assert_allclose(found.mean[0], [3, 3, 0])
    assert not found.sd.any()
    assert (kind == "shift").all()


def test_hard_interventions_cut_the_parents() -> None:
    predictor = make_predictor(intervention="hard")
    request = make_request(rows(("A", 3.0, "ctrl", 0, "x")), predictor.data, None)
    components = predictor.components(request, None)
    assert [part.kind.name for part in components.parts] == ["hard"]
    mean = predictor.mean(request, components)[0]
    np.testing.assert_allclose(mean, [3.0, 6.0, -5.5], atol=0.2)


@pytest.mark.parametrize("activity", [False, True])
def test_abduction_inverts_the_model(activity: bool) -> None:
    """Noise read from cells, put back under the same intervention, gives the cells."""
    predictor = make_predictor()
    rng = np.random.default_rng(0)
    moved = Moved.adding(rng.normal(size=(50, 3)))
    if activity:
        moved.speak = 1 + rng.uniform(-1, 0, (50, 3))
    noise, group = rng.normal(size=(50, 3)), rng.integers(0, 2, 50)
    x = propagate(predictor.fit.mechanisms, moved, group, noise)
    np.testing.assert_allclose(abduct(predictor.fit.mechanisms, x, moved, group), noise)


def test_two_kinds_act_side_by_side() -> None:
    predictor = make_predictor()
    shift = predictor.fit.kinds[0]
    psi = Effects(np.array([[0.0, 1.0, 0.0], [0, 0, 0]]), np.full((2, 3), -0.5), np.zeros((2, 3)))
    activity = KindFit.shared("activity", psi, Effects.none(*shift.of_context.shape))
    both = Predictor(replace(predictor.fit, kinds=(shift, activity)), predictor.data)
    request = make_request(rows(("A", 1e9, "ctrl", 0, "x")), predictor.data, None)
    components = both.components(request, None)
    assert [part.kind.name for part in components.parts] == ["shift", "activity"]
    found, kind = components.marginal()
    assert kind[0, :2].tolist() == ["shift", "activity"]
    np.testing.assert_allclose(found.mean[0, :2], [4.0, -0.5])
    np.testing.assert_allclose(both.mean(request, components)[0], [5.0, 10.0, 0.5 - 0.5 * 10.0], atol=0.2)


def test_mean_of_exponentials_is_that_of_drawn_cells() -> None:
    """Counts are exponentials of the layer: targets, and drift where these are not, in closed form and drawn."""
    predictor = with_small_effects()
    request = make_request(rows(("B", 1.0, "A", 3.0, "x"), ("A", 1.0, "ctrl", 0, "y")), predictor.data, None)
    components = predictor.components(request, None)
    components.drift.effects.mean[:] /= 9
    layer = PredictedLayer(predictor.fit.mechanisms, components, np.arange(2), np.array([0, 1]))
    mean, log_mean = layer.log_mean()
    rng = np.random.default_rng(3)
    for r in range(2):
        moved = components.draw(np.full(400_000, r), rng)
        x = propagate(predictor.fit.mechanisms, moved, np.full(400_000, r), None)
        noise = 0.5 * (predictor.fit.mechanisms.noise_sd**2) @ np.linalg.inv(np.eye(3) - W) ** 2
        np.testing.assert_allclose(np.log(np.exp(x).mean(axis=0)) + noise, log_mean[r], atol=0.05)
        np.testing.assert_allclose(x.mean(axis=0), mean[r], atol=0.02)


def test_new_combinations_are_given_their_share_of_the_sum() -> None:
    """Half of it here; drugs alone, and drugs whose combination was fitted, are as they are."""
    predictor = make_predictor()
    fit = replace(
        predictor.fit,
        settings={"combination_share": 0.5, "combination_error": 0.1, "combination_error_of_sum": 0.2},
    )
    predictor = Predictor(fit, predictor.data)
    request = make_request(rows(("B", 1.0, "A", 3.0, "x"), ("A", 3.0, "ctrl", 0, "x")), predictor.data, None)
    found = predictor.mean(request, predictor.components(request, None))
    np.testing.assert_allclose(found[0], closed_form([1.5, 0.75, 0], 0))
    np.testing.assert_allclose(found[1], closed_form([3.0, 0, 0], 0))
