"""Factor analysis of a correlation matrix."""

from __future__ import annotations

import numpy as np
import pytest

from scgim._core.structure.hidden.factor_analysis import SMALLEST_UNIQUE, factor_analysis


def test_analysis_of_an_exact_covariance(loading):
    """Loadings are known up to a rotation."""
    cov = loading @ loading.T + np.diag(np.linspace(0.3, 0.8, 10))
    sd = np.sqrt(np.diag(cov))
    found, unique = factor_analysis(cov / np.outer(sd, sd), 2)
    expected = loading / sd[:, None]
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=0.02)
    np.testing.assert_allclose(unique, np.linspace(0.3, 0.8, 10) / sd**2, atol=0.02)


def misfit(correlation, unique, n):
    """Minus twice the log likelihood a cell, but for a constant, at the best loadings."""
    sd = np.sqrt(unique)
    rest = np.linalg.eigvalsh(correlation / np.outer(sd, sd))[:-n]
    return (rest - np.log(rest) - 1).sum()


@pytest.mark.parametrize(("n", "strength"), [(1, 0.2), (1, 0.8), (2, 0.3), (3, 0.5)])
def test_it_ends_as_high_as_thousands_of_plain_steps(n, strength):
    """Also of weak factors in few cells, where each step gains next to nothing, and where a variance is at its least."""
    rng = np.random.default_rng(n)
    loading = rng.normal(0, strength, (9, n))
    cells = rng.normal(size=(60, n)) @ loading.T + rng.normal(0, 0.7, (60, 9))
    cells[:, 0] = cells[:, 1] + 0.05 * rng.normal(size=60)
    correlation = np.corrcoef(cells.T)
    unique = (1 - 0.5 * n / 9) / np.diag(np.linalg.inv(correlation))
    for _ in range(5000):
        sd = np.sqrt(unique)
        value, vector = np.linalg.eigh(correlation / np.outer(sd, sd))
        of_factors = sd[:, None] * vector[:, -n:] * np.sqrt(np.maximum(value[-n:] - 1, 0))
        unique = np.maximum(1 - (of_factors**2).sum(axis=1), SMALLEST_UNIQUE)
    found = factor_analysis(correlation, n)[1]
    assert misfit(correlation, found, n) <= misfit(correlation, unique, n) + 1e-4
