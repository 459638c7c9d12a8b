"""Closed-form expectation step against brute force."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from scgim._core.structure.prior import Prior
from scgim.model._module.expectation import expectation
from scgim.model._module.kinds import TRAINED
from scgim.model._module.residuals import Residuals

SHIFT, HARD = TRAINED["shift"], TRAINED["hard"]


def usual(n_genes, p_target, background_sd=0.0):
    """Effects of one standard deviation."""
    prior = Prior.default(n_genes)
    return replace(prior, p_target=np.full(n_genes, p_target), background_sd=np.full(n_genes, background_sd))


def sums(x, context, n_contexts, own=None):
    def total(v):
        out = np.zeros((n_contexts, v.shape[1]))
        np.add.at(out, context, v)
        return out

    own = x if own is None else own
    return Residuals(total(np.ones_like(x)), total(x), total(x**2), total(own), total(own**2))


@pytest.fixture
def cells():
    rng = np.random.default_rng(0)
    unit = np.array([-1, 0, 0, 1, 1, 2, 2])
    context = np.repeat(np.arange(7), [200, 30, 30, 30, 30, 30, 30])
    shift = np.zeros((7, 2))
    shift[[1, 2], 0] = [1.0, 2.0]
    return rng.normal(size=(len(context), 2)) + shift[context], context, unit


def test_probability_is_that_of_brute_force(cells):
    """The odds of a target are those of the joint density of all cells of the drug."""
    x, context, unit = cells
    prior = usual(2, 0.3, 0.2)
    out = expectation(sums(x, context, 7), unit, np.zeros(7, int), prior, SHIFT, learn_prior=False, n_steps=8)
    for u in range(3):
        for j in range(2):
            log = {0: np.log(0.7), 1: np.log(0.3)}
            for k in np.flatnonzero(unit == u):
                y = x[context == k, j] - out.evidence.baseline[0, j]
                for target in (0, 1):
                    extra = 0.2**2 + (1.0 if target else 0.0)
                    cov = out.evidence.noise[j] * np.eye(len(y)) + extra
                    log[target] += multivariate_normal.logpdf(y, np.zeros(len(y)), cov)
            expected = np.exp(log[1] - logsumexp([log[0], log[1]]))
            assert np.allclose(out.probability[unit == u, j], expected, atol=1e-6)


def test_targets_and_effects_are_found_and_controls_have_none(cells):
    x, context, unit = cells
    out = expectation(sums(x, context, 7), unit, np.zeros(7, int), usual(2, 0.5), SHIFT)
    assert (out.probability[unit == 0, 0] > 0.99).all()
    assert (out.probability[unit != 0] < 0.5).all()
    assert not out.probability[0].any()
    assert np.allclose(out.effect[[1, 2], 0], [1, 2], atol=0.5)
    assert np.allclose(out.evidence.noise, 1, atol=0.15)


def test_background_keeps_misfit_from_becoming_targets():
    """Small differences in every context of a gene are background, not targets of every drug."""
    rng = np.random.default_rng(1)
    K, n = 41, 200
    context = np.repeat(np.arange(K), n)
    unit = np.r_[-1, np.repeat(np.arange(20), 2)]
    offset = rng.normal(0, 0.3, (K, 5))
    offset[0] = 0
    offset[1:3, 2] += 4.0
    x = rng.normal(size=(len(context), 5)) + offset[context]
    stats = sums(x, context, K)
    naive = expectation(stats, unit, np.zeros(K, int), Prior.default(5), SHIFT, learn_prior=False)
    learned = expectation(stats, unit, np.zeros(K, int), Prior.default(5), SHIFT, n_steps=8)
    assert (naive.probability > 0.5).mean() > 0.4
    found = learned.probability > 0.5
    assert found[1:3, 2].all()
    assert found.sum() <= 6
    assert (learned.prior.background_sd > 0.1).all()


def test_hard_targets_leave_the_mechanism():
    """A hard target is known by its variance and missing parents even where its mean stays."""
    rng = np.random.default_rng(2)
    context = np.repeat(np.arange(3), [400, 100, 100])
    unit, parent = np.array([-1, 0, 1]), rng.normal(size=600)
    y = 1.5 * parent + 0.5 * rng.normal(size=600)
    cut = context == 2
    y[cut] = 0.5 * rng.normal(size=cut.sum())
    residual = (y - 1.5 * parent)[:, None]
    stats = sums(residual, context, 3, own=y[:, None])
    out = expectation(stats, unit, np.zeros(3, int), usual(1, 0.2), HARD, learn_prior=False)
    assert out.probability[2, 0] > 0.99
    assert out.probability[1, 0] < 0.01
    assert np.allclose(np.sqrt(out.evidence.noise), 0.5, atol=0.05)
    assert abs(out.effect[2, 0] - y[cut].mean()) < 0.02


def test_baselines_differ_by_group():
    rng = np.random.default_rng(3)
    context = np.repeat(np.arange(4), 300)
    group = np.array([0, 1, 0, 1])
    x = rng.normal(size=(1200, 1)) + np.array([0.0, 3.0])[group[context]][:, None]
    out = expectation(sums(x, context, 4), np.array([-1, -1, 0, 0]), group, usual(1, 0.5), SHIFT)
    assert np.allclose(out.evidence.baseline[:, 0], [0, 3], atol=0.2)
    assert (out.probability < 0.5).all()
    assert np.isfinite(out.evidence.score).all()
