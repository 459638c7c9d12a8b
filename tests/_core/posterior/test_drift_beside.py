"""Predictions know the drift that targets were weighed against: closed forms, and contexts that are simulated here."""

import numpy as np
import pytest

from scgim._core.design import Design
from scgim._core.effects import Effects
from scgim._core.posterior import drift_beside as module
from scgim._core.posterior.contrasts import contrasts
from scgim._core.posterior.drift_beside import drift_beside, drift_of_rows, rebase, shared_errors
from scgim._core.posterior.effects.curves import Curves
from scgim._core.posterior.effects.targets import fit_targets
from scgim._core.posterior.odds import learn_odds
from scgim._core.posterior.shifts import Shifts

G = 60


def make_design(n_drugs: int, n_groups: int = 1, *, n_control: float = 400.0, n_cells: float = 100.0) -> Design:
    """Every drug once in every baseline group, with a control in each."""
    group = np.repeat(np.arange(n_groups), n_drugs + 1)
    dose = np.tile(np.vstack([np.zeros(n_drugs), np.eye(n_drugs)]), (n_groups, 1))
    n = np.where(dose.any(axis=1), n_cells, n_control)
    return Design(tuple(f"d{d}" for d in range(n_drugs)), dose, group, tuple("abcdefgh"[:n_groups]), n, has_dose=False)


def learn(residual: np.ndarray, design: Design, alone: np.ndarray | None = None):
    """Odds of targets, from residual means whose cells have a variance of one; `alone`: shifts without the graph, ``(D, G)``."""
    error = np.repeat(1 / design.n_cells[:, None], residual.shape[1], axis=1)
    found = contrasts(design, design.dose, residual, error)
    estimate = found.weight @ residual
    variance = found.weight**2 @ error + found.scatter + found.between
    both = np.stack([estimate, estimate if alone is None else alone])
    passed = np.stack([(both[1] - both[0]) ** 2, np.zeros(estimate.shape)])
    shifts = Shifts(both, np.stack([variance, variance]), passed, found, error)
    return learn_odds(shifts, design, None)


def everything(residual: np.ndarray, design: Design, alone: np.ndarray | None = None):
    """Odds, effects and drift, from rebased residual means."""
    odds = learn(residual, design, alone)
    baseline, baseline_error = rebase(odds, residual, design, design.dose)
    residual = residual - baseline[design.group]
    rows = drift_of_rows(odds, residual, baseline_error, design)
    curves = Curves(np.zeros(len(design.drugs)), np.ones(len(design.drugs)), 1.0, 0.0)
    kind = fit_targets(residual, odds.error, design, curves, odds.log_odds, shared=shared_errors(odds, rows))
    drift = drift_beside(odds, rows, kind, residual, design, design.dose, np.zeros(residual.shape[1]))
    return odds, kind, drift, residual


def predicted(kind, drift, design: Design) -> np.ndarray:
    """What targets, drift of drugs, of drugs in groups and of contexts add to fitted contexts, ``(K, G)``."""
    out = kind.of_context.expected + drift.of_context.mean
    for k in np.flatnonzero(~design.control):
        (d,) = np.flatnonzero(design.dose[k])
        more = drift.in_groups(d, 1.0, np.eye(len(design.group_names))[design.group[k]])
        out[k] += drift.of(d, 1.0, new_context=False).expected + (0 if more is None else more.mean)
    return out


def slope(found: np.ndarray, seen: np.ndarray) -> float:
    return float((found * seen).sum() / (seen**2).sum())


def noisy(design: Design, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(len(design.dose), G)) / np.sqrt(design.n_cells)[:, None]


@pytest.mark.parametrize("n_groups", [1, 4])
def test_fitted_contexts_are_reproduced(rng, n_groups):
    """One context a drug and group; drift of the drug, and of the drug in the group, ten times the sampling error."""
    design = make_design(4, n_groups, n_cells=2000.0, n_control=5000.0)
    u, v = 0.3 * rng.normal(size=(4, G)), 0.2 * rng.normal(size=(n_groups, 4, G))
    seen = design.dose @ u + np.einsum("kd,kdg->kg", design.dose, v[design.group]) * (n_groups > 1)
    residual = seen + noisy(design, rng)
    _, kind, drift, rebased = everything(residual, design)
    drugs = ~design.control
    assert 0.9 < slope(predicted(kind, drift, design)[drugs], rebased[drugs]) < 1.1
    assert (drift.group_sd[0] > 0.1) == (n_groups > 1)


def test_where_nothing_drifts_nothing_is_added(rng):
    """Targets alone: all that is left of the others is noise, which a prediction does without."""
    design = make_design(20)
    effect = np.zeros((20, G))
    effect[np.arange(20), np.arange(20)] = 2.0
    residual = design.dose @ effect + noisy(design, rng)
    _, kind, drift, _ = everything(residual, design)
    expected = drift.of_drug.expected
    assert np.sqrt((expected[effect == 0] ** 2).mean()) < 0.01  # a tenth of the sampling error of 0.1
    np.testing.assert_allclose(kind.of_drug.expected[effect != 0], 2.0, atol=0.4)


