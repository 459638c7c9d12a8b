"""Variances of contexts are drawn towards the pooled one as far as data ask for it."""

import numpy as np
import pytest
from scipy.special import polygamma

from scgim._core.posterior.spread import (
    beside_changes,
    following,
    inverse_trigamma,
    moderated,
    prior_freedom,
    without_chance,
)


def test_inverse_trigamma_inverts():
    for value in (1e-3, 0.1, 1.0, 30.0):
        assert polygamma(1, inverse_trigamma(value)) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("d0", [3.0, 20.0])
def test_freedom_of_the_prior_is_found(rng, d0):
    truth = d0 / rng.chisquare(d0, (200, 30))
    freedom = np.full(200, 25.0)
    ratio = truth * rng.chisquare(25, (200, 30)) / 25
    assert prior_freedom(ratio, freedom) == pytest.approx(d0, rel=0.1)


def test_contexts_of_few_and_many_cells_are_made_comparable():
    """Logarithms of variances that lie s above and below what their cells let expect: a variance of s^2, less that of sampling."""
    half = np.tile([1.0, 2.0, 30.0], 4)
    expected = polygamma(0, half) - np.log(half)
    away = 2.0 * np.repeat([1.0, -1.0], 6)
    ratio = np.exp(expected + away)[:, None] * [1.0, 5.0]  # genes at any level
    found = prior_freedom(ratio, 2 * half)
    excess = 2.0**2 * 12 / 11 - polygamma(1, half).mean()
    assert polygamma(1, found / 2) == pytest.approx(excess)


def test_equal_variances_become_the_pooled_one(rng):
    pooled, n = np.array([0.5, 2.0]), np.full(400, 30)
    square = pooled * rng.chisquare(29, (400, 2))
    near = moderated(square, n, pooled)
    assert np.abs(near / pooled - 1).max() < np.abs(square / 29 / pooled - 1).max() / 3


def test_contexts_that_differ_keep_their_own_variance(rng):
    n = np.full(100, 200)
    factor = np.where(rng.random((100, 10)) < 0.15, 16.0, 1.0)
    square = factor * rng.chisquare(199, (100, 10))
    found = moderated(square, n, square.sum(axis=0) / 199 / 100)
    np.testing.assert_allclose(found, factor, rtol=0.35)


def test_few_contexts_take_the_pooled_variance():
    np.testing.assert_array_equal(moderated(np.ones((2, 3)), np.array([5, 5]), np.full(3, 0.7)), np.full((2, 3), 0.7))


def test_variances_are_drawn_by_the_learned_freedom(rng):
    """Small variances count as large ones do; a gene without any, and contexts of few cells, teach nothing."""
    n = np.append(np.full(60, 12), [1, 2])
    factor = np.append(8 / rng.chisquare(8, 60), [1.0, 1.0])[:, None]
    square = factor * np.maximum(n - 1, 0)[:, None] * rng.chisquare(11, (62, 4)) / 11 * [0.01, 0.1, 1.0, 0.0]
    pooled = square.sum(axis=0) / (n - 1.0).sum()
    ratio = square[:60, :3] / 11 / pooled[:3]
    d0 = prior_freedom(ratio, np.full(60, 11.0))
    assert np.isfinite(d0)
    np.testing.assert_allclose(moderated(square, n, pooled), (d0 * pooled + square) / (d0 + n - 1.0)[:, None])
    np.testing.assert_array_equal(moderated(0 * square, n, 0 * pooled), np.zeros((62, 4)))
    three, two = slice(57, 60), slice(58, 62)
    assert not np.allclose(moderated(square[three] * [[1.0], [9.0], [30.0]], n[three], pooled), pooled)
    np.testing.assert_array_equal(moderated(square[two] * 9.0, n[two], pooled), np.tile(pooled, (4, 1)))
    threes = np.full(6, 3)
    assert not np.allclose(moderated(np.repeat([0.01, 9.0], 3)[:, None] * [2.0, 2.0], threes, np.full(2, 4.5)), 4.5)


def rare_counts(rng, n=80):
    """Contexts of cells that have a count of 0.1 on average: means, sums of squares, pooled variance, groups and cells."""
    x = rng.poisson(0.1, (40, n, 50)).astype(float)
    mean = x.mean(axis=1)
    square = ((x - mean[:, None]) ** 2).sum(axis=1)
    return mean, square, square.sum(axis=0) / (40 * (n - 1)), np.repeat([0, 1], 20), np.full(40, n)


