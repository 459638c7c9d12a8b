"""Graph and interventions in turn, gone on from the search for shifts or begun anew."""

import numpy as np
import pytest

import systems
from scgim._core.learn import alternate
from scgim._core.learn.fit_search import fit_search
from scgim.datasets import simulate
from scgim.tl import fit as fit_cells


@pytest.fixture(scope="module")
def study(make_study):
    return make_study(n_genes=8, n_drugs=10, n_cells=150, n_control=600, intervention="activity", seed=1)


def fit(study, **options):
    moments = study.moments(pool=np.arange(len(study.design.dose)))
    return fit_search(moments, study.design, genes=study.genes, intervention="auto", n_kicks=2, rng=0, **options)


def test_going_on_from_shifts_finds_what_beginning_anew_finds(study, monkeypatch):
    anew = fit(study)
    monkeypatch.setattr(alternate, "FEW_GENES", 0)
    further = fit(study)
    assert len(anew.history) == alternate.N_ROUNDS and len(further.history) == alternate.N_MORE
    for found in (anew, further):
        skeleton = (found.graph.weights != 0) | (found.graph.weights.T != 0)
        assert systems.f1(skeleton, (study.graph != 0) | (study.graph.T != 0)) >= 0.8
        assert systems.f1(found.kind("activity").of_drug.probability > 0.5, study.effect != 0) >= 0.8
    assert further.history[-1]["score"] == pytest.approx(anew.history[-1]["score"], abs=5.0)  # nats


def test_without_changes_of_activity_the_search_for_shifts_is_finished(make_study, monkeypatch):
    study = make_study(n_genes=6, n_drugs=6, n_cells=60)
    few = fit(study)
    monkeypatch.setattr(alternate, "FEW_GENES", 0)
    asked = fit(study)
    assert few.kind_names.tolist() == asked.kind_names.tolist() == ["shift"]
    np.testing.assert_allclose(asked.graph.weights, few.graph.weights, rtol=1e-5)  # trust is learned in one of them


def test_curves_that_lines_fit_badly_make_fewer_false_edges_where_trust_is_learned(monkeypatch):
    found = {}
    for few in (50, 0):
        monkeypatch.setattr(alternate, "FEW_GENES", few)
        adata = simulate(
            n_genes=12, n_drugs=12, n_cells=500, n_control=2000, mechanism="tanh", new_doses=(), n_new_drugs=0, rng=1
        )
        truth = adata.uns.pop("truth")["graph"]
        keys = {"perturbation_key": "drug", "dose_key": "dose", "control": "control", "intervention": "auto"}
        weights = fit_cells(adata, **keys, max_epochs=0, progress=False).fitted.graph.weights
        found[few] = (weights != 0) & (np.asarray(truth) == 0)
    assert found[0].sum() < found[50].sum() / 2


def test_that_a_target_is_known_does_not_say_by_which_kind(make_study):
    study = make_study(n_genes=8, n_drugs=10, n_cells=150, n_control=600, seed=2)
    target = study.effect != 0
    found = fit(study, known_targets=np.where(target, 1.0, np.nan))
    assert (found.kind("shift").of_drug.probability[target] > 0.99).all()
    assert found.kind_names.tolist() == ["shift"] or not (found.kind("activity").of_drug.probability > 0.5).any()


def test_what_an_alternation_is_worth_has_the_price_of_its_changes_wherever_it_ends(study, monkeypatch):
    ends = []
    whole = alternate.assemble_active
    monkeypatch.setattr(alternate, "assemble_active", lambda task, end, rng: ends.append(end) or whole(task, end, rng))
    for n_strict in (2, 0):
        monkeypatch.setattr(alternate, "N_STRICT", n_strict)
        fit(study)
    for end in ends:
        assert (end.run.active > 0.5).any()
        assert end.run.price > 0