def test_a_shift_that_an_edge_did_not_pass_on_is_made_up_for(rng):
    """The graph passes 2 on to gene 0, which did not move: no target perhaps, but predictions have to take it back."""
    design = make_design(12)
    residual = noisy(design, rng)
    residual[1, 0] -= 2.0
    alone = contrasts(design, design.dose, residual, np.full(residual.shape, 0.01)).weight @ residual
    alone[0, 0] = 0.01
    _, kind, drift, _ = everything(residual, design, alone)
    added = kind.of_drug.expected[0, 0] + drift.of_drug.expected[0, 0]
    assert added == pytest.approx(-2.0, abs=0.3)
    assert drift.past_graph[0, 0] > 0.9
    assert np.median(drift.past_graph[1:]) < 0.1


def test_drift_is_the_enumerated_posterior(rng, monkeypatch):
    monkeypatch.setattr(module, "SIZES", (1.0,))
    monkeypatch.setattr(module, "scales", lambda freedom: np.array([1.0]))
    design = make_design(6)
    residual = 0.3 * rng.normal(size=(7, G)) * ~design.control[:, None]
    odds = learn(residual, design)
    found = drift_of_rows(odds, residual, np.zeros((1, G)), design)
    s, e = odds.background.scale, 1 / 100
    np.testing.assert_allclose(found.effects.mean, residual[1:] * s / (s + e), rtol=1e-9)
    np.testing.assert_allclose(found.effects.sd**2, s * e / (s + e), rtol=1e-9)
    np.testing.assert_allclose(found.wider, -1 / 400)  # the controls' error is gone


def test_genes_on_which_groups_differ_are_not_drawn_further(rng):
    """Half of the genes differ between four patients, half hardly do, of which the mean over patients is the same."""
    design = make_design(1, 4, n_cells=5000.0, n_control=5000.0)
    v = np.array([[1.0], [1.0], [-1.0], [-1.0]]) * np.repeat([0.3, 0.02], G // 2)  # (C, G)
    drug = ~design.control
    residual = drug[:, None] * (0.3 * rng.normal(size=G) + v[design.group])
    odds = learn(residual, design)
    assert np.ptp(odds.shifts.contrasts.between) > 0.01
    found = drift_of_rows(odds, residual, np.zeros((4, G)), design).effects.mean[0]
    differ, agree = (slope(found[half], residual[drug].mean(axis=0)[half]) for half in np.split(np.arange(G), 2))
    assert 0.5 < agree < 1
    assert abs(differ - agree) < 0.05


def test_baselines_come_from_all_that_stands_still(rng):
    """Few control cells and drugs that move one gene each: all contexts together know more; where all drifts, controls do."""
    design = make_design(30, n_control=20.0)
    effect = np.zeros((30, G))
    effect[np.arange(30), np.arange(30)] = 3.0
    residual = 0.5 + design.dose @ effect + noisy(design, rng)
    found, error = rebase(learn(residual, design), residual, design, design.dose)
    assert np.sqrt(((found - 0.5) ** 2).mean()) < 0.05  # of the controls alone 0.22
    assert np.sqrt(error.mean()) < 0.05
    design = make_design(30, n_control=2000.0)
    residual = 0.5 * ~design.control[:, None] + 0.3 * design.dose @ rng.normal(size=(30, G)) + noisy(design, rng)
    found, _ = rebase(learn(residual, design), residual, design, design.dose)
    assert np.abs(found).mean() < 0.1  # all drugs move all genes by 0.5: the baseline is that of the controls


def test_groups_without_controls_keep_their_baseline(rng):
    dose = np.eye(3)
    design = Design(("a", "b", "c"), dose, np.zeros(3, int), ("all",), np.full(3, 100.0), has_dose=False)
    residual = rng.normal(size=(3, G))
    found, error = rebase(learn(residual, design), residual, design, dose)
    assert not found.any()
    assert not error.any()


def test_combinations_keep_what_they_do_beyond_the_sum(rng):
    dose = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]], dtype=float)
    design = Design(("a", "b", "c"), dose, np.zeros(7, int), ("all",), np.full(7, 2000.0), has_dose=False)
    more = 0.3 * rng.normal(size=(7, G)) * (dose.sum(axis=1) > 1)[:, None]
    residual = dose @ (0.3 * rng.normal(size=(3, G))) + more + noisy(design, rng)
    _, kind, drift, rebased = everything(residual, design)
    found = kind.of_context.expected + dose @ drift.of_drug.expected + drift.of_context.mean
    assert 0.9 < slope(found[1:], rebased[1:]) < 1.1


def test_scales_with_the_expression(rng):
    design = make_design(3, 3)
    _, _, drift, _ = everything(rng.normal(size=(12, G)), design)
    by = rng.uniform(0.5, 2.0, G)
    scaled = drift.scale(by)
    np.testing.assert_allclose(
        scaled.in_groups(1, 0.5, np.ones(3) / 3).mean, by * drift.in_groups(1, 0.5, np.ones(3) / 3).mean
    )
    np.testing.assert_allclose(scaled.of_context.sd, by * drift.of_context.sd)
    assert isinstance(drift.of(0, 0.5, new_context=True), Effects)
