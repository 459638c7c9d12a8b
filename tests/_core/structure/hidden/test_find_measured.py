"""The search for noise of measurement: edges and targets are right where there is some, and none is found where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests._core.structure.hidden.test_find_hidden import study_of

from scgim._core.learn import order
from scgim._core.learn.fit_search import fit_search
from scgim._core.mechanisms.total import variance
from scgim._core.structure.hidden.find_measured import find_measured


@pytest.fixture(scope="module")
def noisy():
    from scgim.datasets import faults, simulate

    return simulate(
        20, n_drugs=20, new_doses=(), n_new_drugs=0, features="noise", faults=[faults.Measurement(0.7)], rng=0
    )


def test_genes_further_down_are_no_targets(noisy, monkeypatch):
    """Effects and variances of cells are right; without it slopes are too small, fewer targets are told, and cells vary more."""
    moments, design = study_of(noisy)
    truth = noisy.uns["truth"]
    names = [str(name) for name in truth["drugs"]]
    effect = np.asarray(truth["drug_effect"], float)[[names.index(d) for d in design.drugs]] != 0
    fit = fit_search(moments, design, genes=tuple(noisy.var_names), rng=0)
    called, edge = fit.of_drug.probability > 0.9, fit.graph.probability > 0.9
    assert (called & effect).sum() >= 0.97 * called.sum()
    assert (called & effect).sum() >= 0.9 * effect.sum()
    assert (edge & np.asarray(truth["graph"], bool)).sum() >= 0.95 * edge.sum()
    cells = np.diag(moments.within) * moments.scale**2
    np.testing.assert_allclose(variance(fit.graph.weights, fit.mechanisms.noise_sd), cells, rtol=0.05)
    monkeypatch.setattr(order, "find_measured", lambda *_: None)
    without = fit_search(moments, design, genes=tuple(noisy.var_names), rng=0)
    assert ((without.of_drug.probability > 0.9) & effect).sum() <= (called & effect).sum() - 3
    assert (variance(without.graph.weights, without.mechanisms.noise_sd) / cells).max() > 1.25


def test_its_variances_are_found(noisy, monkeypatch):
    moments, design = study_of(noisy)
    found = []
    plain = order.find_measured
    monkeypatch.setattr(order, "find_measured", lambda *given: found.append(plain(*given)) or found[-1])
    fit_search(moments, design, genes=tuple(noisy.var_names), rng=0)
    sd = noisy.uns["truth"]["faults"]["Measurement"]["noise_sd"] / moments.scale
    np.testing.assert_allclose(np.median(found[0].moments.measured / sd**2), 1.0, atol=0.1)


def test_none_is_looked_for_where_genes_are_the_same_twice(noisy):
    moments, design = study_of(noisy)
    twice = np.r_[np.arange(19), 0]
    moments = replace(moments, within=moments.within[np.ix_(twice, twice)])
    assert find_measured(moments, design, pytest.fail, -np.inf) is None
