"""Prior of effects learned from residuals: how large they are, and for which genes they are larger."""

import numpy as np

from scgim._core.design import Design
from scgim._core.mechanisms.linear import Linear
from scgim._core.moments.moments import Moments
from scgim._core.structure.learn_prior import CLEAR, evidence_given, learn_prior, wider
from scgim._core.structure.prior import Prior
from scgim._core.structure.score import ShiftScore


def test_effects_are_wider_only_where_cells_vary_more_than_targets_do():
    within = np.array([0.04, 0.01, 0.64, 1.0])
    target = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 0.5, 0.0, 0.5]])
    usual = (0.04 + 0.5 * 0.01 + 0.5 * 1.0) / 2
    np.testing.assert_allclose(wider(within, target), np.sqrt(np.maximum(within / (CLEAR * usual), 1.0)))
    assert (wider(within, target) > 1).any()
    np.testing.assert_array_equal(wider(np.array([0.9, 1.0, 0.8, 0.5]), target), np.ones(4))
    np.testing.assert_array_equal(wider(within[:1], np.ones((3, 1))), [1.0])


def test_an_effect_that_parents_nearly_cancel_is_as_probable_as_others():
    """Gene 1 follows gene 0; the first drug moves both by 20 standard deviations within contexts, the whole of gene 1 by 2 alone."""
    n, effects = np.array([800.0, 200.0, 200.0]), np.array([[0.0, 0, 0], [20, -18, 0], [0, 0, 20]])
    weights = np.zeros((3, 3))
    weights[0, 1] = 1.0
    total = np.linalg.inv(np.eye(3) - weights)
    means, within = effects @ total, total.T @ total
    loc = n @ means / n.sum()
    scale = np.sqrt(np.diag(within) + n @ (means - loc) ** 2 / n.sum())
    moments = Moments(
        n, ((means - loc) / scale)[:, :, None], within / np.outer(scale, scale), loc, scale, np.ones((3, 1)), Linear(),
        square=(n - 1)[:, None] * np.diag(within) / scale**2,
    )  # fmt: skip
    design = Design(("a", "b"), np.array([[0.0, 0], [1, 0], [0, 1]]), np.zeros(3, int), ("all",), n)
    score = ShiftScore(moments, design.drug_set, design.group, Prior.default(3))
    score.prior = learn_prior(score, evidence_given(score, {0: (), 1: (0,), 2: ()}), background=0.0)
    own = np.abs(effects.sum(axis=0)) / scale / score.prior.effect_sd  # true effects in units of what is expected
    assert own.max() < 2.5
    assert np.ptp(np.abs(effects.sum(axis=0)) / scale) > 5  # beside the spread over all cells they differ
