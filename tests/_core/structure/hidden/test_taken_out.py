"""Moments without hidden factors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scgim._core.moments.moments import Hidden
from scgim._core.structure.hidden.taken_out import taken_out


def test_factors_taken_out_leave_what_the_genes_do(make_study, loading):
    """Exactly, where loadings, means and the graph are known."""
    study = make_study(n_genes=10, n_drugs=4, seed=1)
    clean = study.moments("linear")
    weights = np.triu(np.random.default_rng(2).normal(0, 0.3, (10, 10)), 1)
    each = loading.T @ np.linalg.inv(np.eye(10) - weights)
    score = np.random.default_rng(3).normal(size=(len(clean.n), 2))
    mean = clean.mean + (score @ each)[:, :, None]
    seen = replace(clean, within=clean.within + each.T @ each, mean=mean)
    found = taken_out(seen, weights, Hidden(loading.T, score, np.zeros((len(clean.n), 10))))
    np.testing.assert_allclose(found.within, clean.within, atol=1e-10)
    np.testing.assert_allclose(found.mean, clean.mean, atol=1e-10)
    np.testing.assert_allclose(found.hidden.residual(weights), score @ loading.T, atol=1e-10)
    gone = seen.mean[:, :, 0] - found.mean[:, :, 0]  # all of it is given back, whatever graph is found later
    np.testing.assert_allclose(found.hidden.residual(np.zeros((10, 10))), gone, atol=1e-10)
