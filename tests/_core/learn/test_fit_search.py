"""Recovery of simulated truth by the exact engine."""

from dataclasses import replace

import numpy as np
import pytest

import systems
from scgim._core.kinds.base import Moved
from scgim._core.kinds.cells import mean_cells
from scgim._core.learn.fit_search import fit_search
from scgim._core.state import pack

SHIFT = {"n_genes": 10, "n_drugs": 16, "n_cells": 40, "n_control": 400}


def fit_study(study, **kwargs):
    kind = kwargs.get("intervention", "shift")
    block = {"shift": None, "hard": study.design.drug_set + 1}.get(kind, np.arange(len(study.design.dose)))
    kwargs = {"genes": study.genes, "rng": 0} | kwargs
    moments = study.moments(kwargs.pop("mechanism", "linear"), pool=block)
    return fit_search(moments, study.design, **kwargs)


@pytest.fixture(scope="module")
def shift_study(make_study):
    return make_study(**SHIFT, seed=1)


@pytest.fixture(scope="module")
def shift_fit(shift_study):
    return fit_study(shift_study)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_shift_recovers_graph_and_targets(make_study, seed):
    study = make_study(**SHIFT, seed=seed)
    fit = fit_study(study)
    assert systems.f1(fit.graph.weights != 0, study.graph != 0) >= 0.9
    assert systems.f1(fit.graph.probability > 0.5, study.graph != 0) >= 0.9
    assert systems.f1(fit.of_drug.probability > 0.5, study.effect != 0) >= 0.95


def test_additive_recovers_the_linear_system(shift_study):
    fit = fit_study(shift_study, mechanism="additive", n_kicks=3)
    assert systems.f1(fit.graph.weights != 0, shift_study.graph != 0) >= 0.85
    assert systems.f1(fit.of_drug.probability > 0.5, shift_study.effect != 0) >= 0.9


@pytest.mark.parametrize("seed", [1, 2])
def test_hard_recovers_graph_and_targets(make_study, seed):
    study = make_study(**SHIFT, intervention="hard", seed=seed)
    fit = fit_study(study, intervention="hard", n_kicks=5)
    assert systems.f1(fit.graph.weights != 0, study.graph != 0) >= 0.85
    assert systems.f1(fit.of_drug.probability > 0.5, study.effect != 0) >= 0.9


@pytest.mark.parametrize("seed", [1, 2])
def test_activity_recovers_graph_and_targets(make_study, seed):
    study = make_study(n_genes=8, n_drugs=10, n_cells=150, n_control=600, intervention="activity", seed=seed)
    fit = fit_study(study, intervention="activity", n_kicks=3)
    skeleton = (study.graph != 0) | (study.graph.T != 0)
    assert systems.f1((fit.graph.weights != 0) | (fit.graph.weights.T != 0), skeleton) >= 0.8
    assert systems.f1(fit.of_drug.probability > 0.5, study.effect != 0) >= 0.8


@pytest.mark.parametrize("intervention", ["activity", "auto"])
def test_changes_of_activity_do_not_depend_on_origin_and_unit(make_study, intervention):
    study = make_study(n_genes=6, n_drugs=6, n_cells=80, n_control=300, intervention="activity", seed=1)
    unit, origin = np.array([1.0, 2.0, 0.5, 1.0, 4.0, 1.0]), np.array([10.0, -10.0, 0.0, 3.0, 7.0, 10.0])
    fit = fit_study(study, intervention=intervention, n_kicks=0)
    moved = fit_study(replace(study, cells=study.cells * unit + origin), intervention=intervention, n_kicks=0)
    assert (fit.kind("activity").of_drug.probability > 0.9).any()
    np.testing.assert_allclose(moved.of_drug.probability, fit.of_drug.probability, atol=1e-6)
    np.testing.assert_allclose(moved.kind("activity").of_drug.mean, fit.kind("activity").of_drug.mean, atol=1e-6)
    np.testing.assert_allclose(moved.mechanisms.off, fit.mechanisms.off * unit + origin, atol=1e-6)
    means = [mean_cells(f.mechanisms, f.expected(), study.design.group) for f in (fit, moved)]
    np.testing.assert_allclose(means[1], means[0] * unit + origin, atol=1e-5)


def test_row_causes_column_and_order_is_topological(make_study):
    """A chain g0 -> g1 with the first gene hit: the effect of the cause is seen in the child."""
    study = make_study(**SHIFT, seed=1)
    fit = fit_study(study)
    for i, j in np.argwhere(study.graph != 0):
        if fit.graph.weights[i, j]:
            assert fit.graph.weights[i, j] == pytest.approx(study.graph[i, j], abs=0.25)
            assert i in fit.mechanisms.parents[j]
    place = np.argsort(fit.mechanisms.order)
    assert all(place[i] < place[j] for i, j in np.argwhere(fit.graph.weights))
    np.testing.assert_array_equal(np.diag(fit.graph.probability), 0)


def test_effects_and_curves_near_the_truth(shift_fit, shift_study):
    hit = shift_study.effect != 0
    error = np.abs(shift_fit.of_drug.mean - shift_study.effect)[hit]
    assert np.median(error / np.abs(shift_study.effect[hit])) < 0.1
    assert (error < 5 * shift_fit.of_drug.sd[hit] + 0.2).all()
    np.testing.assert_allclose(np.median(shift_fit.curves.ec50), 0.75, rtol=0.15)


