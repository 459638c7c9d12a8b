"""Means of hidden factors in every context."""

from __future__ import annotations

import numpy as np

from scgim._core.design import Design
from scgim._core.structure.hidden.factor_scores import factor_scores


def design_of(n_drugs: int) -> Design:
    dose = np.vstack([np.zeros(n_drugs), np.eye(n_drugs)])
    n_cells = np.full(n_drugs + 1, 100)
    return Design(tuple(f"d{d}" for d in range(n_drugs)), dose, np.zeros(n_drugs + 1), ("all",), n_cells)


def test_scores_pass_sparse_targets_by(loading):
    """A target of three standard deviations does not move the factor that its gene follows."""
    rng, design = np.random.default_rng(1), design_of(12)
    score = np.vstack([np.zeros(2), rng.normal(size=(12, 2))])
    residual = score @ loading.T + rng.normal(0, 0.05, (13, 10))
    residual[1:, 3] += 3.0 * (np.arange(12) == 4)
    found = factor_scores(residual, np.full((13, 10), 0.05**2), loading.T, design)
    np.testing.assert_allclose(found.score, score, atol=0.15)
    assert not found.score[0].any()
    assert np.isfinite(found.cost)
