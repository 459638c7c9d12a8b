"""Contexts that are left out: rules between doses, and the weights where the model or the baseline is right."""

import numpy as np
import pytest

from scgim._core.design import Design
from scgim._core.posterior.weighing.departures import learn_departures
from scgim._core.posterior.weighing.left_out import (
    Plain,
    _as_changes,
    between_doses,
    sum_of_singles,
    weigh_combinations,
    weigh_doses,
    weigh_groups,
)

G, DOSES = 30, np.array([0.5, 1.0, 2.0, 4.0])


def design(dose: np.ndarray, group: np.ndarray) -> Design:
    n_groups = int(group.max()) + 1
    names = tuple(f"drug_{d}" for d in range(dose.shape[1]))
    return Design(names, dose, group, tuple(f"g{c}" for c in range(n_groups)), np.full(len(dose), 50))


def test_rules_between_doses():
    values = np.array([[1.0], [2.0]])
    found = between_doses(2.0, np.array([1.0, 4.0]), values)
    assert {name: float(value[0]) for name, value in found.items()} == pytest.approx(
        {"nearest dose": 1.0, "between doses": 1.5, "linear in dose": 4 / 3}
    )
    below = between_doses(0.5, np.array([1.0, 4.0]), values)
    assert (below["between doses"], below["linear in dose"]) == (1.0, 0.5)
    assert all(float(value[0]) == 2 for value in between_doses(9.0, np.array([1.0, 4.0]), values).values())
    assert all(float(value[0]) in (0.5, 1.0) for value in between_doses(0.5, np.array([1.0]), values[:1]).values())


@pytest.mark.parametrize("right", [True, False])
def test_doses_prefer_the_curve_where_it_holds(right, rng):
    D = 5
    drug = np.repeat(np.arange(D), len(DOSES))
    dose = np.zeros((D * len(DOSES), D))
    dose[np.arange(len(drug)), drug] = np.tile(DOSES, D)
    change = rng.normal(size=(D, G))
    fraction = dose / (1 + dose)
    height = fraction[np.arange(len(drug)), drug] if right else np.tile([1.0, 0.9, 0.2, 0.1], D)  # or the reverse
    seen = height[:, None] * change[drug] + 0.02 * rng.normal(size=(len(drug), G))
    made = design(dose, np.zeros(len(drug), dtype=int))
    found, returns = weigh_doses(Plain(seen, change, fraction), made, np.zeros((D, 1, G)))
    assert not returns
    assert found.weight > 0.9 if right else found.weight < 0.5
    assert found.error <= min(found.error_of_model, 1.05 * found.error_of_baseline)


@pytest.mark.parametrize("wrong", [False, True])
def test_what_is_missed_returns_at_doses_nearby_where_the_model_is_wrong(wrong, rng):
    D, doses = 8, np.array([0.3, 0.6, 1.0, 2.0, 4.0, 8.0])
    drug = np.repeat(np.arange(D), len(doses))
    dose = np.zeros((len(drug), D))
    dose[np.arange(len(drug)), drug] = np.tile(doses, D)
    change = rng.normal(size=(D, G))
    fraction = dose / (1 + dose)
    height = fraction[np.arange(len(drug)), drug][:, None]
    seen = height * change[drug] + 0.05 * rng.normal(size=(len(drug), G))
    if wrong:
        seen = seen + 3 * height**2 * (rng.random((D, G)) < 0.3)[drug]
    made, error = design(dose, np.zeros(len(drug), dtype=int)), np.full(seen.shape, 0.05**2)
    amplitude = (height * seen).reshape(D, -1, G).sum(axis=1) / (height**2).reshape(D, -1, 1).sum(axis=1)
    departures = learn_departures(seen - height * amplitude[drug], error, made, fraction)
    found, none = (Plain(seen, amplitude, fraction, kept, error) for kept in (departures, None))
    weighed, returns = weigh_doses(found, made, np.zeros((D, 1, G)))
    before, _ = weigh_doses(none, made, np.zeros((D, 1, G)))
    assert returns == wrong
    assert weighed.error_of_model < (0.8 if wrong else 1 + 1e-9) * before.error_of_model


def test_errors_are_those_of_mean_changes(rng):
    D = 4
    drug, dose = np.repeat(np.arange(D), len(DOSES)), np.zeros((D * len(DOSES), D))
    dose[np.arange(len(drug)), drug] = np.tile(DOSES, D)
    effects = np.triu(rng.normal(size=(G, G)) * (rng.random((G, G)) < 0.1), 1)
    passed = np.linalg.inv(np.eye(G) - effects)
    change, fraction = rng.normal(size=(D, G)), dose / (1 + dose)
    seen = fraction @ change + 0.1 * rng.normal(size=(len(drug), G))
    made, more = design(dose, np.zeros(len(drug), dtype=int)), np.zeros((D, 1, G))
    one, _ = weigh_doses(Plain(seen, change, fraction, effects=effects), made, more)
    two, _ = weigh_doses(Plain(seen, change, fraction), made, more)
    moved, _ = weigh_doses(Plain(seen, change, fraction, effects=np.zeros((G, G))), made, more)
    assert one.error_of_baseline != pytest.approx(two.error_of_baseline, rel=0.01)
    assert moved.error_of_baseline == pytest.approx(two.error_of_baseline)
    added = np.stack([seen[1], seen[2]])
    np.testing.assert_allclose(_as_changes(added, effects), added @ passed, atol=1e-9)


@pytest.mark.parametrize("kept", [1.0, 0.3])
def test_groups_that_were_shrunken_too_much_get_the_mean_change(kept, rng):
    group = np.repeat(np.arange(6), 2)
    dose = np.tile([[0.0], [1.0]], (6, 1))
    change = rng.normal(size=(1, G))
    seen = dose * change + 0.05 * rng.normal(size=(12, G))
    found = weigh_groups(Plain(seen, kept * change, dose), design(dose, group))
    assert found.error <= 1.1 * found.error_of_baseline
    assert found.error <= found.error_of_model
    assert kept == 1 or found.weight < 0.2  # where the fit keeps all, both say the same


def test_what_is_kept_does_not_know_the_group_left_out(rng):
    group, dose = np.repeat(np.arange(4), 2), np.tile([[0.0], [1.0]], (4, 1))
    seen = dose * (rng.normal(size=2000) * (rng.random(2000) < 0.1) + rng.normal(size=(8, 2000)))

    def large(plain):
        return plain * (np.abs(plain) > 1)

    found = weigh_groups(Plain(seen, large(seen[1::2].mean(axis=0))[None], dose), design(dose, group))
    alone = [seen[k] - large((seen.sum(axis=0) - seen[k]) / 3) for k in (1, 3, 5, 7)]
    assert found.error_of_model == pytest.approx(np.sqrt(np.mean(np.square(alone))), rel=0.02)


def test_combinations_are_sums_as_measured_where_the_model_drops_effects(rng):
    pairs = [(i, j) for i in range(4) for j in range(i)]
    dose = np.vstack([np.eye(4), [np.eye(4)[i] + np.eye(4)[j] for i, j in pairs]])
    change = rng.normal(size=(4, G))
    seen = dose @ change
    made = design(dose, np.zeros(len(dose), dtype=int))
    at = np.arange(4, len(dose))
    np.testing.assert_allclose(sum_of_singles(seen, made, 4), seen[4])
    weighed, mixed = weigh_combinations(Plain(seen, change, dose), made, at, 0.5 * seen[at])
    assert weighed.weight == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(mixed, seen[at], atol=1e-9)
