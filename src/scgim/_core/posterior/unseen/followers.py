"""Genes that follow a target by effects that cells do not show (layer `_core`; not from the paper).

Noise of counting, and whatever else makes a gene vary from cell to cell that no other gene follows, hides effects within
contexts while means pass them on: genes further down then look like further targets. So a gene that moves with a target is
weighed once more. It is a target of its own, drifts, or follows a target i of the drug by an unseen effect b, of which cells
show the part ``r b``, r uniform between 0 and `shown`. For all sets of targets among the likeliest genes of a drug the
likelihood is exact. How often genes follow, also along edges and against them, by how much, how much of it
cells show, and how many targets drugs have and of which sign is learned from all drugs. Targets are weighed over both, that genes
follow and that none does.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import expit, log_ndtr, logit

from scgim._core.arrays import sum_by
from scgim._core.posterior.background import LARGEST_PRIOR, Background, log_normal, prior_range
from scgim._core.posterior.shifts import Shifts, Slopes
from scgim._core.posterior.unseen.signs import Signs

MOST_SOURCES = 5  # genes of a drug that are weighed as what others follow
LIKELY = -3.0  # log odds from which a gene is one of them
SHOWN = (0.1, 0.25, 0.5, 1.0)  # largest parts of effects that cells show, which are tried
N_STEPS = 8  # of expectation maximisation for each of these, at the most
CONVERGED = 0.1  # nats
WORTH = 3.0  # nats that unseen effects have to gain to be as likely as none, or a smaller part of them that is shown
NO_DOUBT = 0.05  # probability that there are unseen effects, or none, below which they are not weighed: it would reorder sure targets
USUAL_FOLLOWERS = 2.0  # genes that follow another, before anything is learned
USUAL_JOINED = 0.1  # share of genes at an edge that follow along it or against it, before
MOST_FOLLOW = np.array([0.25, 0.5, 0.5])  # of genes without an edge to the other, along and against one
FIRST = 0.5  # followers of each kind that are counted before
SIZES = 0.1, 1.0  # of unseen effects, between standard deviations of genes, at the least and at the most
LARGEST_FACTOR = 50.0  # log Bayes factor: more is as good as certain
TINY = 1e-300
BLOCK_VALUES = 30_000  # of sets of targets and genes that are weighed at once, so that they stay near the processor


class Drugs(NamedTuple):
    """n drugs with k likely targets each ``(n, k)``, and what is known of all genes, ``(n, 1, G)`` or ``(n, k, G)``."""

    sources: np.ndarray
    log_ratio: np.ndarray  # (n, 1, G) of target against drift
    square: np.ndarray  # (n, 1, G) of the residual shift
    variance: np.ndarray  # (n, 1, G) of its error and drift
    moved2: np.ndarray  # (n, k, G) square of the source's shift, without what the gene itself passes on to it
    joined: np.ndarray  # (n, k, G) by an edge from source to gene (1), from gene to source (2), or by none (0)
    sign: np.ndarray  # (n, 1, G) log Bayes factor of a target by its sign


class Block(NamedTuple):
    """n drugs that are weighed at once, with k likely targets each."""

    row: np.ndarray  # (n,) among all drugs
    sources: np.ndarray  # (n, k)


@dataclass(frozen=True)
class AllDrugs:
    """What is known of all drugs, levels of a covariate taken together; ``(D, G)`` each, from which blocks are cut as they are needed."""

    log_ratio: np.ndarray
    residual: np.ndarray  # shift beyond what parents pass on
    variance: np.ndarray  # of its error and drift
    whole: np.ndarray  # shift, and its error variance
    of_whole: np.ndarray
    slopes: Slopes  # (G, G)
    passed_on: np.ndarray  # (G, G) to a source (row) by each gene (column) further up, of each unit of its own shift
    blocks: list[Block]  # drugs with likely targets

    def drugs(self, block: Block, sign: np.ndarray) -> Drugs:
        """Those of a block, of log Bayes factors by signs ``(D, G)``."""
        d, sources = block
        moved2 = self.moved(block) ** 2 + np.take_along_axis(self.of_whole[d], sources, 1)[:, :, None]
        lr, residual, variance = (values[d][:, None] for values in (self.log_ratio, self.residual, self.variance))
        joined = self.slopes.joined[sources]
        return Drugs(sources, lr, residual**2, variance, moved2, joined, sign[d][:, None])

    def moved(self, block: Block) -> np.ndarray:
        """Shifts ``(n, k, G)`` of sources that each gene may follow: without what it passes on to them itself."""
        d, sources = block
        whole = np.take_along_axis(self.whole[d], sources, 1)[:, :, None]  # (n, k, 1)
        return np.asarray(whole - self.passed_on[sources] * self.residual[d][:, None])

    def factor(self, block: Block, shown: float) -> np.ndarray:
        """Bayes factors ``(n, k, G)`` of the effects of sources that would explain each gene; see `log_bayes_factor`."""
        d, sources = block
        moved = self.moved(block)
        passed = self.residual[d][:, None] / np.where(moved == 0, 1e-9, moved)
        return np.exp(log_bayes_factor(passed, Slopes(*(part[sources] for part in self.slopes)), shown))


@dataclass
class FollowerPrior:
    """What is learned of all drugs: probabilities of targets and followers, variance of effects, what cells show of them."""

    target: float
    follow: np.ndarray  # (3,) where no edge, one from the target, or one to it joins the pair
    effect2: float
    shown: float


class FollowerPosterior(NamedTuple):
    """Posterior of n drugs."""

    log_odds: np.ndarray  # (n, G)
    follow: np.ndarray  # (n, k, G) probability that the gene follows the source
    chances: np.ndarray  # (3,) expected pairs of a target and another gene, by the edge that joins them
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


def log_sum(x: np.ndarray) -> np.ndarray:
    """Log of the sum of exponentials over the second axis."""
    top = x.max(axis=1)
    return np.asarray(top + np.log(np.exp(x - top[:, None]).sum(axis=1)))


def weigh(drugs: Drugs, factor: np.ndarray, prior: FollowerPrior, target_variance: float) -> FollowerPosterior:
    """Sums over all sets S of targets among the sources, with Bayes factors of unseen effects ``(n, k, G)``.

    Other genes are targets or not on their own. Of a gene that is no target `off` is the likelihood, `none` the part where
    it follows nothing, both relative to drift and ``exp(-top)``; `each` has the target beside.
    """
    (n, k), q, lr = drugs.sources.shape, prior.follow[0], drugs.log_ratio
    on = (np.arange(2**k)[:, None] >> np.arange(k) & 1) > 0  # (S, k)
    first, own = np.arange(n)[:, None], drugs.sources
    w = q * factor / (1 - 2 * q + 2 * q * factor)  # (n, k, G): as likely the other way, or both follow another gene
    w = np.where(drugs.joined > 0, prior.follow[drugs.joined], w)
    w[first, np.arange(k), own] = 0.0
    wide = drugs.variance + prior.effect2 * drugs.moved2
    size = log_normal(drugs.square, wide) - log_normal(drugs.square, drugs.variance + target_variance)
    target = lr + drugs.sign + logit(prior.target)  # (n, 1, G)
    top = np.maximum(target, 0.0)
    way = w / (1 - w) * np.exp(np.minimum(size + lr - top, 600.0))  # (n, k, G)
    none = np.ones(top.shape)
    for i in range(k):
        none = np.concatenate([none, none * (1 - w[:, i : i + 1])], axis=1)  # (n, S, G) at last
    off = on @ way
    off += np.exp(-top)
    off *= none
    with np.errstate(divide="ignore"):
        log_off = np.log(off[first, :, own])  # (n, k, S) of sources
    log_off = np.where(log_off > -np.inf, log_off, np.log(none[first, :, own]) - top[first, 0, own][..., None])
    as_target = np.exp(target - top)
    each = off + as_target
    off[first, :, own] *= ~on.T
    each[first, :, own] = np.where(on.T, as_target[first, 0, own][..., None], off[first, :, own])  # (n, k, S)
    with np.errstate(divide="ignore"):
        log_each = np.log(each)
    log_each[first, :, own] = np.where(on.T, (target - top)[first, 0, own][..., None], log_off)
    score = log_each.sum(axis=2) + top.sum(axis=2)  # (n, S)
    total = log_sum(score)  # (n,)
    log_share = (score - total[:, None])[..., None]  # (n, S, 1)
    share = np.exp(log_share)
    np.divide(share, each, out=each, where=each > 0)
    off *= each
    with np.errstate(divide="ignore", invalid="ignore"):  # of sources, which have their odds from the sets
        odds = target[:, 0] - top[:, 0] + np.log(each.sum(axis=1)) - np.log(off.sum(axis=1))  # (n, G)
    odds = np.where(np.isfinite(odds), odds, target[:, 0])  # where nothing but a target is likely
    odds[first, own] = log_sum(np.where(on, log_share, -np.inf)) - log_sum(np.where(on, -np.inf, log_share))
    none *= each
    none[first, :, own] *= ~on.T
    hit = share[..., 0] @ on  # (n, k)
    chances = by_edge(drugs.joined, np.broadcast_to(hit[:, :, None], way.shape))
    chances[0] -= hit.sum()  # with itself
    return FollowerPosterior(
        odds, way * (on.T @ none), chances, float(total.sum() + lr[:, 0].size * np.log1p(-prior.target))
    )


def by_edge(joined: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sums ``(3,)`` of values of pairs by the edge that joins them."""
    return np.bincount(joined.ravel(), values.ravel(), 3)


