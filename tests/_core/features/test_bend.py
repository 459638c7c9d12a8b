"""Bent features: gradients, integrals, recovery, and straight features that stay as they are."""

import json

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal, spearmanr

from scgim._core.features.bend import Bend, Column, learn_bend
from scgim._core.features.rows import make_reader
from scgim._core.state import pack, unpack

D, G, Q = 40, 10, 6


def make_drugs(seed, n=D):
    """Effects on one to three genes, (n, G), and features that are linear in them, (n, Q)."""
    rng = np.random.default_rng(seed)
    effects = rng.uniform(2, 6, (n, G)) * rng.choice([-1, 1], (n, G))
    effects *= np.argsort(rng.random((n, G)), axis=1) < rng.integers(1, 4, (n, 1))
    weights = rng.normal(size=(G, Q)) / np.sqrt(G)
    return effects, effects @ weights


def make_column(x):
    effects, _ = make_drugs(1)
    u, s, _ = np.linalg.svd(effects - effects.mean(0), full_matrices=False)
    return Column((x - x.mean()) / x.std(), u, D * s**2 / (s**2).sum())


def test_bend_is_the_integral_of_its_slope():
    """Values differ by the integral of the exponential of the log slope, also outside the knots."""
    knots, theta = np.array([-1.0, 0.5, 2.0, 2.5]), np.array([0.3, -1.0, 1.0, 0.0])
    column = make_column(np.random.default_rng(0).normal(size=D))
    column.knots = knots
    bend = Bend(knots[:, None], column.heights(theta)[:, None], theta[:, None])
    x = np.array([-2.0, -0.7, 0.5, 1.9, 2.4, 3.5])
    y = bend(x[:, None])[:, 0]
    for i in range(1, len(x)):
        area = quad(lambda t: np.exp(np.interp(t, knots, theta)), x[0], x[i], points=knots)[0]
        assert y[i] - y[0] == pytest.approx(area, rel=1e-6)


def test_likelihood_and_its_gradient():
    """The loss is a Gaussian density with the scale profiled, up to a constant; its gradient is that of differences."""
    rng = np.random.default_rng(2)
    column = make_column(rng.normal(size=D))
    parameters = np.r_[0.5 * rng.normal(size=7), -2.0]
    value, slope = column.loss(parameters)
    np.testing.assert_allclose(approx_fprime(parameters, lambda p: column.loss(p)[0], 1e-6), slope, atol=1e-3)
    free = np.linalg.svd(np.eye(D) - 1 / D)[0][:, : D - 1]  # without the mean

    def dense(p):
        cov = free.T @ (column.basis * column.square @ column.basis.T + np.exp(p[-1]) * np.eye(D)) @ free
        y = free.T @ column.values(column.centre @ p[:-1])[0]
        scale = y @ np.linalg.solve(cov, y) / (D - 1)
        return -multivariate_normal(np.zeros(D - 1), scale * cov).logpdf(y)

    other = np.r_[0.5 * rng.normal(size=7), 1.0]
    assert column.loss(other)[0] - value == pytest.approx(dense(other) - dense(parameters), rel=1e-6)


@pytest.mark.parametrize(
    "function", [lambda v: np.tanh(v / 2), lambda v: np.exp(v / 2), lambda v: np.sign(v) * abs(v) ** 0.5]
)
def test_bent_features_are_made_linear(function):
    """What a linear map leaves of features that were bent falls, for drugs that were not seen, too."""
    effects, straight = make_drugs(3, 2 * D)
    features = function(straight)
    bend = learn_bend(features[:D], effects[:D])
    assert bend is not None

    def left(x):
        design = np.c_[np.ones(2 * D), effects]
        error = x - design @ np.linalg.lstsq(design[:D], x[:D], rcond=None)[0]
        return (error[D:] ** 2).mean(0) / x.var(0)

    assert np.median(left(bend(features)) / left(features)) < 0.25
    for q in range(Q):
        assert spearmanr(bend(features)[:, q], features[:, q]).statistic == pytest.approx(1.0)


@pytest.mark.parametrize("noise", [0.0, 0.3, 3.0])
@pytest.mark.parametrize("seed", range(3))
def test_straight_features_stay_as_they_are(noise, seed):
    """Evidence asks for no bend of features that are linear, with any noise."""
    effects, x = make_drugs(seed)
    assert learn_bend(x + noise * np.random.default_rng(seed).normal(size=x.shape), effects) is None


def test_no_bend_where_nothing_could_tell():
    """Columns with ties, more columns than are read one by one, and effects that explain everything have no bend."""
    effects, x = make_drugs(4)
    bent = np.tanh(x / 2)
    assert learn_bend(np.sign(x), effects) is None
    assert learn_bend(np.tile(bent, 11), effects) is None
    assert learn_bend(bent[:18], effects[:18]) is None
    assert learn_bend(bent, np.zeros_like(effects)) is None
    mixed = learn_bend(np.c_[np.sign(x[:, 0]), bent], effects)
    np.testing.assert_allclose(mixed(np.c_[np.sign(x[:, 0]), bent])[:, 0], np.sign(x[:, 0]), atol=1e-10)


def test_reader_with_bends():
    """A reader learns bends from some drugs, centres and scales what they give, and is stored with them."""
    effects, x = make_drugs(5, 50)
    features = np.tanh(x / 2)
    reader = make_reader(features, np.arange(Q), "drug", 50)
    bent = reader.bent(features, np.arange(50), effects, np.arange(D))
    np.testing.assert_allclose(bent(features)[:D].mean(0), 0, atol=1e-10)
    np.testing.assert_allclose(bent(features)[:D].std(0), 1)
    tree, arrays = pack(bent)
    np.testing.assert_array_equal(unpack(json.loads(json.dumps(tree)), arrays)(features), bent(features))
    contexts = make_reader(features, np.arange(Q), "context", 50)
    assert contexts.bent(features, np.arange(50), effects, np.arange(D)) is contexts


def test_columns_that_tell_nothing_more_beside_a_bend():
    """A column that is constant in the drugs that bends are learned from, and one that stands there twice."""
    effects, x = make_drugs(5, 50)
    features = np.tanh(x / 2)
    more = np.c_[features, features[:, 0], 0.1 + (np.arange(50) == D)]
    reader = make_reader(more, np.arange(Q + 2), "drug", 50).bent(more, np.arange(50), effects, np.arange(D))
    assert reader.bend is not None and reader.projection.shape == (Q + 2, Q)
    np.testing.assert_allclose(reader.centred(more)[:, -1], np.arange(50) == D, atol=1e-12)
    assert np.abs(reader(more)).max() < 10
