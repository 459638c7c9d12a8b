"""Genes that follow a target by effects that cells do not show: enumerated likelihoods, and shifts that are made here."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm
from tests._core.posterior.test_background import shifts_of

from scgim._core.posterior.background import fit_background
from scgim._core.posterior.shifts import Slopes
from scgim._core.posterior.unseen import followers
from scgim._core.posterior.unseen.followers import (
    TINY,
    Drugs,
    Followed,
    FollowerPrior,
    either,
    evidence_alone,
    find_drugs,
    learn,
    log_bayes_factor,
    weigh,
    weigh_followers,
)
from scgim._core.posterior.unseen.signs import Signs


@pytest.mark.parametrize(("passed", "value"), [(0.8, 0.1), (-0.8, 0.1), (0.5, -0.02), (0.3, 0.5), (1e-9, 0.0)])
@pytest.mark.parametrize("shown", [1.0, 0.1])
def test_slopes_speak_for_effects_as_the_integral_over_what_is_shown_says(passed, value, shown):
    known = Slopes(np.array(value), np.array(0.05), np.array(True), np.array(0))
    found = log_bayes_factor(np.array(passed), known, shown)
    density = quad(lambda r: norm.pdf(value, r * passed, 0.05), 0, shown, points=[0.0, shown / 2])[0] / shown
    assert float(found) == pytest.approx(np.log(density / norm.pdf(value, 0, 0.05)), abs=1e-5)
    unknown = known._replace(known=np.array(False))
    assert float(log_bayes_factor(np.array(passed), unknown, shown)) == 0


def test_drugs_are_weighed_over_all_sets_of_targets(rng):
    n, G, prior, wide = 2, 5, FollowerPrior(0.1, np.array([0.05, 0.2, 0.02]), 0.3, 0.5), 0.8
    shift, variance, lr = rng.normal(size=(n, 1, G)), np.full((n, 1, G), 0.02), rng.normal(size=(n, 1, G)) * 2
    sources = np.array([[3, 0], [1, 2]])
    joined, sign = rng.integers(0, 3, (n, 2, G)), rng.normal(size=(n, 1, G))
    joined[np.arange(n)[:, None], [0, 1], sources] = 0
    slope = Slopes(rng.normal(size=(n, 2, G)) * 0.1, np.full((n, 2, G), 0.05), np.ones((n, 2, G), bool), joined)
    moved = np.take_along_axis(shift[:, 0], sources, 1)[..., None]
    drugs = Drugs(sources, lr, shift**2, variance, moved**2, joined, sign)
    factor = np.exp(log_bayes_factor(shift / moved, slope, prior.shown))
    found = weigh(drugs, factor, prior, wide)
    q, evidence = prior.follow[0], 0.0
    w = np.where(
        joined > 0, prior.follow[joined], q * factor / (q * factor + q * factor + 1 - 2 * q)
    )  # follows, is otherwise linked, is not
    for d in range(n):
        of = enumerated(shift[d, 0], variance[d, 0], lr[d, 0], sign[d, 0], sources[d], w[d], prior, wide)
        np.testing.assert_allclose(expit(found.log_odds[d]), of[0])
        np.testing.assert_allclose(found.follow[d], of[1])
        evidence += np.log(of[2])
    assert found.evidence == pytest.approx(evidence)
    hit = np.array([[of_drug[i] for i in own] for of_drug, own in zip(expit(found.log_odds), sources, strict=True)])
    pairs = [(hit * ((joined == kind).sum(axis=2) - (kind == 0))).sum() for kind in range(3)]  # but with itself
    np.testing.assert_allclose(found.chances, pairs)


def enumerated(shift, variance, lr, sign, sources, w, prior, wide):
    """Probabilities of targets and followers, and the likelihood of one drug, over all sets of targets among all genes."""
    G = len(shift)
    total, target, follow = 0.0, np.zeros(G), np.zeros((2, G))
    drift = norm.pdf(shift, 0, np.sqrt(variance + wide)) / np.exp(lr)
    for on in product([False, True], repeat=G):
        parts, ways = np.ones(G), np.zeros((2, G))
        for j in range(G):
            if on[j]:
                parts[j] = prior.target * np.exp(lr[j] + sign[j])
                continue
            own = [i for i in range(2) if on[sources[i]]]
            none = np.prod([1 - w[i, j] for i in own])
            sizes = norm.pdf(shift[j], 0, np.sqrt(variance[j] + prior.effect2 * shift[sources] ** 2)) / drift[j]
            for i in own:
                ways[i, j] = none * w[i, j] / (1 - w[i, j]) * sizes[i]
            parts[j] = (1 - prior.target) * (none + ways[:, j].sum())
            ways[:, j] *= (1 - prior.target) / parts[j]
        weight = np.prod(parts)
        total, target, follow = total + weight, target + weight * np.array(on), follow + weight * ways
    return target / total, follow / total, total


def no_edges(G):
    """All slopes are known, no edge joins genes."""
    return np.ones((G, G), bool), np.zeros((G, G), int)


def screen(rng, *, shown, D=16, G=40):
    """Each drug moves one gene by 1.5, which moves four others by half of that; what cells show of it."""
    estimate, slope = rng.normal(size=(D, G)) * 0.05, rng.normal(size=(G, G)) * 0.02
    for d in range(D):
        estimate[d, d] += 1.5
        followers = D + (4 * d + np.arange(4)) % (G - D)
        estimate[d, followers] += 0.75
        slope[d, followers] += 0.5 * shown
    shifts, _ = shifts_of(estimate, 0.0025)
    return replace(shifts, slopes=Slopes(slope, np.full((G, G), 0.02), *no_edges(G)))


def test_genes_further_down_are_no_targets_where_cells_hint_at_the_effect(rng):
    shifts = screen(rng, shown=0.15)
    background = fit_background(shifts, 16)
    assert (background.log_odds > 0).sum() > 70
    found = weigh_followers(shifts, background)
    own = np.eye(16, 40, dtype=bool)
    assert (found.log_odds[own] > np.log(9)).all()
    assert (found.log_odds[~own] < np.log(9)).all()
    assert found.follow[~own & (background.log_odds > 0)].min() > 0.5


def test_drugs_in_blocks_are_weighed_as_all_at_once(rng, monkeypatch):
    shifts = screen(rng, shown=0.15)
    background = fit_background(shifts, 16)
    found = []
    for values in (1, 500, 10_000_000):
        monkeypatch.setattr(followers, "BLOCK_VALUES", values)
        found.append(weigh_followers(shifts, background))
    assert (found[0].follow > 0.5).any()
    for each in found[1:]:
        for part, whole in zip(each, found[0], strict=True):
            np.testing.assert_allclose(part, whole, rtol=1e-9, atol=1e-12)


def test_nothing_changes_where_cells_speak_against_effects(rng):
    estimate = rng.normal(size=(16, 40)) * 0.05
    estimate[:, :3] += rng.normal(size=(16, 3)) * (rng.random((16, 3)) < 0.3) * 2
    shifts, _ = shifts_of(estimate, 0.0025)
    slopes = Slopes(rng.normal(size=(40, 40)) * 0.02, np.full((40, 40), 0.02), *no_edges(40))
    background = fit_background(shifts, 16)
    found = weigh_followers(replace(shifts, slopes=slopes), background)
    np.testing.assert_array_equal(found.log_odds, weigh_followers(shifts, background).log_odds)
    np.testing.assert_allclose(found.log_odds, background.log_odds, atol=1.0)  # but for the signs of some ten targets


def test_drugs_without_a_likely_target_count_as_where_nothing_follows(rng):
    shifts, _ = shifts_of(rng.normal(size=(46, 40)) * 0.05, 0.0025)
    background, pairs = fit_background(shifts, 46), np.ones((40, 40))
    screen = find_drugs(shifts, background, Slopes(0 * pairs, pairs, *no_edges(40)))
    assert sum(len(block.row) for block in screen.blocks) < 40
    signs = Signs.of(shifts, background)
    found = learn(screen, background, FollowerPrior(background.p_target, np.full(3, TINY), 0.25, 0.1), signs)
    sign = signs.settle(background.log_odds)
    assert found.evidence == pytest.approx(evidence_alone(background, sign), abs=0.2)


def test_targets_beyond_doubt_have_numbers_for_odds(rng):
    estimate = rng.normal(size=(8, 20)) * 0.05
    estimate[np.arange(8), np.arange(8)], estimate[0, 8:16] = 60.0, 50.0
    shifts, _ = shifts_of(estimate, 1e-4)
    background, pairs = fit_background(shifts, 8), np.ones((20, 20))
    assert background.log_odds.max() > 1000
    screen = find_drugs(shifts, background, Slopes(0 * pairs, pairs, *no_edges(20)))
    found = learn(
        screen, background, FollowerPrior(background.p_target, np.full(3, 0.1), 0.25, 0.1), Signs.of(shifts, background)
    )
    assert np.isfinite([found.log_odds, found.follow]).all() and np.isfinite(found.evidence)


def test_genes_that_move_beyond_doubt_may_follow():
    shift, variance, wide, prior = (
        np.array([[[5.0, 2.0, 0.0]]]),
        np.full((1, 1, 3), 1e-4),
        0.8,
        FollowerPrior(0.05, np.full(3, 0.1), 0.25, 0.5),
    )
    lr = norm.logpdf(shift, 0, np.sqrt(variance + wide)) - norm.logpdf(shift, 0, np.sqrt(variance))
    none = np.zeros((1, 1, 3))
    drugs = Drugs(np.array([[0]]), lr, shift**2, variance, np.full((1, 1, 1), 25.0), none.astype(int), none)
    assert lr[0, 0, 1] > 1000
    assert weigh(drugs, np.full((1, 1, 3), 30.0), prior, wide).follow[0, 0, 1] > 0.5


@pytest.mark.parametrize("sd", [0.02, 0.1])
def test_a_drug_that_acts_broadly_is_no_evidence_of_followers(rng, sd):
    estimate = rng.normal(size=(1, 100)) * 0.05
    estimate[:, :30] += rng.choice([-1, 1], 30) * rng.uniform(0.3, 0.8, 30)
    shifts, _ = shifts_of(estimate, 0.0025)
    known, joined = (
        np.ones((100, 100), bool),
        rng.integers(0, 3, (100, 100)),
    )
    slopes = Slopes(rng.normal(size=(100, 100)) * sd, np.full((100, 100), sd), known, joined)
    background = fit_background(shifts, 1)
    found = weigh_followers(replace(shifts, slopes=slopes), background)
    assert ((found.log_odds > np.log(9)).sum(axis=1) >= 29).all()
    np.testing.assert_array_equal(found.log_odds, background.log_odds)


@pytest.mark.parametrize("turned", [False, True])
def test_genes_that_an_edge_joins_to_the_target_follow_beyond_it_where_they_often_do(rng, turned):
    shifts = screen(rng, shown=0.0)
    background = fit_background(shifts, 16)
    own, follows = np.eye(16, 40, dtype=bool), shifts.estimate[0] > 0.4
    edge = np.zeros((40, 40), bool)
    edge[:16] = follows & ~own
    edge = edge.T if turned else edge
    slopes = shifts.slopes._replace(known=~(edge | edge.T), joined=edge + 2 * edge.T)
    found = weigh_followers(replace(shifts, slopes=slopes), background)
    np.testing.assert_array_equal(found.log_odds > np.log(9), own)


def test_no_gene_follows_what_it_moves_itself():
    """Gene 0 acts on gene 2 by way of gene 1; a drug moves it far and gene 2 a little, so that gene 2 moves as far."""
    further = np.zeros((4, 4))
    further[0, 1], further[0, 2], further[1, 2] = 1.0, 1.0, 1.0
    own = np.array([[6.0, 0.0, -0.5, 0.0], [0.0, 0.0, 0.0, 1.0]])
    shifts, _ = shifts_of(own, 0.0025)
    shifts = replace(shifts, estimate=np.stack([own, own + own @ further]), further=further)
    background = fit_background(shifts, 2)
    joined = (further > 0).astype(int) + 2 * (further.T > 0)
    joined[0, 2] = joined[2, 0] = 0
    slopes = Slopes(np.zeros((4, 4)), np.full((4, 4), 0.05), joined < 0, joined)
    screen = find_drugs(shifts, background, slopes)
    (block,) = [block for block in screen.blocks if 0 in block.row]
    drug, place = list(block.row).index(0), list(block.sources[list(block.row).index(0)]).index(2)
    moved = screen.moved(block)[drug, place]  # of gene 2, for each that may follow it
    np.testing.assert_allclose(moved, [-0.5, 5.5, 5.5, 5.5])


def test_two_posteriors_count_by_their_probability(rng):
    odds, follow = rng.normal(size=(2, 3, 5)) * 4, rng.random((2, 3, 5))
    one, other = (Followed(*parts) for parts in zip(odds, follow, (-7.0, -5.0), strict=True))
    share = np.array([0.3, 0.7])[:, None, None]
    found = either(one, other, 0.7)
    np.testing.assert_allclose(expit(found.log_odds), (share * expit(odds)).sum(axis=0))
    np.testing.assert_allclose(found.follow * expit(-found.log_odds), (share * expit(-odds) * follow).sum(axis=0))
    assert found.evidence == pytest.approx(np.log(0.3 * np.exp(-7.0) + 0.7 * np.exp(-5.0)))


def test_no_call_hangs_on_a_threshold_of_evidence(rng, monkeypatch):
    """However much followers have to gain, probabilities go from one posterior to the other by steps."""
    shifts = screen(rng, shown=0.15)
    background, signs = fit_background(shifts, 16), Signs.of(shifts, fit_background(shifts, 16))
    monkeypatch.setattr(followers, "SHOWN", (0.25,))
    prior = FollowerPrior(background.p_target, followers.usual_follow(40), 0.25, 0.25)
    following = learn(find_drugs(shifts, background, shifts.slopes), background, prior, signs).evidence
    gain, found = following - evidence_alone(background, signs.settle(background.log_odds)), []
    for worth in gain + np.arange(-6.0, 6.5, 0.5):
        monkeypatch.setattr(followers, "WORTH", worth)
        found.append(expit(weigh_followers(shifts, background).log_odds))
    steps = np.abs(np.diff(found, axis=0)).max(axis=(1, 2))
    assert np.abs(found[-1] - found[0]).max() > 0.8
    assert steps.max() < 0.15
