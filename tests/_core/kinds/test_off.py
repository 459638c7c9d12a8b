"""The expression at which a gene does nothing to its children."""

import numpy as np

from scgim._core.kinds.off import PRIOR_SD, learn_off
from scgim._core.moments.moments import compute_moments
from scgim._core.structure.learn_prior import evidence_given
from scgim._core.structure.prior import Prior
from scgim._core.structure.score import ShiftScore

SLOPE, OFF = 1.5, -1.2


def two_genes(rng: np.random.Generator, activity: np.ndarray):
    """One parent and one child in a control and a context for each activity ``(K - 1,)``, with what a search would hand on."""
    K = len(activity) + 1
    context = np.repeat(np.arange(K), 4000)
    psi = np.zeros((K, 2))
    psi[1:, 0] = activity
    parent = rng.normal(0.5, 1.0, len(context))
    child = SLOPE * (OFF + (1 + psi[context, 0]) * (parent - OFF)) + rng.normal(0, 0.5, len(context))
    x = np.stack([parent, child], axis=1)
    moments = compute_moments(lambda: iter([(x, context)]), K, pool=np.arange(K))
    group = np.zeros(K, dtype=int)
    score = ShiftScore(moments, np.arange(K) - 1, group, Prior.default(2))
    parents: dict[int, tuple[int, ...]] = {0: (), 1: (0,)}
    evidence = evidence_given(score, parents)
    slope = SLOPE * moments.scale[0] / moments.scale[1]
    control = moments.mean[0, 1, 0] - slope * moments.mean[0, 0, 0]
    evidence.coef[1][:] = slope  # as in the controls
    evidence.baseline[:, 1] = control
    return moments, group, parents, evidence, psi


def test_it_is_found_from_the_means_of_children(rng):
    moments, group, parents, evidence, psi = two_genes(rng, np.array([-0.8, -0.4, 0.5]))
    controls = moments.mean[0, :, 0]
    off = learn_off(moments, group, parents, evidence, psi, controls, controls)
    found = moments.loc + moments.scale * off
    assert abs(found[0] - OFF) < 0.15
    assert off[1] == controls[1]  # the activity of the child did not change


def test_without_changes_of_activity_it_stays_where_the_controls_are(rng):
    moments, group, parents, evidence, psi = two_genes(rng, np.array([-0.8]))
    controls = moments.mean[0, :, 0]
    np.testing.assert_array_equal(learn_off(moments, group, parents, evidence, 0 * psi, controls, controls), controls)
    assert PRIOR_SD > 0
