"""Graph and interventions in turn, gone on from the search for shifts or begun anew."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, concat

import systems
from scgim._core.effects import Effects
from scgim._core.kinds.activity import Children
from scgim._core.learn import alternate
from scgim._core.learn.fit_search import fit_search
from scgim._core.posterior.effects.curves import Curves
from scgim._core.posterior.effects.hill import hill
from scgim._core.posterior.evidence import Evidence
from scgim.datasets import faults, simulate
from scgim.tl import fit as fit_cells

KEYS = {"perturbation_key": "drug", "dose_key": "dose", "control": "control", "intervention": "auto"}


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
    assert alternate.N_MORE <= len(anew.history) <= alternate.N_ROUNDS + 1 and len(further.history) == alternate.N_MORE
    for found in (anew, further):
        skeleton = (found.graph.weights != 0) | (found.graph.weights.T != 0)
        assert systems.f1(skeleton, (study.graph != 0) | (study.graph.T != 0)) >= 0.8
        assert systems.f1(found.kind("activity").of_drug.probability > 0.5, study.effect != 0) >= 0.8
    assert further.history[-1]["score"] == pytest.approx(anew.history[-1]["score"], abs=5.0)  # nats


def test_slopes_that_most_drugs_seem_to_change_are_mended(monkeypatch):
    """At one dose, where nearly full inhibition is seen as such."""
    size = {"n_genes": 8, "n_drugs": 12, "n_control": 800, "n_cells": 300, "new_doses": (), "n_new_drugs": 0}
    adata = simulate(**size, doses=(2.0,), intervention="activity", rng=201)
    truth, false = adata.uns.pop("truth"), {}
    effect = dict(zip(truth["drugs"], truth["drug_effect"], strict=True))
    for least in (1.0, np.inf):
        monkeypatch.setattr(alternate, "LEAST_GAIN", least)
        found = fit_cells(adata, **KEYS | {"intervention": "activity"}, max_epochs=0, progress=False).fitted
        called = found.of_drug.probability > 0.5
        false[least] = (called & (np.stack([effect[drug] for drug in found.drugs]) == 0)).sum()
        assert found.of_context.expected.min() < -0.9
    assert false[1.0] <= 1 and false[np.inf] >= 5


def test_without_changes_of_activity_the_search_for_shifts_is_finished(make_study, monkeypatch):
    study = make_study(n_genes=6, n_drugs=6, n_cells=60)
    few = fit(study)
    monkeypatch.setattr(alternate, "FEW_GENES", 0)
    asked = fit(study)
    assert few.kind_names.tolist() == asked.kind_names.tolist() == ["shift"]
    np.testing.assert_allclose(asked.graph.weights, few.graph.weights, rtol=1e-5)  # trust is learned in one of them


def test_curves_that_lines_fit_badly_make_fewer_false_edges_where_trust_is_learned(monkeypatch):
    found = {}
    adata = simulate(
        n_genes=12, n_drugs=12, n_cells=500, n_control=2000, mechanism="tanh", new_doses=(), n_new_drugs=0, rng=1
    )
    truth = adata.uns.pop("truth")["graph"]
    for few in (50, 0):
        monkeypatch.setattr(alternate, "FEW_GENES", few)
        weights = fit_cells(adata, **KEYS, max_epochs=0, progress=False).fitted.graph.weights
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


def test_a_search_begun_again_that_is_worth_most_without_changes_of_activity_is_a_fit(study, monkeypatch):
    begun_again = alternate.begun_again

    def without(task, ended, rng):
        with monkeypatch.context() as changed:
            changed.setattr(alternate.ActiveFit, "update", lambda *_, **__: None)
            found = begun_again(task, ended, rng)
        return found._replace(evidence=replace(found.evidence, score=found.evidence.score + 1e6))

    monkeypatch.setattr(alternate, "begun_again", without)
    monkeypatch.setattr(alternate, "MOST_BEHIND", np.inf)
    found = fit(study)
    assert not found.kind("activity").of_drug.probability.any()
    assert np.isfinite(found.support.log_odds).any() and (found.kind("shift").of_drug.probability > 0.5).any()


def test_means_without_changes_of_activity_are_those_of_the_same_system_where_none_changed(study, rng):
    moments, design, G = study.moments(), study.design, 8
    K = len(design.dose)
    weights = np.triu(rng.normal(size=(G, G)), 1)
    psi, shift, off, baseline = -rng.random((K, G)), rng.normal(size=(K, G)), rng.normal(size=G), rng.normal(size=G)

    def means(psi):
        x = np.zeros((K, G))
        for j in range(G):
            x[:, j] = (off + (1 + psi) * (x - off)) @ weights[:, j] + baseline[j] + shift[:, j]
        return x

    parents = {j: tuple(range(j)) for j in range(G)}
    coef = tuple(weights[:j, j] for j in range(G))
    nothing = np.zeros((K, G))
    evidence = Evidence(baseline[None], np.ones(G), shift, nothing, nothing, np.zeros(G), coef)
    measured = replace(moments, mean=means(psi)[:, :, None], slope=np.ones((G, 1)))
    still = alternate.without_activity(measured, parents, evidence, design)
    np.testing.assert_allclose(still.mean[:, :, 0], means(nothing))
    assert not np.allclose(still.mean, measured.mean, atol=0.1)


def test_what_is_not_known_of_activities_is_the_variance_of_what_they_leave(rng):
    """Of two parents, by all cases of which of them changed, where what is expected was taken out."""
    p, m, s, c = (rng.random((3, 2)) for _ in range(4))
    none = np.zeros((3, 0))
    found = alternate.unsure_of(p * m, Effects(p, m, s), [Children(np.arange(2), none, none, c, none, none, none)])
    cases = [np.array(on) for on in itertools.product([0, 1], repeat=2)]
    weight = [np.where(on, p, 1 - p).prod(axis=1) for on in cases]
    left = [(c * on * m).sum(axis=1) for on in cases]
    square = sum(w * (x**2 + (c**2 * on * s**2).sum(axis=1)) for w, x, on in zip(weight, left, cases, strict=True))
    expected = sum(w * x for w, x in zip(weight, left, strict=True))
    np.testing.assert_allclose(found[:, 0], square - expected**2)


def test_both_kinds_follow_the_curve_that_is_kept(study):
    """An effect is scaled to fit best along it at the doses of the drug: here the first drug has no probable shift."""
    before, design = fit(study), study.design
    ones = np.ones(study.effect.shape)
    shift = replace(before.kinds[0], of_drug=Effects(np.tile(np.arange(10)[:, None] > 0, 8), ones, ones))
    activity = replace(before.kind("activity"), of_drug=Effects(ones, -0.5 * ones, ones))
    curves = Curves(np.full(10, 1.0), np.full(10, 2.0), 1.0, 0.0)
    found = alternate.along_one_curve(replace(before, kinds=(shift, activity)), activity, curves, design)
    assert found.curves.ec50[0] == 1.0 and (found.curves.ec50[1:] == before.curves.ec50[1:]).all()
    own, kept = (
        c[design.of(0), :1]
        for c in (hill(design.dose, before.curves.ec50, before.curves.hill), curves.fraction(design.dose))
    )
    np.testing.assert_allclose(found.kinds[0].of_drug.mean[0], np.linalg.lstsq(kept, own)[0].item())
    np.testing.assert_allclose([found.kinds[1].of_drug.mean[0], found.kinds[0].of_drug.mean[1] - 1.5], -0.5)


@pytest.mark.parametrize(
    ("fault", "share"),
    [(faults.Plates(None, sd=0.2, key=False), 0.95), (faults.LatentFactors(2, n_genes=5, drug_sd=1.0), 0.75)],
)
def test_what_moves_means_beside_targets_makes_few_false_calls_and_hides_no_inhibitor(fault, share):
    """Every drug drifts, or moves hidden causes, which make edges doubtful: by the alternation alone 33 of 35 and 32 of 62 calls are true."""
    size = {"n_genes": 12, "n_drugs": 8, "doses": (0.5, 1.0, 2.0), "new_doses": (), "n_new_drugs": 0}
    parts, true = [], {}
    for kind in ("shift", "activity"):
        adata = simulate(**size, n_control=800, n_cells=60, intervention=kind, faults=[fault], rng=0)
        truth = adata.uns["truth"]
        true |= {f"{kind} {d}": effect != 0 for d, effect in zip(truth["drugs"], truth["drug_effect"], strict=True)}
        drug = [d if d == "control" else f"{kind} {d}" for d in adata.obs["drug"]]
        obs = pd.DataFrame({"drug": drug, "dose": adata.obs["dose"].to_numpy()}, kind + " " + adata.obs_names)
        parts.append(AnnData(adata.X, obs, adata.var[[]]))
    found = fit_cells(concat(parts), **KEYS, max_epochs=0, progress=False).fitted
    target = np.stack([true[drug] for drug in found.drugs])
    called = (np.stack([kind.of_drug.probability for kind in found.kinds]) > 0.9).any(axis=0)
    assert (called & target).sum() >= share * called.sum()
    inhibits = [drug.startswith("activity") for drug in found.drugs]
    assert (called & target)[inhibits].sum() >= 0.85 * target[inhibits].sum()
