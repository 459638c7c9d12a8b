"""Effects of genes on each other and hidden factors, moved together."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad

from scgim._core.design import Design
from scgim._core.structure.hidden.factor_analysis import factor_analysis
from scgim._core.structure.hidden.fit_together import Climb, Means, fit_together

G, D = 16, 16


@pytest.fixture(scope="module")
def system():
    """Exact moments of genes with two factors on six genes each, moved by drugs that have one target."""
    rng = np.random.default_rng(0)
    weights = np.triu(rng.choice([-0.7, 0.7], (G, G)) * (rng.random((G, G)) < 0.15), 1)
    loading = np.zeros((2, G))
    for one in loading:
        one[rng.choice(G, 6, replace=False)] = rng.choice([-0.8, 0.8], 6)
    left = np.linalg.inv(np.eye(G) - weights)
    within = left.T @ (loading.T @ loading + 0.5 * np.eye(G)) @ left
    target = np.zeros((D, G))
    target[np.arange(D), rng.integers(0, G, D)] = 2.0
    mean = np.vstack([np.zeros(G), (rng.normal(size=(D, 2)) @ loading + target) @ left])
    dose = np.vstack([np.zeros(D), np.eye(D)])
    design = Design(tuple(f"d{d}" for d in range(D)), dose, np.zeros(D + 1), ("all",), np.full(D + 1, 200))
    return weights, within, mean, design


def test_gradient(system):
    """By differences."""
    weights, within, mean, design = system
    rng = np.random.default_rng(1)
    climb = Climb(within, 1000.0, np.triu(np.ones((G, G), dtype=bool), 1), 2)
    x = climb.pack(weights + 0.1, rng.normal(size=(2, G)), rng.uniform(0.5, 1, G))
    means = Means(mean, rng.uniform(1, 50, mean.shape), np.array([1.0, 2.0]))
    ridge = rng.uniform(0, 10, climb.E)
    gradient = climb(x, means, ridge)[1]
    off = check_grad(lambda v: climb(v, means, ridge)[0], lambda v: climb(v, means, ridge)[1], x)
    assert off < 1e-4 * np.linalg.norm(gradient)


def test_false_effects_go(system):
    """From as many false effects as there are true ones, and factors found beside them: the true ones alone are left."""
    weights, within, mean, design = system
    rng = np.random.default_rng(3)
    free = np.argwhere(np.triu(weights == 0, 1))
    wrong = weights.copy()
    wrong[tuple(rng.permutation(free)[: (weights != 0).sum()].T)] = 0.3
    left = np.eye(G) - wrong
    cov = left.T @ within @ left
    sd = np.sqrt(np.diag(cov))
    loading, unique = factor_analysis(cov / np.outer(sd, sd), 2)
    start = wrong, loading.T * sd, unique * sd**2
    found = fit_together(within, mean, design, np.triu(np.ones((G, G), dtype=bool), 1), start)
    np.testing.assert_array_equal(found != 0, weights != 0)
    np.testing.assert_allclose(found, weights, atol=0.05)


def test_only_allowed_effects_are_made(system):
    """What is not allowed stays zero."""
    weights, within, mean, design = system
    allowed = np.triu(np.random.default_rng(2).random((G, G)) < 0.5, 1)
    found = fit_together(within, mean, design, allowed, (np.zeros((G, G)), np.full((1, G), 0.1), np.diag(within)))
    assert not found[~allowed].any()


@pytest.mark.parametrize("r", [1, 2])
def test_scores_of_factors_are_those_of_a_weighted_ridge_regression(r):
    """Context by context, by least squares."""
    rng = np.random.default_rng(r)
    residual, loading = rng.normal(size=(5, 7)), rng.normal(size=(r, 7))
    weight, spread = rng.uniform(0.5, 3.0, (5, 7)), rng.uniform(0.2, 2.0, r)
    found = Means(residual, weight, spread).scores(residual, loading)
    for k in range(5):
        rows = np.vstack([loading.T * np.sqrt(weight[k])[:, None], np.diag(1 / np.sqrt(spread))])
        right = np.concatenate([residual[k] * np.sqrt(weight[k]), np.zeros(r)])
        np.testing.assert_allclose(found[k], np.linalg.lstsq(rows, right, rcond=None)[0])
