"""Estimated moments of a latent layer as the engine takes them."""

import numpy as np
import pytest
from scipy.stats import norm

from scgim._core.moments.moments import compute_moments
from scgim._core.observation.latent import Latent, latent_moments, nearest_covariance
from scgim._core.structure.prior import EDGE_FACTOR, WITHIN_SHARE, Prior, precision
from scgim._core.structure.score import ShiftScore


def test_repairs_what_is_no_covariance_and_leaves_what_is():
    fine = np.array([[2.0, 0.5], [0.5, 1.0]])
    np.testing.assert_allclose(nearest_covariance(fine), fine)
    bad = np.array([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]])
    mended = nearest_covariance(bad)
    assert np.linalg.eigvalsh(mended)[0] > 0
    np.testing.assert_allclose(np.diag(mended), 1)


def test_without_observation_noise_the_moments_and_scores_are_the_usual_ones(rng):
    context = np.repeat(np.arange(6), 20)
    x = rng.normal(size=(120, 4)) + rng.normal(size=(6, 4))[context]
    x[:, 1] += x[:, 0]
    usual = compute_moments(lambda: iter([(x, context)]), 6)
    within, mean = usual.within * np.outer(usual.scale, usual.scale), usual.mean[:, :, 0] * usual.scale + usual.loc
    exact = np.outer(np.diag(within), np.diag(within)) / 114
    latent = latent_moments(Latent(usual.n, mean, np.zeros((6, 4)), within, exact))
    np.testing.assert_allclose(latent.mean * latent.scale[:, None] + latent.loc[:, None], mean[:, :, None])
    unit, group = np.array([-1, 0, 0, 1, 1, 2]), np.zeros(6, int)
    latent.mean, latent.within = usual.mean, usual.within  # the same units
    latent.spread = np.zeros((6, 4))
    ours = ShiftScore(latent, unit, group, Prior.default(4))
    theirs = ShiftScore(usual, unit, group, Prior.default(4))
    sets = np.array([[0, 2], [2, 3]])
    np.testing.assert_allclose(ours.score_sets(1, sets), theirs.score_sets(1, sets))
    np.testing.assert_allclose(
        ours.coarse_added(1, (0,), np.array([2, 3])), theirs.coarse_added(1, (0,), np.array([2, 3]))
    )


def test_observed_means_are_less_certain(rng):
    """A residual mean of gene 1 given gene 0 has the variance of both observations, through the coefficient."""
    moments = compute_moments(lambda: iter([(rng.normal(size=(90, 2)), np.repeat(np.arange(3), 30))]), 3)
    moments.spread = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    moments.pair_cells = np.full((2, 2), 10.0)
    score = ShiftScore(moments, np.array([-1, 0, 1]), np.zeros(3, int), Prior.default(2))
    found = score._solve(1, np.array([[0]]))
    c = found.coef[0, 0]
    expected = found.noise[0] / moments.n + moments.spread[:, 1] + c**2 * moments.spread[:, 0]
    np.testing.assert_allclose(found.error[0], expected)
    fit = score.gene(1, (0,))
    bare = fit.noise / moments.n + moments.spread[:, 1] + fit.coef[0] ** 2 * moments.spread[:, 0]
    assert fit.error[0] == pytest.approx(bare[0])  # the control is the baseline
    sets = np.array([[0]])
    last = score._maximise(1, sets, 1, score.solutions(1, sets, score.n_steps_final - 1)[1])
    x = np.column_stack([moments.mean[:, 0, 0], np.ones(3)])  # the coefficient and the baseline are uncertain
    uncertain = np.einsum("kf,fg,kg->k", x, np.linalg.inv(last.products[0]), x)
    np.testing.assert_allclose(fit.error[1:], bare[1:] + uncertain[1:])
    assert (uncertain > 0).all()
    p, sd = score.prior.p_target[1], score.prior.effect_sd[1]
    off = np.log1p(-p) + norm.logpdf(fit.residual[1:], 0, np.sqrt(fit.error[1:]))
    on = np.log(p) + norm.logpdf(fit.residual[1:], 0, np.sqrt(fit.error[1:] + sd**2))
    np.testing.assert_allclose(fit.log_odds, on - off)


def test_precision_is_that_of_fewer_cells():
    cells = np.array([[100.0, 40.0], [40.0, 100.0]])
    dof, factor = precision(1000.0, cells)
    assert dof == WITHIN_SHARE * 40
    np.testing.assert_allclose(factor, EDGE_FACTOR)
    assert precision(1000.0, None) == (1000.0, None)
    assert precision(30.0, cells) == precision(30.0, 0.75 * cells) == (30.0, None)  # the latter at the boundary
