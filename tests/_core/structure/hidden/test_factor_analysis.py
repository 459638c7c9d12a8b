"""Factor analysis of a correlation matrix."""

from __future__ import annotations

import numpy as np
import pytest

from scgim._core.structure.hidden.factor_analysis import factor_analysis


@pytest.fixture(scope="module")
def loading():
    rng = np.random.default_rng(0)
    return rng.uniform(0.4, 0.8, (10, 2)) * rng.choice([-1, 1], (10, 2))


def test_analysis_of_an_exact_covariance(loading):
    """Loadings are known up to a rotation."""
    cov = loading @ loading.T + np.diag(np.linspace(0.3, 0.8, 10))
    sd = np.sqrt(np.diag(cov))
    found, unique = factor_analysis(cov / np.outer(sd, sd), 2)
    expected = loading / sd[:, None]
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=0.02)
    np.testing.assert_allclose(unique, np.linspace(0.3, 0.8, 10) / sd**2, atol=0.02)
