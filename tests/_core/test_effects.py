"""Probability, effect and uncertainty of interventions, against sums over all cases."""

import numpy as np
import pytest

from scgim._core.effects import Effects, KindFit, strongest


@pytest.fixture
def effects(rng) -> Effects:
    """Three interventions on four genes."""
    return Effects(rng.random((3, 4)), rng.normal(size=(3, 4)), rng.random((3, 4)))


def test_scaled_effects_keep_their_probability(effects: Effects) -> None:
    half = effects.scale(0.5)
    np.testing.assert_array_equal(half.probability, effects.probability)
    np.testing.assert_allclose(half.expected, 0.5 * effects.expected)
    np.testing.assert_allclose(half.sd, 0.5 * effects.sd)


def test_what_acts_together_hits_where_any_does_and_adds_up(effects: Effects) -> None:
    together = effects.superpose(np.array([1, 1, 0]), 3)
    np.testing.assert_allclose(together.probability[1], 1 - np.prod(1 - effects.probability[:2], axis=0))
    np.testing.assert_allclose(together.expected[1], effects.expected[:2].sum(axis=0))
    np.testing.assert_allclose(together[0].mean, effects[2].mean)
    np.testing.assert_allclose(together[0].sd, effects[2].sd)
    assert not together[2].probability.any()
    assert np.isfinite(together.mean).all()


def test_certain_targets_stay_certain_together() -> None:
    certain = Effects(np.ones((2, 1)), np.array([[1.0], [2.0]]), np.zeros((2, 1)))
    both = certain.superpose(np.array([0, 0]), 1)
    assert both.probability.item() == 1
    assert both.mean.item() == 3


def test_mixtures_have_the_moments_of_their_parts(effects: Effects) -> None:
    parts, weights = [effects[k] for k in range(3)], np.array([0.5, 0.3, 0.2])
    mixed = Effects.mix(weights, parts)
    first = sum(w * p.probability * p.mean for w, p in zip(weights, parts, strict=True))
    second = sum(w * p.probability * (p.mean**2 + p.sd**2) for w, p in zip(weights, parts, strict=True))
    np.testing.assert_allclose(mixed.probability, weights @ effects.probability)
    np.testing.assert_allclose(mixed.expected, first)
    np.testing.assert_allclose(mixed.probability * (mixed.mean**2 + mixed.sd**2), second)


def test_no_targets_do_nothing() -> None:
    nothing = Effects.none(2, 3)
    assert nothing.shape == (2, 3)
    assert not nothing.expected.any()


def test_values_and_factors_that_act_together_are_averaged_and_multiplied() -> None:
    """A value counts by its probability: of two that are certain the mean, and one alone as it is."""
    two = Effects(
        np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]), np.array([[4.0, 4.0, 4.0], [6.0, 9.0, 9.0]]), np.ones((2, 3))
    )
    values = two.superpose(np.zeros(2, dtype=int), 2, "mean")
    np.testing.assert_array_equal(values.probability, [[1, 1, 0], [0, 0, 0]])
    np.testing.assert_allclose(values.mean, [[5, 4, 0], [0, 0, 0]])
    half = Effects(np.array([[1.0], [0.5]]), np.array([[-0.5], [-1.0]]), np.ones((2, 1)))
    np.testing.assert_allclose(half.superpose(np.zeros(2, dtype=int), 1, "product").mean, [[0.5 * 0.5 - 1]])


def some(rng: np.random.Generator, *shape: int) -> Effects:
    return Effects(rng.uniform(size=shape), rng.normal(size=shape), rng.uniform(0.1, 1, shape))


def test_what_acts_together_has_the_mean_of_all_choices_of_targets(rng):
    """Against cells: every intervention acts with its own probability, and those that act add up."""
    parts = some(rng, 3, 1)
    found = parts.superpose(np.zeros(3, dtype=int), 2)
    on = rng.random((200_000, 3)) < parts.probability[:, 0]
    assert found.probability[0, 0] == pytest.approx(on.any(axis=1).mean(), abs=5e-3)
    assert found.expected[0, 0] == pytest.approx((on @ parts.mean[:, 0]).mean(), abs=1e-2)
    assert not found.probability[1].any()


def test_hardly_probable_targets_keep_their_effect():
    """The probability that any acts has all its digits: the effect of a single one comes back as it was."""
    for p in (1e-3, 1e-17, 1e-200, 1.0):
        one = Effects(np.array([[p]]), np.array([[-2.5]]), np.array([[0.3]]))
        found = one.superpose(np.zeros(1, dtype=int), 1)
        assert (found.probability[0, 0], found.mean[0, 0], found.sd[0, 0]) == pytest.approx((p, -2.5, 0.3), rel=1e-12)


def test_the_strongest_of_several_is_shown_with_the_probability_of_any(rng):
    a, b = some(rng, 2, 5), some(rng, 2, 5)
    found, which = strongest([a, b])
    np.testing.assert_array_equal(which, b.probability > a.probability)
    np.testing.assert_array_equal(found.mean, np.where(which, b.mean, a.mean))
    np.testing.assert_allclose(found.probability, 1 - (1 - a.probability) * (1 - b.probability))
    alone, which = strongest([a])
    assert alone is a
    assert not which.any()


def test_units_and_origin_reach_every_part_of_the_effects_of_a_kind(rng):
    of_drug, of_context, at_level = some(rng, 2, 3), some(rng, 4, 3), some(rng, 2, 2, 3)
    along, at_levels, by = rng.normal(size=(2, 2, 3)), rng.normal(size=(2, 2, 2, 3)), np.array([2.0, 0.5, 3.0])
    fit = KindFit("hard", of_drug, of_context, at_level, along, at_levels)
    assert fit.change_of_drug is of_drug
    start = np.array([1.0, -2.0, 0.5])
    moved = fit.counted_from(start)
    for part in ("of_drug", "of_context", "at_level"):
        np.testing.assert_allclose(getattr(moved, part).mean, getattr(fit, part).mean + start)
        np.testing.assert_allclose(getattr(moved, part).probability, getattr(fit, part).probability)
    np.testing.assert_allclose(moved.change_of_drug.mean, of_drug.mean)
    scaled = moved.scale(by)
    for part in ("of_drug", "of_context", "at_level"):
        np.testing.assert_allclose(getattr(scaled, part).mean, getattr(moved, part).mean * by)
        np.testing.assert_allclose(getattr(scaled, part).sd, getattr(moved, part).sd * by)
    np.testing.assert_allclose(scaled.along_curve, along * by)
    np.testing.assert_allclose(scaled.level_along_curve, at_levels * by)
    np.testing.assert_allclose(scaled.change_of_drug.mean, of_drug.mean * by)