def usual_follow(n_genes: int) -> np.ndarray:
    """Share ``(3,)`` of genes that follow another, by edge, before anything is learned."""
    return np.minimum([USUAL_FOLLOWERS / n_genes, USUAL_JOINED, USUAL_JOINED], MOST_FOLLOW)


class Followed(NamedTuple):
    """Posterior of all drugs."""

    log_odds: np.ndarray  # (D, G) of targets
    follow: np.ndarray  # (D, G) probability that a gene follows a target, if it is none
    evidence: float


def learn(screen: AllDrugs, background: Background, prior: FollowerPrior, signs: Signs) -> Followed:
    """Expectation maximisation; `prior` is learned, in place. One block is weighed after the other; Bayes factors and sums are kept."""
    D, G = background.log_ratio.shape
    factors = [screen.factor(block, prior.shown) for block in screen.blocks]
    idle = np.setdiff1d(np.arange(D), [d for block in screen.blocks for d in block.row])
    before, odds, follow, evidence = -np.inf, np.empty(0), np.empty(0), 0.0
    sign = signs.settle(background.log_odds)
    for _ in range(N_STEPS):
        odds, follow = background.log_ratio + sign + logit(prior.target), np.zeros((D, G))
        evidence, chances, pairs, square = 0.0, np.zeros(3), np.zeros(3), SIZES[1] / 4
        for block, factor in zip(screen.blocks, factors, strict=True):
            drugs = screen.drugs(block, sign)
            each = weigh(drugs, factor, prior, background.effect_sd**2)
            odds[block.row] = each.log_odds
            ratio = each.follow.sum(axis=1) / np.maximum(expit(-each.log_odds), TINY)
            follow[block.row] = np.minimum(ratio, 1.0)
            evidence, chances = evidence + each.evidence, chances + each.chances
            pairs += by_edge(drugs.joined, each.follow)
            square += float((each.follow * np.maximum(drugs.square - drugs.variance, 0.0) / drugs.moved2).sum())
        evidence += evidence_of(odds[idle], prior.target)
        if evidence - before < CONVERGED:
            break
        before = evidence
        prior.follow = np.clip((pairs + FIRST) / (chances + FIRST / usual_follow(G)), TINY, MOST_FOLLOW)
        prior.effect2 = float(np.clip(square / (pairs.sum() + 2 * FIRST), SIZES[0] ** 2, SIZES[1] ** 2))
        sign = signs.weigh(expit(odds))
        prior.target = float(np.clip((expit(odds).sum() + 1) / (odds.size + G / 2), *prior_range(G)))
    return Followed(odds, follow, evidence)


