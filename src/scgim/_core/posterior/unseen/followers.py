"""Genes that follow a target by effects that cells do not show (layer `_core`; not from the paper).

Noise of counting, and whatever else makes a gene vary from cell to cell that no other gene follows, hides effects within
contexts while means pass them on: genes further down then look like further targets. So a gene that moves with a target is
weighed once more. It is a target of its own, drifts, or follows a target i of the drug by an unseen effect b, of which cells
show the part ``r b``, r uniform between 0 and `shown`. For all sets of targets among the likeliest genes of a drug the
likelihood is exact. How often genes follow, by how much, how much of it cells show, and how many targets drugs have is
learned from all drugs; where it gains too little, nothing follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import expit, log_ndtr, logit, logsumexp

from scgim._core.arrays import sum_by
from scgim._core.posterior.background import Background, log_normal, prior_range
from scgim._core.posterior.shifts import Shifts, Slopes

MOST_SOURCES = 5  # genes of a drug that are weighed as what others follow
LIKELY = -3.0  # log odds from which a gene is one of them
SHOWN = (0.1, 0.25, 0.5, 1.0)  # largest parts of effects that cells show, which are tried
N_STEPS = 8  # of expectation maximisation for each of these, at the most
CONVERGED = 0.1  # nats
WORTH = 3.0  # nats that unseen effects, or a smaller part of them that is shown, have to gain
USUAL_FOLLOWERS = 2.0  # genes that follow another, before anything is learned
MOST_FOLLOW = 0.25  # of all genes
SIZES = 0.1, 1.0  # of unseen effects, between standard deviations of genes, at the least and at the most
LARGEST_FACTOR = 50.0  # log Bayes factor: more is as good as certain
TINY = 1e-300


class Drug(NamedTuple):
    """One drug: likely targets ``(k,)`` and what is known of all genes, ``(G,)`` or ``(k, G)``."""

    row: int  # among the drugs
    sources: np.ndarray
    log_ratio: np.ndarray  # (G,) of target against drift
    square: np.ndarray  # (G,) of the residual shift
    variance: np.ndarray  # (G,) of its error and drift
    moved2: np.ndarray  # (k, 1) square of the source's shift
    passed: np.ndarray  # (k, G) effect of a source on each gene that would explain it
    slope: Slopes  # (k, G)


@dataclass
class Prior:
    """What is learned of all drugs: probabilities of targets and followers, variance of effects, what cells show of them."""

    target: float
    follow: float
    effect2: float
    shown: float


class Weighed(NamedTuple):
    """Posterior of one drug."""

    log_odds: np.ndarray  # (G,)
    follow: np.ndarray  # (k, G) probability that the gene follows the source
    chances: float  # expected pairs of a target and another gene
    evidence: float


def log_bayes_factor(passed: np.ndarray, slope: Slopes, shown: float) -> np.ndarray:
    """Log evidence of slopes within contexts for effects of this size, seen in part (0 to `shown`), against none."""
    size = np.maximum(shown * np.abs(passed) / slope.sd, 1e-6)
    t = np.where(passed < 0, -slope.value, slope.value) / slope.sd
    flip = t - size > 0
    top, bottom = log_ndtr(np.where(flip, size - t, t)), log_ndtr(np.where(flip, -t, t - size))
    mass = top + np.log(-np.expm1(np.minimum(bottom - top, -TINY)))
    found = mass - np.log(size) + 0.5 * np.log(2 * np.pi) + 0.5 * t**2
    return np.asarray(np.where(slope.known, np.minimum(found, LARGEST_FACTOR), 0.0))


def weigh(drug: Drug, factor: np.ndarray, prior: Prior, target_variance: float) -> Weighed:
    """Sums over all sets S of targets among the sources, with Bayes factors of unseen effects ``(k, G)``.

    Other genes are targets or not on their own.
    """
    k, q, lr = len(drug.sources), prior.follow, drug.log_ratio
    on = (np.arange(2**k)[:, None] >> np.arange(k) & 1) > 0  # (S, k)
    w = q * factor / (1 - 3 * q + 2 * q * factor)  # (k, G): or the other way round, or both follow another gene
    w[np.arange(k), drug.sources] = 0.0
    wide = drug.variance + prior.effect2 * drug.moved2
    size = log_normal(drug.square, wide) - log_normal(drug.square, drug.variance + target_variance)
    way = w / (1 - w) * np.exp(np.minimum(size + lr, 600.0))  # (k, G)
    none = on @ np.log1p(-w)  # (S, G)
    off = none + np.log1p(on @ way)
    target = lr + logit(prior.target)
    rest = np.setdiff1d(np.arange(len(lr)), drug.sources)
    each = np.logaddexp(off[:, rest], target[rest])
    score = each.sum(axis=1) + on @ target[drug.sources] + (off[:, drug.sources] * ~on).sum(axis=1)  # (S,)
    total = float(logsumexp(score))
    log_share = score - total
    odds, still = np.empty(len(lr)), np.empty(off.shape)
    still[:, drug.sources], still[:, rest] = ~on, np.exp(off[:, rest] - each)
    for i, g in enumerate(drug.sources):
        odds[g] = logsumexp(log_share[on[:, i]]) - logsumexp(log_share[~on[:, i]])
    odds[rest] = target[rest] - logsumexp(log_share[:, None] + off[:, rest] - each, axis=0)
    odds[rest] += logsumexp(log_share[:, None] - each, axis=0)
    share = np.exp(log_share)
    follow = way * (on.T @ (share[:, None] * still * np.exp(none - off)))
    chances = float(share @ on.sum(axis=1)) * (len(lr) - 1)
    return Weighed(odds, follow, chances, total + len(lr) * float(np.log1p(-prior.target)))


class Learned(NamedTuple):
    """Posterior of all drugs."""

    log_odds: np.ndarray  # (D, G) of targets
    follow: np.ndarray  # (D, G) probability that a gene follows a target, if it is none
    evidence: float


def learn(drugs: list[Drug], background: Background, prior: Prior) -> Learned:
    """Expectation maximisation; `prior` is learned, in place."""
    D, G = background.log_ratio.shape
    factors = [np.exp(log_bayes_factor(drug.passed, drug.slope, prior.shown)) for drug in drugs]
    before, found, rows = -np.inf, [], [drug.row for drug in drugs]
    for _ in range(N_STEPS):
        found = [weigh(*each, prior, background.effect_sd**2) for each in zip(drugs, factors, strict=True)]
        odds, follow = background.log_ratio + logit(prior.target), np.zeros((D, G))
        evidence = sum(each.evidence for each in found) + evidence_of(np.delete(odds, rows, axis=0), prior.target)
        for drug, each in zip(drugs, found, strict=True):
            odds[drug.row] = each.log_odds
            follow[drug.row] = np.minimum(each.follow.sum(axis=0) / np.maximum(expit(-each.log_odds), TINY), 1.0)
        if evidence - before < CONVERGED:
            break
        before, pairs, square = evidence, 0.5, SIZES[1] / 4
        for drug, each in zip(drugs, found, strict=True):
            pairs += float(each.follow.sum())
            square += float((each.follow * np.maximum(drug.square - drug.variance, 0.0) / drug.moved2).sum())
        chances = sum(each.chances for each in found) + 0.5 * G / USUAL_FOLLOWERS
        prior.follow = float(np.clip(pairs / chances, TINY, MOST_FOLLOW))
        prior.effect2 = float(np.clip(square / (pairs + 0.5), SIZES[0] ** 2, SIZES[1] ** 2))
        prior.target = float(np.clip((expit(odds).sum() + 1) / (odds.size + G / 2), *prior_range(G)))
    return Learned(odds, follow, evidence)


def evidence_of(odds: np.ndarray, prior: float) -> float:
    """Log evidence of genes on their own, with these log odds of being targets and this prior probability."""
    return float((np.logaddexp(0.0, odds) + np.log1p(-prior)).sum())


def evidence_alone(background: Background) -> float:
    """Log evidence where no gene follows another, at the best prior probability of a target."""
    lr, p, evidence = background.log_ratio, background.p_target, -np.inf
    for _ in range(2 * N_STEPS):
        odds = lr + logit(p)
        evidence = evidence_of(odds, p)
        p = float(np.clip((expit(odds).sum() + 1) / (odds.size + lr.shape[1] / 2), *prior_range(lr.shape[1])))
    return evidence


def find_drugs(shifts: Shifts, background: Background, slopes: Slopes) -> list[Drug]:
    """What is known of each drug with a likely target; levels of a covariate taken together."""
    D, G = background.log_ratio.shape
    row = shifts.contrasts.drug
    n = np.maximum(np.bincount(row, minlength=D), 1)[:, None]
    residual, whole = (sum_by(values, row, D) / n for values in shifts.estimate)  # (D, G)
    variance, of_whole = (
        sum_by(shifts.variance[0] + background.scale, row, D) / n,
        sum_by(shifts.variance[1], row, D) / n,
    )
    out = []
    for d in np.unique(row):
        odds = background.log_odds[d]
        sources = np.argsort(-odds, kind="stable")[:MOST_SOURCES]
        sources = sources[odds[sources] > LIKELY]
        if len(sources):
            moved = whole[d, sources, None]
            passed = residual[d] / np.where(moved == 0, 1e-9, moved)
            moved2 = moved**2 + of_whole[d, sources, None]
            slope = Slopes(*(part[sources] for part in slopes))
            at = residual[d] ** 2, variance[d], moved2, passed, slope
            out.append(Drug(int(d), sources, background.log_ratio[d], *at))
    return out


def weigh_followers(shifts: Shifts, background: Background) -> Learned:
    """Log odds of targets, where genes may follow these by effects that cells do not show.

    The least that cells may show is tried first, for it has nearly all there is to gain; then the most that is as likely
    is kept.
    """
    G, alone = background.log_odds.shape[1], evidence_alone(background)
    best = Learned(background.log_odds, np.zeros(background.log_odds.shape), alone)
    if shifts.slopes is None or G < 2:
        return best
    drugs = find_drugs(shifts, background, shifts.slopes)
    for shown in SHOWN:
        prior = Prior(background.p_target, min(USUAL_FOLLOWERS / G, MOST_FOLLOW), SIZES[1] / 4, shown)
        found = learn(drugs, background, prior)
        if found.evidence < alone + WORTH:
            break
        if found.evidence > best.evidence - WORTH:
            best = found._replace(evidence=max(found.evidence, best.evidence))
    return best