def test_variances_of_counts_follow_their_means(rng):
    """Of Poisson counts they are the same, so that a ratio to the pooled variance has a slope of one over that."""
    mean, square, pooled, group, n = rare_counts(rng)
    slope = following(square / (n - 1.0)[:, None] / pooled, n - 1.0, mean, group)
    np.testing.assert_allclose(np.median(slope * pooled), 1.0, rtol=0.1)


def test_slopes_are_those_of_weighted_least_squares_within_groups(rng):
    group, weight = np.repeat([0, 3, 5], 30), rng.uniform(1, 3, 90)
    change, away = rng.normal(size=(90, 1)), np.repeat([0.0, 5.0, -2.0], 30)[:, None]
    ratio = 1.0 + away + 0.5 * change + 0.01 * rng.normal(size=(90, 1))
    design = np.column_stack([change, group == 0, group == 3, group == 5])
    root = np.sqrt(weight)[:, None]
    expected = np.linalg.lstsq(root * design, root * ratio, rcond=None)[0][0, 0]
    assert following(ratio, weight, change, group)[0] == pytest.approx(expected, rel=1e-3)


def test_chance_and_few_contexts_have_no_slope(rng):
    slope = following(rng.normal(1, 0.2, (30, 400)), np.ones(30), rng.normal(size=(30, 400)), np.zeros(30, int))
    assert (slope == 0).mean() > 0.6
    assert (
        following(np.array([[1.0], [2.0], [3.0]]), np.ones(3), np.array([[0.0], [1.0], [2.0]]), np.zeros(3, int)) == 0
    ).all()


def test_chance_that_lowers_a_rare_gene_does_not_make_its_loss_sure(rng):
    mean, square, pooled, group, n = rare_counts(rng)
    worst = [
        ((mean - 0.1) / np.sqrt(variance / n[:, None])).min()
        for variance in (moderated(square, n, pooled), beside_changes(square, n, pooled, mean - 0.1, group))
    ]
    assert worst[0] < -6  # standard errors, of 2,000 means that are all 0.1
    assert worst[1] > -4


def test_variances_between_both_means_give_the_likelihood_ratio_of_counts():
    """80 cells of a Poisson count of 0.4; the mean of a context is lower: ``2 n (m log(m / m_0) - m + m_0)``."""
    n, mean = 80, np.linspace(0.2, 0.39, 20)[:, None]
    ratio = mean / 0.4  # the variance of a Poisson count is its mean
    found = 0.4 * without_chance(ratio, np.array([1 / 0.4]), mean - 0.4, np.full((20, 1), np.sqrt(0.4 / n)))
    expected = 2 * n * (mean * np.log(mean / 0.4) - mean + 0.4)
    np.testing.assert_allclose(n * (mean - 0.4) ** 2 / found, expected, rtol=0.03)
    assert (n * (mean - 0.4) ** 2 / mean / expected)[0] > 1.3  # by the variance of the context alone


def test_chance_has_a_limit_and_lowers_no_variance():
    """Of what chance cannot have done, only four standard errors are reckoned with."""
    ratio, change = np.array([[0.5], [2.0], [0.5]]), np.array([[-1.0], [1.0], [1.0]])
    found = without_chance(ratio, np.array([1.0]), change, np.full((3, 1), 0.01))
    np.testing.assert_allclose(found[:, 0], [0.5 + 2 / 3 * 0.04, 2.0, 0.5])


def test_contexts_without_changes_keep_their_variances(rng):
    _, square, pooled, group, n = rare_counts(rng)
    still = beside_changes(square, n, pooled, np.zeros(square.shape), group)
    np.testing.assert_allclose(still, moderated(square, n, pooled))


@pytest.mark.parametrize(("K", "cells"), [(1, 50), (10, 1), (10, 2), (10, 0)])
def test_few_contexts_or_cells_give_numbers(rng, K, cells):
    square, change = rng.chisquare(max(cells - 1, 1), (2, K, 3)) * (cells > 1)
    square[:, 0] = 0.0
    square.flags.writeable = False  # and arguments stay
    found = beside_changes(square, np.full(K, float(cells)), np.array([0.0, 1.0, 1.0]), change, np.arange(K) // 2)
    assert np.isfinite(found).all()
    assert (found[:, 0] == 0).all()