def test_means_of_fitted_contexts_are_reproduced(shift_fit, shift_study):
    means = mean_cells(shift_fit.mechanisms, shift_fit.expected(), shift_study.design.group)
    observed = np.stack([shift_study.cells[shift_study.context == k].mean(axis=0) for k in range(len(means))])
    baseline = np.abs(observed - observed[0]).mean()
    assert np.abs(means - observed).mean() < 0.35 * baseline
    assert np.abs(means[0] - observed[0]).max() < 0.3


def test_groups_have_baselines_of_their_own(make_study):
    study = make_study(n_genes=6, n_drugs=6, n_groups=2, seed=4)
    fit = fit_study(study)
    control = [study.cells[study.context == np.flatnonzero(study.design.group == g)[0]].mean(axis=0) for g in (0, 1)]
    means = mean_cells(fit.mechanisms, Moved.nothing(2, 6), np.array([0, 1]))
    np.testing.assert_allclose(means, control, atol=0.35)
    assert systems.f1(fit.of_drug.probability > 0.5, study.effect != 0) >= 0.9


def test_same_seed_same_answer(shift_study, shift_fit):
    again = fit_study(shift_study)
    for one, two in zip(*(pack(fit)[1].items() for fit in (again, shift_fit)), strict=True):
        np.testing.assert_equal(one, two)
    assert again.history == shift_fit.history
    other = fit_study(shift_study, rng=5)
    np.testing.assert_array_equal(other.graph.weights != 0, shift_fit.graph.weights != 0)  # it converges


def test_background_shifts_are_not_targets(make_study):
    study = make_study(**SHIFT, background=0.2, seed=3)
    clean = make_study(**SHIFT, seed=3)
    learned, without = fit_study(study), fit_study(study, background=0.0)
    truth = study.effect != 0
    assert (
        systems.f1(learned.of_drug.probability > 0.5, truth)
        > systems.f1(fit_study(clean).of_drug.probability > 0.5, truth) - 0.05
    )
    for fit in (learned, without):  # what the search takes as background is not what targets are weighed against
        assert ((fit.of_drug.probability > 0.5) & ~truth).sum() == 0
    assert (learned.drift.background_sd > 0).mean() > 0.7


def test_prior_forbids_edges(shift_study):
    probability = np.full((10, 10), 0.2)
    forbidden = np.argwhere(shift_study.graph != 0)[:4]
    probability[tuple(forbidden.T)] = 0.0
    fit = fit_study(shift_study, graph_prior=probability, n_kicks=2)
    assert not fit.graph.weights[tuple(forbidden.T)].any()
    assert not fit.graph.probability[tuple(forbidden.T)].any()


def test_prior_favours_edges(make_study):
    study = make_study(n_genes=6, n_drugs=3, n_cells=5, n_control=30, n_edges=7, seed=6)
    truth = study.graph != 0
    informed = fit_study(study, graph_prior=np.where(truth, 0.95, 0.02))
    assert systems.f1(informed.graph.weights != 0, truth) >= systems.f1(fit_study(study).graph.weights != 0, truth)
    assert systems.f1(informed.graph.weights != 0, truth) >= 0.8


def test_known_targets_are_kept_right_or_wrong(shift_study, shift_fit):
    known = np.full((16, 10), np.nan)
    truth = shift_study.effect != 0
    known[0] = truth[0]
    fit = fit_study(shift_study, known_targets=known)
    np.testing.assert_array_equal(fit.of_drug.probability[0] > 0.5, truth[0])
    wrong = np.full((16, 10), np.nan)
    wrong[1, np.flatnonzero(~truth[1])[0]] = 1
    assert fit_study(shift_study, known_targets=wrong).of_drug.probability[1, np.flatnonzero(~truth[1])[0]] > 0.99


def test_progress_is_told_and_kept(shift_study):
    told = []
    fit = fit_study(shift_study, progress=lambda stage, value: told.append((stage, value)), n_kicks=1)
    assert [(h["stage"], h["score"]) for h in fit.history] == told
    assert len({stage for stage, _ in told}) >= 3


def test_without_doses_amplitude_is_the_effect_itself(make_study):
    study = make_study(n_genes=6, n_drugs=6, seed=8)
    keep = (study.design.dose == 2.0).any(axis=1) | study.design.control
    design = type(study.design)(
        study.design.drugs,
        (study.design.dose[keep] > 0).astype(float),
        study.design.group[keep],
        study.design.group_names,
        study.design.n_cells[keep],
        has_dose=False,
    )
    cells = np.isin(study.context, np.flatnonzero(keep))
    place = np.cumsum(keep) - 1
    small = type(study)(study.graph, study.effect, study.cells[cells], place[study.context[cells]], design, study.genes)
    fit = fit_study(small)
    expected = study.effect * 2.0**4 / (0.75**4 + 2.0**4)
    hit = study.effect != 0
    np.testing.assert_allclose(fit.of_drug.mean[hit], expected[hit], atol=0.6)
    np.testing.assert_array_equal(fit.curves.ec50, 0)


def test_auto_is_the_fit_by_shifts_where_no_activity_changed(make_study):
    study = make_study(n_genes=6, n_drugs=6, n_cells=60)
    blocks = np.arange(len(study.design.dose))
    both, shift = (
        fit_search(study.moments(pool=blocks), study.design, genes=study.genes, intervention=kind, n_kicks=2)
        for kind in ("auto", "shift")
    )
    assert both.kind_names.tolist() == ["shift"]
    np.testing.assert_allclose(both.graph.weights, shift.graph.weights, rtol=1e-6)  # scores are summed in another order
    np.testing.assert_allclose(
        both.of_drug.probability, shift.of_drug.probability, atol=2e-3
    )  # probabilities of edges are drawn
