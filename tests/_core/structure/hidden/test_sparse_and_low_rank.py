"""Factors of a covariance whose inverse is sparse without them."""

from __future__ import annotations

import numpy as np

from scgim._core.structure.hidden.factor_analysis import factor_analysis
from scgim._core.structure.hidden.sparse_and_low_rank import sparse_and_low_rank


def system(rng):
    """Correlations ``(G, G)`` of a chain of twenty genes with a factor on eight of them, and what that does to all ``(G,)``."""
    weights = np.diag(rng.choice([-0.8, 0.8], 19), 1)
    total = np.linalg.inv(np.eye(20) - weights)
    loading = np.zeros(20)
    loading[rng.choice(20, 8, replace=False)] = rng.choice([-1.0, 1.0], 8)
    cov = total.T @ (np.eye(20) + np.outer(loading, loading)) @ total
    sd = np.sqrt(np.diag(cov))
    return cov / np.outer(sd, sd), loading @ total / sd


def cosine(a, b):
    """Of the angle between two lines."""
    return abs(a @ b) / np.linalg.norm(a) / np.linalg.norm(b)


def test_the_factor_is_found_beside_a_chain(rng):
    """Better than by a factor analysis, which takes what genes do to one another for factors."""
    ours, plain = [], []
    for _ in range(5):
        correlation, expected = system(rng)
        ours.append(cosine(sparse_and_low_rank(correlation, 1, 0.01, 5.0)[0], expected))
        plain.append(cosine(factor_analysis(correlation, 1)[0][:, 0], expected))
    assert min(ours) > 0.95
    assert np.mean(ours) > np.mean(plain)


def test_none_where_genes_are_independent():
    """No factor is worth its price, and so none is returned."""
    assert sparse_and_low_rank(np.eye(8), 2, 0.01, 5.0).shape == (0, 8)
