"""How far the covariance within contexts can be trusted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import invwishart, wishart

from scgim._core.structure import misfit


def test_evidence_is_that_of_covariances_drawn_around_one():
    """Against an average of Wishart densities over draws from the prior, for two genes."""
    rng, n, correlation = np.random.default_rng(0), 12, np.array([[1.0, 0.3], [0.3, 1.0]])

    def averaged(cells: float) -> float:
        drawn = invwishart(cells + 3, cells * np.eye(2)).rvs(4000, random_state=rng)
        return float(np.log(np.mean([wishart.pdf(n * correlation, n, cov) for cov in drawn])))

    exact = misfit.log_evidence(np.linalg.eigvalsh(correlation), n, np.array([10.0, 60.0]))
    assert exact[0] - exact[1] == pytest.approx(averaged(10.0) - averaged(60.0), abs=0.05)


def test_independent_noises_are_trusted_without_limit():
    """Sampling alone is no misfit."""
    cells = np.random.default_rng(1).normal(size=(5000, 15))
    assert misfit.best_evidence(np.corrcoef(cells.T), 4999.0)[1] == np.inf


@pytest.mark.parametrize("truth", [100.0, 2000.0, 8000.0])
def test_misfit_is_learned(truth):
    """Noises whose correlations were drawn as from so many cells."""
    G, n, rng = 20, 50_000, np.random.default_rng(2)
    cov = invwishart(truth + G + 1, truth * np.eye(G)).rvs(random_state=rng)
    seen = wishart(n, cov / n).rvs(random_state=rng)
    sd = np.sqrt(np.diag(seen))
    assert misfit.best_evidence(seen / np.outer(sd, sd), float(n))[1] == pytest.approx(truth, rel=0.5)


def test_few_cells_and_single_genes_have_no_misfit():
    """Where nothing can be learned, nothing is changed."""
    assert misfit.best_evidence(np.eye(1), 1e6)[1] == np.inf
    assert misfit.best_evidence(np.array([[1.0, 0.9], [0.9, 1.0]]), 100.0)[1] == np.inf