def evidence_of(odds: np.ndarray, prior: float) -> float:
    """Log evidence of genes on their own, with these log odds of being targets and this prior probability."""
    return float((np.logaddexp(0.0, odds) + np.log1p(-prior)).sum())


def evidence_alone(background: Background, sign: np.ndarray) -> float:
    """Log evidence where no gene follows another, at the best prior probability of a target and with weights of signs.

    It may be larger than elsewhere: drugs that act broadly are no evidence of followers.
    """
    lr, p, evidence = background.log_ratio + sign, background.p_target, -np.inf
    least = prior_range(lr.shape[1])[0]
    for _ in range(2 * N_STEPS):
        odds = lr + logit(p)
        evidence = evidence_of(odds, p)
        p = float(np.clip((expit(odds).sum() + 1) / (odds.size + lr.shape[1] / 2), least, LARGEST_PRIOR))
    return evidence


def find_drugs(shifts: Shifts, background: Background, slopes: Slopes) -> AllDrugs:
    """What is known of all drugs, and those with likely targets, in blocks with as many."""
    D, G = background.log_ratio.shape
    row = shifts.contrasts.drug
    n = np.maximum(np.bincount(row, minlength=D), 1)[:, None]
    residual, whole = (sum_by(values, row, D) / n for values in shifts.estimate)  # (D, G)
    variance = sum_by(shifts.variance[0] + background.scale, row, D) / n
    of_whole = sum_by(shifts.variance[1], row, D) / n
    likely = np.argsort(-background.log_odds, axis=1, kind="stable")[:, :MOST_SOURCES]  # (D, k)
    is_likely = np.take_along_axis(background.log_odds, likely, 1) > LIKELY
    is_likely[np.bincount(row, minlength=D) == 0] = False
    blocks = []
    for k in range(1, MOST_SOURCES + 1):
        of_size = np.flatnonzero(is_likely.sum(axis=1) == k)
        step = max(1, BLOCK_VALUES // (2**k * G))
        blocks += [
            Block(d, likely[d, :k]) for d in (of_size[start : start + step] for start in range(0, len(of_size), step))
        ]
    passed_on = np.zeros(slopes.value.shape)
    if (
        shifts.further is not None
    ):  # not by an edge, which may be turned round: the whole shift is the source's own then
        passed_on = np.where(slopes.joined == 0, shifts.further.T, 0.0)
    return AllDrugs(background.log_ratio, residual, variance, whole, of_whole, slopes, passed_on, blocks)


def weigh_followers(shifts: Shifts, background: Background) -> Followed:
    """Log odds of targets, where genes may follow these by effects that cells do not show.

    The least that cells may show is tried first, for it has nearly all there is to gain; then the most that is as likely
    is kept. Beside no followers it counts by its evidence: a threshold would let calls hang on a tenth of a nat.
    """
    G, signs = background.log_odds.shape[1], Signs.of(shifts, background)
    sign = signs.settle(background.log_odds)
    alone = Followed(background.log_odds + sign, np.zeros(sign.shape), evidence_alone(background, sign))
    if shifts.slopes is None or G < 2:
        return alone
    slopes = shifts.slopes
    if len(np.unique(shifts.contrasts.drug)) == 1:  # which does not tell how often edges are wrong
        slopes = slopes._replace(joined=np.zeros_like(slopes.joined))
    screen = find_drugs(shifts, background, slopes)
    best = alone
    for shown in SHOWN:
        found = learn(
            screen, background, FollowerPrior(background.p_target, usual_follow(G), SIZES[1] / 4, shown), signs
        )
        likely = found.evidence >= alone.evidence + WORTH
        if best is alone or (likely and found.evidence > best.evidence - WORTH):
            best = found._replace(evidence=max(found.evidence, best.evidence) if likely else found.evidence)
        if not likely:
            break
    share = float(expit(best.evidence - alone.evidence - WORTH))
    if min(share, 1 - share) < NO_DOUBT:
        return best if share > 0.5 else alone
    return either(alone, best, share)


def either(one: Followed, other: Followed, share: float) -> Followed:
    """Mixture of two posteriors, the other one with this probability."""
    weights, odds = np.log([1 - share, share]), (one.log_odds, other.log_odds)
    on = np.logaddexp(*(w - np.logaddexp(0.0, -o) for w, o in zip(weights, odds, strict=True)))  # (D, G)
    off = np.logaddexp(*(w - np.logaddexp(0.0, o) for w, o in zip(weights, odds, strict=True)))
    followed = np.exp(
        weights - np.logaddexp(0.0, np.stack(odds, axis=-1)) - off[..., None]
    )  # (D, G, 2) given no target
    return Followed(
        on - off,
        one.follow * followed[..., 0] + other.follow * followed[..., 1],
        float(np.logaddexp(*(weights + [one.evidence, other.evidence]))),
    )
