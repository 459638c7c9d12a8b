"""The search for hidden causes: edges and targets are right where there are some, and none are found where there are none."""

from __future__ import annotations

import numpy as np
import pytest

from scgim._core.design import Design
from scgim._core.learn.fit_search import fit_search
from scgim._core.moments.moments import Hidden, compute_moments
from scgim._core.structure.learn_prior import evidence_given
from scgim._core.structure.misfit import explains_all
from scgim._core.structure.prior import Prior
from scgim._core.structure.score import ShiftScore


@pytest.fixture(scope="module", params=[0.0, 1.0], ids=["still", "moved"])
def confounded(request):
    from scgim.datasets import faults, simulate

    factors = faults.LatentFactors(2, n_genes=8, drug_sd=request.param)
    return simulate(20, n_drugs=20, new_doses=(), n_new_drugs=0, features="noise", faults=[factors], rng=0)


def study_of(adata):
    """Moments and design of simulated cells."""
    drugs = sorted(set(adata.obs["drug"]) - {"control"})
    labels = adata.obs[["drug", "dose"]].astype(str).agg("|".join, axis=1)
    names, context = np.unique(labels, return_inverse=True)
    dose = np.array([[float(n.split("|")[1]) if n.split("|")[0] == d else 0.0 for d in drugs] for n in names])
    design = Design(tuple(drugs), dose, np.zeros(len(names)), ("all",), np.bincount(context))
    return compute_moments(lambda: [(np.asarray(adata.X, float), context)], len(names)), design


def test_hidden_causes_make_neither_edges_nor_targets(confounded):
    """Two factors on eight genes each, which drugs may move: without them more than half of the edges are false."""
    moments, design = study_of(confounded)
    fit = fit_search(moments, design, genes=tuple(confounded.var_names), rng=0)
    truth = confounded.uns["truth"]
    edge, graph = fit.graph.probability > 0.9, np.asarray(truth["graph"], bool)
    assert (edge & graph).sum() >= 0.95 * edge.sum()
    names = [str(name) for name in truth["drugs"]]
    effect = np.asarray(truth["drug_effect"], float)[[names.index(d) for d in design.drugs]]
    called = fit.of_drug.probability > 0.9
    assert (called & (effect != 0)).sum() >= 0.95 * called.sum()
    assert (called & (effect != 0)).sum() >= 0.85 * (effect != 0).sum()
    noise = fit.mechanisms.noise_sd**2
    assert (noise >= 0.7 * np.asarray(truth["noise_sd"]) ** 2).all()  # with what the factors do to the cells


def test_evidence_of_a_fit_counts_what_was_taken_out(confounded, monkeypatch):
    """It is that which the factors were kept for, and not that of cells without factors, which is larger by thousands."""
    from scgim._core.learn import order

    moments, design = study_of(confounded)
    found, find = [], order.find_hidden
    monkeypatch.setattr(order, "find_hidden", lambda *given: found.append(find(*given)) or found[-1])
    fit = fit_search(moments, design, genes=tuple(confounded.var_names), rng=0)
    assert fit.settings["log_evidence"] == pytest.approx(found[-1].evidence, abs=100)


def test_price_is_that_of_loadings_that_were_free(make_study):
    """What regulators act on is known; along a graph that has changed a little their loadings reach all genes, and cost no more."""
    from scgim._core.kinds.shift import Shift
    from scgim._core.structure.hidden.find_hidden import evidence_beside_factors
    from scgim._core.structure.hidden.taken_out import taken_out

    study = make_study(n_genes=10, n_drugs=4, n_cells=40, seed=3)
    moments = study.moments("linear")
    loading, weights = np.zeros((2, 10)), np.zeros((10, 10))
    loading[0, :4] = loading[1, 4:8] = 0.1
    n = len(moments.n)
    hidden = Hidden(loading, np.zeros((n, 2)), np.zeros((n, 10)))
    score = Shift().score(taken_out(moments, weights, hidden), study.design, Prior.default(10))
    evidence = evidence_given(score, dict.fromkeys(range(10), ()))
    taken = score.moments.hidden
    before = evidence_beside_factors(score, evidence, weights, taken)[0]
    after = evidence_beside_factors(score, evidence, weights + np.triu(np.full((10, 10), 1e-9), 1), taken)[0]
    assert after == pytest.approx(before, abs=1e-3)


def test_none_are_found_where_there_are_none(make_study):
    """Independent noises: no factor, with exactly the moments of the data."""
    from scgim._core.learn.order import learn_structure

    study = make_study(n_genes=10, n_drugs=16, n_cells=40, n_control=400, seed=3)
    moments = study.moments("linear")
    rng = np.random.default_rng(0)
    score = learn_structure(moments, study.design, Prior.default(10), rng=rng, doubts=True, n_kicks=1)[0]
    assert score.moments.hidden is None


def test_graphs_that_explain_all_leave_no_search(make_study, confounded):
    """The true graph without hidden causes; neither the true one beside them, nor one that has an edge for everything."""
    study = make_study(n_genes=10, n_drugs=16, n_cells=40, n_control=400, n_edges=10, seed=3)
    full = {j: tuple(range(j)) for j in range(10)}

    def explained(moments, design, parents):
        score = ShiftScore(moments, design.drug_set, design.group, Prior.default(moments.n_genes))
        return explains_all(score, evidence_given(score, parents), parents)

    true = {j: tuple(np.flatnonzero(study.graph[:, j])) for j in range(10)}
    graph = np.asarray(confounded.uns["truth"]["graph"], bool)
    assert explained(study.moments("linear"), study.design, true)
    assert not explained(study.moments("linear"), study.design, full)
    assert not explained(*study_of(confounded), {j: tuple(np.flatnonzero(graph[:, j])) for j in range(20)})


def test_rounds_that_gain_too_little_end(confounded, monkeypatch):
    """Where nothing would be enough two rounds tell that; where anything is, a round more that gains nothing ends it."""
    from scgim._core.learn import order
    from scgim._core.structure.hidden import find_hidden

    moments, design = study_of(confounded)
    kept, rounds = [], []
    monkeypatch.setattr(order, "find_hidden", lambda *given: kept.append(given))
    fit_search(moments, design, genes=tuple(confounded.var_names), rng=0)
    together = find_hidden.fit_together
    monkeypatch.setattr(find_hidden, "fit_together", lambda *given: rounds.append(1) or together(*given))
    moments, design, search, least = kept[0]
    ends = {}
    for asked in (-np.inf, least, least + 1e6):
        rounds.clear()
        ends[asked] = (
            find_hidden._Alternation(moments, design, 2, search).run(find_hidden.STARTS[0], asked).evidence,
            len(rounds),
        )
    assert ends[least] == ends[-np.inf]
    assert ends[least + 1e6][1] == 2
    assert ends[least][0] > least > ends[least + 1e6][0] - 1e6
