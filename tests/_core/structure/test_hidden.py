"""Hidden causes: factors of the noises, and what is left without them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scgim._core.design import Design
from scgim._core.learn.fit_search import fit_search
from scgim._core.moments.moments import Hidden, compute_moments
from scgim._core.structure import hidden


@pytest.fixture(scope="module")
def loading():
    rng = np.random.default_rng(0)
    return rng.uniform(0.4, 0.8, (10, 2)) * rng.choice([-1, 1], (10, 2))


def test_analysis_of_an_exact_covariance(loading):
    """Loadings are known up to a rotation."""
    cov = loading @ loading.T + np.diag(np.linspace(0.3, 0.8, 10))
    sd = np.sqrt(np.diag(cov))
    found, unique = hidden.factor_analysis(cov / np.outer(sd, sd), 2)
    expected = loading / sd[:, None]
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=0.02)
    np.testing.assert_allclose(unique, np.linspace(0.3, 0.8, 10) / sd**2, atol=0.02)


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
    found, cost = hidden.factor_scores(residual, np.full((13, 10), 0.05**2), loading.T, design)
    np.testing.assert_allclose(found.score, score, atol=0.15)
    assert not found.score[0].any()
    assert np.isfinite(cost)


def test_factors_taken_out_leave_what_the_genes_do(make_study, loading):
    """Exactly, where loadings, means and the graph are known."""
    study = make_study(n_genes=10, n_drugs=4, seed=1)
    clean = study.moments("linear")
    weights = np.triu(np.random.default_rng(2).normal(0, 0.3, (10, 10)), 1)
    each = loading.T @ np.linalg.inv(np.eye(10) - weights)
    score = np.random.default_rng(3).normal(size=(len(clean.n), 2))
    mean = clean.mean + (score @ each)[:, :, None]
    seen = replace(clean, within=clean.within + each.T @ each, mean=mean)
    found = hidden.taken_out(seen, weights, Hidden(loading.T, score, np.zeros((len(clean.n), 10))))
    np.testing.assert_allclose(found.within, clean.within, atol=1e-10)
    np.testing.assert_allclose(found.mean, clean.mean, atol=1e-10)
    np.testing.assert_allclose(found.hidden.residual, score @ loading.T)


@pytest.fixture(scope="module")
def confounded():
    from scgim.datasets import faults, simulate

    settings = {"n_drugs": 20, "new_doses": (), "n_new_drugs": 0, "features": "noise"}
    return simulate(20, faults=[faults.LatentFactors(2, n_genes=8)], rng=0, **settings)


def study_of(adata):
    """Moments and design of simulated cells."""
    drugs = sorted(set(adata.obs["drug"]) - {"control"})
    labels = adata.obs[["drug", "dose"]].astype(str).agg("|".join, axis=1)
    names, context = np.unique(labels, return_inverse=True)
    dose = np.array([[float(n.split("|")[1]) if n.split("|")[0] == d else 0.0 for d in drugs] for n in names])
    design = Design(tuple(drugs), dose, np.zeros(len(names)), ("all",), np.bincount(context))
    return compute_moments(lambda: [(np.asarray(adata.X, float), context)], len(names)), design


def test_hidden_causes_make_neither_edges_nor_targets(confounded):
    """Two factors on eight genes each: without them more than half of the edges are false."""
    moments, design = study_of(confounded)
    fit = fit_search(moments, design, genes=tuple(confounded.var_names), rng=0)
    truth = confounded.uns["truth"]
    edge, graph = fit.graph.probability > 0.9, np.asarray(truth["graph"], bool)
    assert (edge & graph).sum() >= 0.85 * edge.sum()
    names = [str(name) for name in truth["drugs"]]
    effect = np.asarray(truth["drug_effect"], float)[[names.index(d) for d in design.drugs]]
    called = fit.of_drug.probability > 0.9
    assert (called & (effect != 0)).sum() >= 0.9 * called.sum()
    noise = fit.mechanisms.noise_sd**2
    assert (noise >= 0.7 * np.asarray(truth["noise_sd"]) ** 2).all()  # with what the factors do to the cells


def test_none_are_found_where_there_are_none(make_study):
    """Independent noises: no factor, with exactly the moments of the data."""
    from scgim._core.learn.order import learn_structure
    from scgim._core.structure.prior import Prior

    study = make_study(n_genes=10, n_drugs=16, n_cells=40, n_control=400, seed=3)
    moments = study.moments("linear")
    rng = np.random.default_rng(0)
    score = learn_structure(moments, study.design, Prior.default(10), rng=rng, doubts=True, n_kicks=1)[0]
    assert score.moments.hidden is None
