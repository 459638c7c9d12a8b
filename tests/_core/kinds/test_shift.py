"""Shifts: scores and posterior are those of their parts."""

from functools import partial

import numpy as np

from scgim._core.kinds.shift import Shift
from scgim._core.posterior.shifts import find_shifts
from scgim._core.structure.learn_prior import evidence_given
from scgim._core.structure.prior import Prior


def test_posterior_finds_the_simulated_shifts(study):
    moments, design, G = study.moments(), study.design, len(study.genes)
    score = Shift().score(moments, design, Prior.default(G))
    parents = {j: tuple(int(i) for i in np.flatnonzero(study.graph[:, j])) for j in range(G)}
    evidence = evidence_given(score, parents)
    own = moments.mean[:, :, 0] + moments.loc / moments.scale
    shifts = partial(find_shifts, moments, design, parents, evidence, study.graph != 0)
    found = Shift().posterior(evidence, own, design, score.prior, None, shifts)
    np.testing.assert_array_equal(found.kind.of_drug.probability > 0.5, study.effect != 0)
    hit = study.effect != 0
    error = found.kind.of_drug.mean * moments.scale - study.effect
    assert np.median(np.abs(error[hit] / study.effect[hit])) < 0.15
    np.testing.assert_allclose(found.drift.of_drug.probability, 1 - found.kind.of_drug.probability)


def test_known_targets_settle_the_odds(study):
    moments, design, G = study.moments(), study.design, len(study.genes)
    score = Shift().score(moments, design, Prior.default(G))
    parents = {j: tuple(int(i) for i in np.flatnonzero(study.graph[:, j])) for j in range(G)}
    evidence = evidence_given(score, parents)
    shifts = partial(find_shifts, moments, design, parents, evidence, study.graph != 0)
    known = np.full((len(design.drugs), G), np.nan)
    known[0] = study.effect[0] != 0
    own = moments.mean[:, :, 0] + moments.loc / moments.scale
    free, told = (
        Shift().posterior(evidence, own, design, score.prior, k, shifts).kind.of_drug.probability for k in (None, known)
    )
    assert (told[0, known[0] == 1] > 1 - 1e-12).all()
    assert (told[0, known[0] == 0] < 1e-6).all()
