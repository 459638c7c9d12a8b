"""Factor analysis of a correlation matrix (layer `_core`)."""

from __future__ import annotations

import numpy as np

N_STEPS = 100
SMALLEST_UNIQUE = 0.02  # share of a gene's noise that is its own


def factor_analysis(correlation: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Loadings ``(G, n)`` and variances ``(G,)`` of what is left, by maximum likelihood: eigenvectors in turn with variances."""
    unique = (1 - 0.5 * n / len(correlation)) / np.diag(np.linalg.inv(correlation))
    loading = np.zeros((len(correlation), n))
    for _ in range(N_STEPS):
        sd = np.sqrt(unique)
        value, vector = np.linalg.eigh(correlation / np.outer(sd, sd))
        loading = sd[:, None] * vector[:, -n:] * np.sqrt(np.maximum(value[-n:] - 1, 0))
        unique = np.maximum(np.diag(correlation) - (loading**2).sum(axis=1), SMALLEST_UNIQUE)
    return loading, unique
