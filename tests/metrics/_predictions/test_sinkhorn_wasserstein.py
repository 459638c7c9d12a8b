"""Entropic transport against exact transport."""

import sys

import numpy as np
import pytest

from scgim import metrics


def test_sinkhorn_comes_close_to_exact_transport(cells):
    ot = pytest.importorskip("ot")
    x, y = cells
    exact = np.sqrt(ot.emd2([], [], ot.dist(x, y)))
    assert metrics.sinkhorn_wasserstein(x, y, regularisation=0.01, max_iter=5000) == pytest.approx(exact, rel=0.02)
    assert metrics.sinkhorn_wasserstein(x, y) >= exact
    assert metrics.sinkhorn_wasserstein(x[:1], x[:1]) == pytest.approx(0, abs=1e-6)


def test_sinkhorn_without_pot_says_what_to_install(cells, monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(ImportError, match=r"pip install .scgim\[eval\]"):
        metrics.sinkhorn_wasserstein(*cells)
