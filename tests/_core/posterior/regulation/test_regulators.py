"""Regulators of drugs, against brute force and on simulated shifts."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

from scgim._core.posterior.background import FREEDOM, Background, scales
from scgim._core.posterior.regulation.network import RELATIVE_SD, RIGHT, Network
from scgim._core.posterior.regulation.regulators import (
    ACTIVITIES,
    ACTIVITY_SDS,
    ANY,
    _Drug,
    _log_odds,
    fit_regulators,
    prior_masses,
)
from scgim._core.posterior.regulation.row import N_TAILS
from scgim._core.posterior.shifts import Shifts

G, T, TARGETS = 200, 12, 12
SE, DRIFT = 0.1, 0.03


def network(rng, overlap=False):
    """Each regulator acts on a dozen genes; the last two on nearly the same ones if they overlap."""
    target = np.stack([rng.choice(G, TARGETS, replace=False) for _ in range(T)])
    sign = rng.choice([-1.0, 1.0], (T, TARGETS))
    if overlap:
        target[-1, :-2], sign[-1, :-2] = target[-2, :-2], sign[-2, :-2]
    return Network(tuple(f"r{t}" for t in range(T)), np.repeat(np.arange(T), TARGETS), target.ravel(), sign.ravel())


def seen(direct, rng):
    """Shifts of D drugs as they are measured, with drift, and the background that belongs to them."""
    n_drugs = len(direct)
    estimate = direct + DRIFT * rng.standard_t(4, direct.shape) + SE * rng.normal(size=direct.shape)
    shifts = Shifts(
        np.stack([estimate, estimate]),
        np.full((2, n_drugs, G), SE**2),
        np.zeros((2, n_drugs, G)),
        SimpleNamespace(drug=np.arange(n_drugs)),
        np.full((1, G), SE**2),
    )
    flat = np.zeros((n_drugs, G))
    background = Background(flat, flat, flat + DRIFT**2, flat, flat, flat, flat, 0.01, 2.0, 0.0, 0.95, 0.0)
    return shifts, background


def acting(net, changes, rng, wrong=0.0):
    """Shifts ``(D, G)`` by changes of activity ``(D, T)`` along edges of random sizes, of which some are not there."""
    size = rng.uniform(0.5, 1.5, len(net.weight)) * (rng.random(len(net.weight)) >= wrong)
    weights = np.zeros((T, G))
    np.add.at(weights, (net.source, net.target), net.weight * size)
    return changes @ weights


@pytest.mark.parametrize("wrong", [0.0, 0.3])
def test_the_regulator_is_found_with_its_sign_and_takes_its_genes(wrong, rng):
    net = network(rng)
    changes = np.zeros((20, T))
    changes[np.arange(20), rng.integers(T, size=20)] = rng.choice([-1, 1], 20) * rng.uniform(0.5, 2, 20)
    direct = acting(net, changes, rng, wrong)
    shifts, background = seen(direct, rng)
    found, taken = fit_regulators(shifts, background, net, 20)
    true = np.abs(changes).argmax(axis=1)
    assert (found.log_odds.argmax(axis=1) == true).mean() >= 0.95
    assert ((found.probability > 0.9) & (changes == 0)).sum() == 0
    at = np.arange(20), true
    assert (np.sign(found.activity[at]) == np.sign(changes[at])).all()
    np.testing.assert_allclose(np.abs(found.activity[at]), np.abs(changes[at]), rtol=0.6)
    moved = np.abs(direct) > 0.5
    assert (taken[moved] > 3).mean() > 0.9
    assert np.corrcoef(found.shift.ravel(), direct.ravel())[0, 1] > 0.95


def test_nothing_is_called_where_no_regulator_acts(rng):
    """Neither by drift alone nor by genes that are targets of their own."""
    direct = np.zeros((60, G))
    direct[np.arange(60), rng.integers(G, size=60)] = 3.0
    shifts, background = seen(direct, rng)
    found, taken = fit_regulators(shifts, background, network(rng), 60)
    assert (found.probability > 0.5).sum() == 0
    np.testing.assert_array_equal(taken, 0)


def test_regulators_of_the_same_genes_share_the_probability(rng):
    net = network(rng, overlap=True)
    both = Network(net.names, net.source, net.target.copy(), net.weight.copy())
    both.target[-TARGETS:], both.weight[-TARGETS:] = (
        both.target[-2 * TARGETS : -TARGETS],
        both.weight[-2 * TARGETS : -TARGETS],
    )
    changes = np.zeros((1, T))
    changes[0, -1] = 1.5
    found, _ = fit_regulators(*seen(acting(both, changes, rng), rng), both, 1)
    np.testing.assert_allclose(found.probability[0, -2:], 0.5, atol=0.05)


def test_two_regulators_of_one_drug_are_both_found(rng):
    net = network(rng)
    changes = np.zeros((10, T))
    changes[:, 2], changes[:, 7] = 1.5, -1.0
    found, _ = fit_regulators(*seen(acting(net, changes, rng), rng), net, 10)
    assert (found.probability[:, [2, 7]] > 0.9).mean() > 0.9
    assert (np.delete(found.probability, [2, 7], axis=1) > 0.5).sum() == 0


def test_evidence_is_the_sum_over_activities_and_edges(rng):
    """One regulator, brute force: edges summed out one by one, sizes at their quantiles, activities on a grid."""
    net = network(rng)
    changes = np.zeros((1, T))
    changes[0, 4] = 0.4
    shifts, background = seen(acting(net, changes, rng), rng)
    found = _Drug(shifts, background, np.array([0]), net)._choose([])
    a = np.linspace(-12, 12, 4801)
    prior = np.mean([np.exp(-0.5 * (a / sd) ** 2) / sd for sd in ACTIVITY_SDS], axis=0)
    log_prior = np.log(prior / prior.sum())
    edge = np.flatnonzero(net.source == 4)
    gene, weight, s = net.target[edge], net.weight[edge], shifts.estimate[0, 0]
    tails = scales(FREEDOM, N_TAILS) * DRIFT**2 + SE**2

    def density(x, more=0.0):
        return np.mean([np.exp(-0.5 * x**2 / (v + more)) / np.sqrt(2 * np.pi * (v + more)) for v in tails], axis=0)

    sizes = norm.ppf((np.arange(300) + 0.5) / 300, 1, RELATIVE_SD)[:, None]
    p, target = background.p_target, density(s[gene], background.effect_sd**2)
    total = []
    for value in a:
        moved = density(s[gene] - value * weight * sizes).mean(axis=0)
        plain = (1 - p) * density(s[gene]) + p * target
        total.append(np.log((1 - RIGHT) + RIGHT * ((1 - p) * moved + p * target) / plain).sum())
    assert found.log_ratio[4] == pytest.approx(logsumexp(np.array(total) + log_prior), abs=0.2)
    evidence = found.log_ratio + np.log(ANY / T)
    expected = np.exp(evidence - np.logaddexp(logsumexp(evidence), np.log1p(-ANY)))
    np.testing.assert_allclose(found.probability, expected)


def test_activities_that_differ_by_the_cells_that_were_drawn_are_no_acts_of_drugs(rng):
    """They move all genes of a regulator together, which errors of single genes do not tell."""
    net, sd = network(rng), 0.15
    shifts, background = seen(acting(net, sd * rng.normal(size=(100, T)), rng), rng)
    found, _ = fit_regulators(shifts, background, net, 100)
    assert (found.probability > 0.9).sum() > 100
    told = replace(net, variance=np.full(T, 20 * sd**2))  # of a cell, of which each drug has 20
    found, _ = fit_regulators(replace(shifts, sampled=np.full(100, 1 / 20)), background, told, 100)
    assert (found.probability > 0.9).sum() == 0
    strong = np.zeros((100, T))
    strong[:, 3] = 2.0
    shifts, background = seen(acting(net, strong + sd * rng.normal(size=(100, T)), rng), rng)
    found, _ = fit_regulators(replace(shifts, sampled=np.full(100, 1 / 20)), background, told, 100)
    assert (found.probability[:, 3] > 0.9).mean() > 0.95 and (found.probability > 0.9).sum() <= 101


def test_masses_around_activities_are_those_of_a_gaussian(rng):
    mass = np.exp(prior_masses(np.array([0.0, 0.01, 1.0, 4.0])))
    np.testing.assert_allclose(mass.sum(axis=1), 1.0)
    np.testing.assert_allclose(mass @ ACTIVITIES, 0.0, atol=1e-12)
    np.testing.assert_allclose(mass @ ACTIVITIES**2, [0.0, 0.01, 1.0, 4.0], rtol=0.02, atol=1e-12)


def test_shifts_are_taken_to_other_units_and_odds_replaced(rng):
    net = network(rng)
    found, _ = fit_regulators(*seen(np.zeros((2, G)), rng), net, 2)
    by = rng.uniform(1, 2, G)
    np.testing.assert_allclose(found.scale(by).shift_sd, found.shift_sd * by)
    np.testing.assert_allclose(found.with_odds(np.zeros((2, T))).probability, 0.5)


@pytest.mark.parametrize("log_ratio", [[3.5, 1.0, 0.0], [900.0, -2.0, 0.0]])
def test_probability_of_a_regulator_is_that_of_any_effect(log_ratio):
    """Two effects of even odds make three to one, and certainty keeps its digits."""
    log = np.array(log_ratio) + np.log(ANY / 3)
    each = [log[t] - np.logaddexp(logsumexp(np.delete(log, t)), np.log1p(-ANY)) for t in range(3)]
    once, twice = (_log_odds([SimpleNamespace(log_ratio=np.array(log_ratio))] * n) for n in (1, 2))
    np.testing.assert_allclose(once, each)
    np.testing.assert_allclose(twice, np.logaddexp(np.log(2) + once, 2 * once))
