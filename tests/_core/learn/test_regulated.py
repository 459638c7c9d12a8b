"""What regulators that vary between cells add to a covariance is found by the pairs of their genes, and taken out."""

from dataclasses import replace

import numpy as np
import pytest

from scgim._core.learn.regulated import take_out_activities
from scgim._core.moments.moments import Moments
from scgim._core.posterior.regulation.edges import weigh_edges
from scgim._core.posterior.regulation.loadings import noise_covariance, regulator_loadings
from scgim._core.posterior.regulation.network import Network

N_GENES, N_CELLS = 40, 5000


def network_of(members: list[np.ndarray], signs: list[np.ndarray]) -> Network:
    source = np.repeat(np.arange(len(members)), [len(m) for m in members])
    names = tuple(f"regulator_{r}" for r in range(len(members)))
    return Network(names, source, np.concatenate(members), np.concatenate(signs))


@pytest.fixture
def regulated(rng):
    """Three regulators of twelve genes, of which the network names two more by mistake; the covariance of cells."""
    members, signs, truth = [], [], np.zeros((3, N_GENES))
    for r in range(3):
        genes = rng.choice(N_GENES, 14, replace=False)
        sign = rng.choice([-1.0, 1.0], 14)
        truth[r, genes[:12]] = sign[:12] * rng.uniform(0.2, 0.5, 12)
        members.append(genes)
        signs.append(sign)
    cells = rng.normal(size=(N_CELLS, 3)) @ truth + rng.normal(size=(N_CELLS, N_GENES))
    return network_of(members, signs), truth, np.cov(cells.T)


def moments_of(within: np.ndarray) -> Moments:
    sizes = np.full(5, N_CELLS / 5)
    zero, one = np.zeros(N_GENES), np.ones(N_GENES)
    square = np.tile(np.diag(within), (5, 1)) * (sizes - 1)[:, None]
    return Moments(sizes, np.zeros((5, N_GENES, 1)), within, zero, one, one[:, None], square=square)


def test_loadings_are_found_and_those_of_wrong_edges_are_small(regulated):
    network, truth, cov = regulated
    sd = np.sqrt(np.diag(cov))
    found = regulator_loadings(cov / np.outer(sd, sd), network.effects(N_GENES), N_CELLS) * sd
    wrong = (network.effects(N_GENES) != 0) & (truth == 0)
    assert np.abs(found - truth)[truth != 0].mean() < 0.05
    assert np.abs(found[wrong]).mean() < 0.06
    assert not found[network.effects(N_GENES) == 0].any()


def test_pairs_that_act_on_one_another_do_not_turn_loadings(regulated):
    """A strong edge between two genes of a regulator is one pair of many."""
    network, truth, cov = regulated
    sd = np.sqrt(np.diag(cov))
    correlation, effects = cov / np.outer(sd, sd), network.effects(N_GENES)
    alone = regulator_loadings(correlation, effects, N_CELLS)
    i, j = np.flatnonzero(truth[0])[:2]
    correlation[[i, j], [j, i]] += 0.5
    assert np.abs(regulator_loadings(correlation, effects, N_CELLS) - alone).max() < 0.1


def test_independent_genes_and_small_regulators_have_none(rng):
    noise = np.corrcoef(rng.normal(size=(N_CELLS, N_GENES)).T)
    effects = np.zeros((3, N_GENES))
    effects[0, :12], effects[1, 12:24], effects[2, [30, 31]] = 1.0, -1.0, 1.0
    assert not regulator_loadings(noise, effects, N_CELLS).any()
    noise[30, 31] = noise[31, 30] = 0.5
    assert not regulator_loadings(noise, effects, N_CELLS).any()


def test_what_they_add_is_taken_out_along_the_graph(regulated, rng):
    """Of the noises that the graph leaves; the covariance stays positive, means stay as they are, and errors know it."""
    network, truth, cov = regulated
    weights = np.triu(rng.normal(0, 0.5, (N_GENES, N_GENES)) * (rng.random((N_GENES, N_GENES)) < 0.05), 1)
    total = np.linalg.inv(np.eye(N_GENES) - weights)
    before = moments_of(total.T @ cov @ total)
    after = take_out_activities(before, network, weights)
    left = np.eye(N_GENES) - weights
    rest = left.T @ after.within @ left
    asked = left.T @ before.within @ left - truth.T @ truth
    off = ~np.eye(N_GENES, dtype=bool)
    assert np.abs(rest - asked)[off].mean() < 0.5 * np.abs(truth.T @ truth)[off].mean()
    assert np.linalg.eigvalsh(after.within).min() > 0
    np.testing.assert_array_equal(after.mean, before.mean)
    np.testing.assert_allclose(after.hidden.error * before.n[:, None], np.tile(after.hidden.variance, (5, 1)))
    assert not after.hidden.residual(weights).any()
    assert (after.square <= before.square).all()


def test_what_is_said_of_activities_is_the_same_whether_they_are_taken_out_or_not(regulated):
    network, _, cov = regulated
    nothing = np.zeros((N_GENES, N_GENES))
    before, after = moments_of(cov), take_out_activities(moments_of(cov), network, nothing)
    np.testing.assert_allclose(noise_covariance(after, nothing), cov)
    found = [weigh_edges(network, moments, nothing) for moments in (before, after)]
    np.testing.assert_allclose(found[0].variance, found[1].variance)
    np.testing.assert_allclose(found[0].right, found[1].right)


def test_moments_that_do_not_allow_it_stay(regulated):
    network, _, cov = regulated
    nothing = np.zeros((N_GENES, N_GENES))
    counts = replace(moments_of(cov), spread=np.ones((5, N_GENES)))
    assert take_out_activities(counts, network, nothing) is counts
    once = take_out_activities(moments_of(cov), network, nothing)
    assert take_out_activities(once, network, nothing) is once
    still = moments_of(np.diag(np.diag(cov)))
    assert take_out_activities(still, network, nothing) is still
