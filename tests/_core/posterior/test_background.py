"""Targets are told from drift, by densities that are enumerated here and on shifts that are made here."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import norm, t

from scgim._core.design import Design
from scgim._core.posterior.background import (
    FREEDOM,
    OF_ONE_DRUG,
    USUAL_DRIFT,
    _Mixture,
    fit_background,
    prior_range,
    scales,
)
from scgim._core.posterior.contrasts import contrasts
from scgim._core.posterior.odds import learn_odds
from scgim._core.posterior.shifts import Shifts


def shifts_of(estimate, variance, passed=0.0, alone=None) -> tuple[Shifts, Design]:
    """Of drugs in one context each, with the same estimates by the graph and without unless given."""
    estimate = np.asarray(estimate, dtype=float)
    D, G = estimate.shape
    dose = np.vstack([np.zeros(D), np.eye(D)])
    design = Design(
        tuple(f"d{i}" for i in range(D)), dose, np.zeros(D + 1, int), ("all",), np.full(D + 1, 100.0), False
    )
    found = contrasts(design, dose, np.zeros((D + 1, G)), np.full((D + 1, G), 0.01))
    both = np.stack([estimate, estimate if alone is None else alone])
    error = np.broadcast_to(variance, both.shape).copy()
    move = np.stack([np.broadcast_to(passed, estimate.shape), np.zeros(estimate.shape)])
    return Shifts(both, error, move, found, np.full((D + 1, G), 0.005)), design


def test_scales_stand_for_a_t_distribution():
    x = np.linspace(0, 3, 13)
    mixture = norm.pdf(x[:, None], scale=np.sqrt(scales(FREEDOM, 400))).mean(axis=1)
    np.testing.assert_allclose(mixture, t.pdf(x, FREEDOM), rtol=5e-3)


def test_log_ratio_equals_enumerated_densities(rng):
    estimate = rng.normal(size=(3, 5)) * 0.3
    shifts, _ = shifts_of(estimate, 0.02, passed=0.04, alone=rng.normal(size=(3, 5)) * 0.3)
    mixture = _Mixture(shifts, np.arange(3), 3)
    mixture.fit(5)
    mixture.allow(0.5)
    mixture.weigh()
    off, on, mean, second, beside = np.zeros((5, 3, 5))
    for v in range(2):
        error = 0.02 + 0.25 * (0.04 if v == 0 else 0.0)
        for q in scales(FREEDOM):
            sd2 = q * mixture.scale + error
            weight = mixture.share[v] / len(mixture.q)
            with_drift = weight * norm.pdf(shifts.estimate[v], scale=np.sqrt(sd2))
            with_target = weight * norm.pdf(shifts.estimate[v], scale=np.sqrt(sd2 + mixture.effect2))
            drift = q * mixture.scale / sd2 * shifts.estimate[v]  # drawn to zero
            off, on = off + with_drift, on + with_target
            mean = mean + with_drift * drift
            second = second + with_drift * (drift**2 + q * mixture.scale * error / sd2)
            beside = beside + with_target * q * mixture.scale
    np.testing.assert_allclose(mixture.log_ratio, np.log(on / off), rtol=1e-9)
    found = mixture.result()
    np.testing.assert_allclose(found.mean, mean / off)
    np.testing.assert_allclose(found.sd, np.sqrt(second / off - (mean / off) ** 2))
    np.testing.assert_allclose(found.beside, beside / on)
    assert found.evidence == pytest.approx(np.log((1 - mixture.p) * off + mixture.p * on).sum())


def test_drift_starts_from_the_median_beyond_what_parents_pass_on(rng):
    """The median of a squared standard Gaussian is 0.455; errors are taken off, and nothing is below zero."""
    estimate, alone = rng.normal(size=(2, 3, 7)) * [[1.0], [0.5], [1e-3]]
    variance = np.array([0.02, 0.3])[:, None, None] * rng.uniform(0.5, 1.5, (2, 3, 7))
    shifts, _ = shifts_of(estimate, variance, alone=alone)
    start = _Mixture(shifts, np.arange(3), 3).of_drug
    expected = np.median(estimate**2, axis=1) / 0.455 - np.median(variance[0], axis=1)
    assert (expected[:2] > 1e-6).all() and expected[2] < 0
    np.testing.assert_allclose(start, np.tile(np.maximum(expected, 1e-6)[:, None], (1, 7)))


def test_one_step_learns_from_pairs_that_are_no_targets(rng):
    """Shares, prior and scales after one step, from what the components say; no pair has a say in its own scale."""
    D, G = 3, 30
    estimate, alone = 0.1 * rng.normal(size=(2, D, G))
    hit = [0, 0, 1, 1, 2, 2], [0, 3, 1, 4, 2, 5]
    estimate[hit], alone[hit] = 2.0, 1.5
    shifts, _ = shifts_of(estimate, 0.02, alone=alone)
    mixture = _Mixture(shifts, np.arange(D), D)
    mixture.fit(3)
    scale, share, effect2 = mixture.scale, mixture.share, mixture.effect2
    of_gene, still = mixture.of_gene, 1 - mixture.rho
    mixture.learn()
    off, on, size = np.zeros((3, 2, D, G))  # by explanation
    for q in scales(FREEDOM):
        for v, seen in enumerate((estimate, alone)):
            drift = q * scale / (q * scale + 0.02)
            density = share[v] * norm.pdf(seen, scale=np.sqrt(q * scale + 0.02))
            off[v] += density
            on[v] += share[v] * norm.pdf(seen, scale=np.sqrt(q * scale + 0.02 + effect2))
            size[v] += density * (drift**2 * seen**2 + drift * 0.02) / q
    taken = ((off / off.sum(axis=0)) * still).sum(axis=(1, 2))
    np.testing.assert_allclose(mixture.share, (taken + [9.5, 0.5]) / (taken.sum() + 10))
    assert mixture.p == pytest.approx((mixture.rho.sum() + 1) / (D * G + G / 2))
    assert prior_range(G)[0] < mixture.p < prior_range(G)[1]
    beyond = ((on / on.sum(axis=0)) * (np.stack([estimate, alone]) ** 2 - 0.02)).sum(axis=0) - scale
    expected = (mixture.rho * np.maximum(beyond, 0)).sum() / mixture.rho.sum()
    assert mixture.effect2 == pytest.approx(np.clip(expected, 0.25, 100))
    assert 0.25 < mixture.effect2 < 100
    by_drug = still * size.sum(axis=0) / off.sum(axis=0) / of_gene
    usual = np.exp(np.log(by_drug.sum(axis=1) / still.sum(axis=1)).mean())
    for d, j in np.ndindex(D, G):
        genes = np.arange(G) != j
        of_drug = (by_drug[d, genes].sum() + 2 * usual) / (still[d, genes].sum() + 2)
        assert mixture.of_drug[d, j] == pytest.approx(of_drug)
        drugs = np.arange(D) != d
        by_gene = (by_drug * of_gene / mixture.of_drug)[drugs, j].sum()
        assert mixture.of_gene[d, j] == pytest.approx((by_gene + 4) / (still[drugs, j].sum() + 4))


def test_one_drug_against_control(rng):
    """300 genes, ten targets of one standard deviation, sampling errors of 0.06."""
    effect = np.zeros((1, 300))
    effect[0, :10] = rng.choice([-1, 1], 10)
    shifts, design = shifts_of(effect + 0.06 * rng.normal(size=effect.shape), 0.06**2)
    called = learn_odds(shifts, design, None).log_odds[0] > np.log(9)
    assert called[:10].sum() >= 9
    assert called[10:].sum() <= 1


def broad_drug(rng, drift, effect):
    """One drug that moves 300 genes by `drift`, twenty of them by effects of their own; between-patient errors of 0.07."""
    shift = drift(300)
    shift[:20] += effect * rng.choice([-1, 1], 20)
    return shifts_of(shift[None] + 0.07 * rng.normal(size=(1, 300)), 0.07**2)


def test_targets_of_a_broad_drug_stand_out_of_gaussian_drift():
    """Ten screens whose drug moves every gene by 0.1: targets of 0.6 are called; if drift may always have heavy tails, few are."""
    found, heavy, false = 0, 0, 0
    for seed in range(100, 110):
        rng = np.random.default_rng(seed)
        shifts, _ = broad_drug(rng, lambda n, rng=rng: rng.normal(0, 0.1, n), 0.6)
        called = fit_background(shifts, 1).log_odds[0] > np.log(9)
        found, false = found + called[:20].sum(), false + called[20:].sum()
        heavy += (_Mixture(shifts, np.zeros(1, int), 1).fit(30).log_odds[0, :20] > np.log(9)).sum()
    assert found > 0.8 * 200
    assert false <= 2
    assert heavy < 0.7 * found


def test_a_small_certain_shift_is_no_target_of_one_drug():
    """Twenty genes, all but three still, known to 0.01: 0.1 is drift, 0.5 and 2 are targets; among ten drugs 0.1 of one is a target."""
    estimate = 0.01 * np.random.default_rng(0).normal(size=(10, 20))
    estimate[0, :3] = 0.1, 0.5, -2.0
    alone = fit_background(shifts_of(estimate[:1], 1e-4)[0], 1)
    assert (alone.log_odds[0] > np.log(9)).nonzero()[0].tolist() == [1, 2]
    expected = (2 * USUAL_DRIFT**2 + 0.1**2) / 20  # two genes as usual, and 17 still ones beside that which drifts
    np.testing.assert_allclose(alone.scale[0, 1], expected, rtol=0.1)
    several = fit_background(shifts_of(estimate, 1e-4)[0], 10)
    assert several.log_odds[0, 0] > np.log(9)


def test_one_drug_that_only_drifts_has_no_targets():
    called = 0
    for seed in range(100, 120):
        rng = np.random.default_rng(seed)
        shifts, _ = broad_drug(rng, lambda n, rng=rng: rng.normal(0, 0.15, n), 0.0)
        called += (fit_background(shifts, 1).log_odds > np.log(9)).sum()
    assert called <= 2


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [((0.0, 0.5, 0.9), 0), ((0.0, 1.5, 2.0), 1), ((0.0, 0.8, 1.7), 1), ((0.0, 0.5, 3.0), 2), ((5.0, 0.0, 0.0), 0)],
)
def test_heavier_tails_of_one_drug_have_to_gain_a_nat(monkeypatch, rng, evidence, expected):
    shifts, _ = shifts_of(rng.normal(size=(1, 10)), 0.1)

    def fit(mixture, n_steps):
        return SimpleNamespace(evidence=evidence[OF_ONE_DRUG.index(mixture.freedom)], freedom=mixture.freedom)

    monkeypatch.setattr(_Mixture, "fit", fit)
    assert fit_background(shifts, 1).freedom == OF_ONE_DRUG[expected]


def test_fewer_than_ten_genes_do_not_show_tails(rng):
    shifts, _ = shifts_of(rng.normal(size=(1, 9)), 0.1)
    assert fit_background(shifts, 1).freedom == FREEDOM


def test_several_drugs_share_heavy_tails(rng):
    shifts, _ = shifts_of(0.1 * rng.normal(size=(2, 30)), 0.01)
    assert fit_background(shifts, 2).freedom == FREEDOM


def test_where_every_gene_drifts_nothing_is_called(rng):
    shifts, design = shifts_of(0.3 * rng.normal(size=(10, 50)), 0.01)
    odds = learn_odds(shifts, design, None)
    assert (odds.log_odds > np.log(9)).sum() <= 2
    assert 0.15 < np.sqrt(np.median(odds.background.scale)) < 0.4


@pytest.mark.parametrize("n_patients", [3, 5, 8])
def test_a_change_in_one_patient_alone_is_no_target(n_patients):
    """Ten screens, 60 genes: 3 standard deviations in one patient are not called, 0.8 in all of them are."""
    G, n = 60, 2 * n_patients
    dose = np.tile([0.0, 1.0], n_patients)[:, None]
    names = tuple(f"P{i}" for i in range(n_patients))
    design = Design(("drug",), dose, np.arange(n) // 2, names, np.full(n, 100.0), False)
    called = np.zeros(G, dtype=int)
    for seed in range(100, 110):
        rng = np.random.default_rng(seed)
        value = 0.1 * rng.normal(size=(n, G))
        value[1::2] += 0.15 * rng.normal(size=(n_patients, G)) + 0.8 * (np.arange(G) == 0)
        value[1, 1] += 3.0
        error = np.full((n, G), 0.01)
        found = contrasts(design, dose, value, error)
        estimate = np.stack([found.weight @ value] * 2)
        variance = np.stack([found.weight**2 @ error + found.scatter + found.between] * 2)
        shifts = Shifts(estimate, variance, np.zeros(estimate.shape), found, error)
        called += learn_odds(shifts, design, None).log_odds[0] > np.log(9)
    assert called[0] >= 8
    assert called[1] == 0
    assert called[2:].sum() <= 1


def test_genes_of_one_drug_compete(rng):
    """The same shift is a target of a drug that moves nothing else, and drift of one that moves all genes."""
    estimate = 0.02 * rng.normal(size=(12, 60))
    estimate[0] = 0.5 * rng.normal(size=60)
    estimate[:2, 0] = 1.2
    shifts, design = shifts_of(estimate, 1e-4)
    odds = learn_odds(shifts, design, None).log_odds
    assert odds[1, 0] > 5
    assert odds[0, 0] < 0


def test_a_gene_that_every_drug_moves_is_no_target(rng):
    estimate = 0.05 * rng.normal(size=(20, 30))
    estimate[:, 0] = rng.normal(size=20)
    shifts, design = shifts_of(estimate, 1e-3)
    odds = learn_odds(shifts, design, None)
    assert (odds.log_odds[:, 0] > np.log(9)).mean() < 0.3
    assert np.median(odds.background.scale[:, 0]) > 30 * np.median(odds.background.scale[:, 1:])


def test_a_shift_does_not_make_room_for_itself():
    """One large shift among still genes of one drug stays a target however large it is."""
    for size in (1.0, 10.0, 100.0):
        estimate = np.full((1, 40), 0.01)
        estimate[0, 3] = size
        shifts, design = shifts_of(estimate, 1e-3)
        odds = learn_odds(shifts, design, None).log_odds
        assert odds[0, 3] > np.log(9)
        assert odds[0].argmax() == 3


def test_errors_of_slopes_are_learned(rng):
    """What parents pass on is wrong by 40 %: without that, genes below a large shift are called."""
    passed = np.where(rng.random((20, 40)) < 0.2, 4.0, 0.0)
    estimate = 0.4 * np.sqrt(passed) * rng.normal(size=passed.shape) + 0.02 * rng.normal(size=passed.shape)
    estimate[np.arange(20), np.arange(20)] += 3.0
    shifts, design = shifts_of(estimate, 0.02**2, passed=passed)
    drift = fit_background(shifts, 20)
    assert drift.slope_sd in (0.3, 0.5)
    called = drift.log_odds > np.log(9)
    assert called[np.arange(20), np.arange(20)].mean() > 0.9
    assert called.sum() - 20 <= 3


@pytest.mark.parametrize(
    ("evidence", "expected", "tried"),
    [
        ((0.0, 0.9, 1.1, 2.0, 2.2, 5.0), 0.8, 6),  # from the best so far one nat has to be gained
        ((0.0, -19.0, 3.0, 3.9, 3.9, 3.9), 0.2, 6),
        ((0.0, 2.0, -17.0, -19.0, 9.0, 9.0), 0.1, 4),  # twenty lost: no more are tried
    ],
)
def test_relative_errors_of_slopes_are_tried_while_evidence_lasts(monkeypatch, rng, evidence, expected, tried):
    shifts, _ = shifts_of(rng.normal(size=(2, 4)), 0.1, passed=1.0)
    steps = []

    def fit(mixture, n_steps):
        steps.append(n_steps)
        return SimpleNamespace(evidence=evidence[len(steps) - 1], slope_sd=mixture.slope_sd)

    monkeypatch.setattr(_Mixture, "fit", fit)
    assert fit_background(shifts, 2).slope_sd == expected
    assert len(steps) == tried
    assert steps[0] > max(steps[1:])


def test_edges_that_pass_nothing_on_are_seen_without_the_graph(rng):
    """A gene that did not move at all is no target, though the graph says that it should have moved."""
    estimate, alone = 0.02 * rng.normal(size=(10, 20)), 0.02 * rng.normal(size=(10, 20))
    estimate[0, 5] = -1.5  # the graph expected 1.5
    alone[1, 6] = estimate[1, 6] = 1.5
    shifts, design = shifts_of(estimate, 0.02**2, alone=alone)
    odds = learn_odds(shifts, design, None).log_odds
    assert odds[0, 5] < 0
    assert odds[1, 6] > np.log(9)


def test_broad_drugs_may_have_targets_in_a_tenth_of_the_genes():
    """Few genes: three targets at the most; many: a tenth, where that is more."""
    assert prior_range(20)[1] == 3 / 20
    assert prior_range(300)[1] == 0.1


def test_prior_is_never_certain():
    for n_genes in (1, 2, 3, 20, 1000):
        low, high = prior_range(n_genes)
        assert 0 < low <= high <= 0.5


def test_known_targets_settle_the_odds(rng):
    shifts, design = shifts_of(0.1 * rng.normal(size=(2, 6)), 0.01)
    known = np.full((2, 6), np.nan)
    known[0, 1], known[1, 2] = 1.0, 0.0
    free, held = learn_odds(shifts, design, None).log_odds, learn_odds(shifts, design, known).log_odds
    assert held[0, 1] == pytest.approx(30)
    assert held[1, 2] == pytest.approx(-30)
    np.testing.assert_array_equal(held[np.isnan(known)], free[np.isnan(known)])


def test_chance_of_genes_further_up_does_not_hide_a_weak_target(rng):
    """The last gene follows all others, whose sampling moves it more than its own small effects do."""
    D, G, size = 40, 30, 1.2
    further = np.zeros((G, G))
    further[:-1, -1] = 3.0
    variance = np.full((2, D, G), 0.025**2)
    estimate = 0.025 * rng.normal(size=(D, G))
    estimate[:4, -1] += size * np.array([1, -1, 1, -1])
    targets = rng.random((D - 8, G - 1)) < 0.05  # of other drugs
    estimate[8:, :-1] += targets * 5 * rng.normal(size=(D - 8, G - 1))
    whole = (estimate + estimate @ further)[:4, -1:]
    estimate[:4, :-1] -= whole / further[:-1, -1].sum()  # by chance, as if the gene had stood still
    alone = estimate + estimate @ further
    variance[1] += variance[0] @ further**2
    shifts, _ = shifts_of(estimate, variance, passed=(alone - estimate) ** 2, alone=alone)
    hidden, found = fit_background(shifts, D), fit_background(replace(shifts, further=further), D)
    assert (hidden.log_odds[:4, -1] < 0).all()
    assert (found.log_odds[:4, -1] > 0).all()
    np.testing.assert_array_equal(found.log_odds[4:] > 0, hidden.log_odds[4:] > 0)


def test_what_targets_pass_on_still_speaks_for_false_edges(rng):
    """A parent that is a target beyond doubt moves, and a child that stands still is past the graph."""
    D, G = 20, 12
    further = np.zeros((G, G))
    further[0, 1] = 1.0
    estimate = 0.01 * rng.normal(size=(D, G))
    estimate[:5, 0] += 2.0
    estimate[:5, 1] -= 2.0
    variance = np.full((2, D, G), 0.01**2)
    alone = estimate + estimate @ further
    variance[1] += variance[0] @ further**2
    shifts, _ = shifts_of(estimate, variance, passed=(alone - estimate) ** 2, alone=alone)
    found = fit_background(replace(shifts, further=further), D)
    assert (found.log_odds[:5, 0] > 0).all() and (found.log_odds[:5, 1] < 0).all()
