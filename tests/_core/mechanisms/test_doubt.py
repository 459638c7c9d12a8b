"""How far a graph may be trusted, and what follows for the change that an operation makes."""

import numpy as np
import pytest

from scgim._core.kinds.base import Moved
from scgim._core.kinds.cells import propagate
from scgim._core.mechanisms import MECHANISMS
from scgim._core.mechanisms.additive import Mechanisms
from scgim._core.mechanisms.doubt import Doubt

G = 5


@pytest.fixture
def system(rng):
    """A dense linear system of five genes, with probabilities of its edges."""
    weights = np.triu(rng.uniform(-1, 1, (G, G)), 1)
    parents = [np.arange(j) for j in range(G)]
    mechanisms = Mechanisms(
        MECHANISMS["linear"],
        np.arange(G),
        parents,
        [weights[:j, [j]] for j in range(G)],
        rng.normal(size=(1, G)),
        rng.uniform(0.5, 1.0, G),
        np.zeros(G),
        np.ones(G),
        weights,
    )
    return mechanisms, np.where(weights != 0, rng.uniform(0.3, 1.0, (G, G)), 0.0)


def mean(mechanisms):
    return propagate(mechanisms, Moved.nothing(1, G), np.zeros(1, int), None)[0]


def test_errors_of_coefficients_are_those_of_regressions(system, rng):
    mechanisms, probability = system
    n, estimates = 400, []
    for _ in range(200):
        x = propagate(mechanisms, Moved.nothing(n, G), np.zeros(n, int), rng.normal(size=(n, G)))
        x = x - x.mean(axis=0)
        estimates.append(np.linalg.lstsq(x[:, :3], x[:, 3], rcond=None)[0])
    weight = mechanisms.weights()[:3, 3]
    seen = np.cov(np.array(estimates).T) / np.outer(weight, weight)
    found = Doubt.of(mechanisms, probability, n).relative[3]
    np.testing.assert_allclose(np.diag(found), np.minimum(np.diag(seen), 1.0), rtol=0.25)


def test_the_spread_is_that_of_changes_under_drawn_graphs(system, rng):
    mechanisms, probability = system
    factor, value = np.array([1.0, 0.0, 0.7, 1.0, 1.0]), np.array([0.5, 2.0, 0.0, -1.0, 0.0])
    doubt, before = Doubt.of(mechanisms, probability, 60.0, slope_sd=0.2), mean(mechanisms)
    direct = (factor - 1) * before + value
    found = doubt.spread(mechanisms, factor, direct, np.zeros(G))
    point = mean(mechanisms.operated(factor, value)) - before
    changes = []
    for _ in range(3000):
        drawn = doubt.draw(mechanisms, before, rng)
        changes.append(mean(drawn.operated(factor, value)) - mean(drawn))
    seen = ((np.array(changes) - point) ** 2).mean(axis=0)
    np.testing.assert_allclose(found, seen, rtol=0.2, atol=1e-12)
    assert found[1] == 0


def test_what_is_done_with_an_error_of_its_own_passes_it_on(system):
    mechanisms, probability = system
    sure = Doubt(
        [np.ones(len(pa)) for pa in mechanisms.parents], [np.zeros((len(pa),) * 2) for pa in mechanisms.parents]
    )
    variance = np.array([0.3, 0, 0, 0, 0])
    total = np.linalg.inv(np.eye(G) - mechanisms.weights())
    found = sure.spread(mechanisms, np.ones(G), np.array([1.0, 0, 0, 0, 0]), variance)
    np.testing.assert_allclose(found, 0.3 * total[0] ** 2, atol=1e-12)
    assert (sure.spread(mechanisms, np.ones(G), np.ones(G), np.zeros(G)) < 1e-12).all()


def test_a_sure_graph_is_drawn_as_it_is(system, rng):
    mechanisms, _ = system
    doubt = Doubt.of(mechanisms, np.ones((G, G)), 1e12)
    np.testing.assert_allclose(doubt.draw(mechanisms, np.ones(G), rng).weights(), mechanisms.weights(), rtol=1e-3)
