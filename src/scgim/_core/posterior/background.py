"""Targets among shifts of all sizes: drift and targets of every drug, learned together (layer `_core`; not from the paper).

A gene that is not a target drifts, ``u ~ t(0, a_d b_j)``: in the scale of the drug all its genes have a say, in the
factor of the gene all drugs. A target has an effect of its own beside that, ``N(0, effect_sd^2)``. Either is seen with
the errors of `scgim._core.posterior.shifts`, among them a relative error ``slope_sd`` of what each parent passes on,
learned by evidence; so are the tails of drift where there is one drug alone. Steps of expectation maximisation are
closed form; the scale that a pair of drug and gene is judged by is learned without that pair, so that a shift cannot
make room for itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, gammaincinv, logit

from scgim._core.posterior.shifts import Shifts

FREEDOM = 4.0  # degrees of freedom of drift: tails that data cannot tell from targets are drift's
OF_ONE_DRUG = (np.inf, 8.0, FREEDOM)  # of one drug alone, whose large effects are asked for: lighter tails first
FEWEST_OF_TAILS = 10  # genes that show how heavy tails are
N_SCALES = 8  # components of equal weight that stand for the t distribution
PRIOR_GENES = 2.0  # genes that the average drug counts for in the scale of each drug
USUAL_DRIFT = 0.2  # standard deviation of drift of the average drug, at the least, where no other drug shows it
PRIOR_DRUGS = 4.0  # drugs that the average gene counts for in the factor of each gene: a few drugs may share a target
MOST_TARGETS = 3.0  # targets a drug that the prior allows for, at the most; one at the least
MOST_SHARE = 0.1  # of the genes, where these are more: some drugs act broadly
LARGEST_PRIOR = 0.5  # probability of a target
FEWEST_GENES = 4  # as if there were so many, so that no target is certain beforehand
SMALLEST_EFFECT, LARGEST_EFFECT = 0.5, 10.0  # standard deviation of effects of targets, in those of the gene
GRAPH_SHARE = 0.95  # prior share of genes that the graph explains better than no parents do
SHARE_PAIRS = 10.0  # pairs that this prior counts for
SLOPE_SDS = (0.1, 0.2, 0.3, 0.5, 0.8)  # relative errors of what parents pass on, beside none
WORTH = 1.0  # nats that a larger relative error, or heavier tails, have to gain
LOST = 20.0  # nats below the best at which larger ones are not tried
N_STEPS, N_MORE_STEPS = 30, 15  # of expectation maximisation, at first and from the last relative error on
TINY = 1e-8
BLOCK_VALUES = 30_000  # of components that are held at once, so that they stay near the processor


@dataclass(frozen=True)
class Background:
    """What moves genes that are no targets, and the odds of those that are; R rows, one for each drug and level."""

    log_ratio: np.ndarray  # (D, G) log likelihood ratio of "target" against "drift"
    log_odds: np.ndarray  # (D, G) the same with the prior odds
    scale: np.ndarray  # (R, G) variance scale `a_d b_j` of drift
    beside: np.ndarray  # (R, G) expected variance of drift beside a target's effect
    variance: np.ndarray  # (R, G) error variance of the estimates, with that of slopes
    # (R, G) drift of genes that are no targets: posterior mean and standard deviation
    mean: np.ndarray
    sd: np.ndarray
    # prior probability of a target, standard deviation of effects, relative error of slopes, share of genes that the
    # graph explains
    p_target: float
    effect_sd: float
    slope_sd: float
    graph_share: float
    evidence: float  # log marginal likelihood
    freedom: float = FREEDOM  # degrees of freedom of drift; infinite where it is Gaussian


def scales(freedom: float, n: int = N_SCALES) -> np.ndarray:
    """Multipliers ``(n,)`` of the variance whose Gaussians are together nearly a t distribution; one for a Gaussian."""
    if np.isinf(freedom):
        return np.ones(1)
    middle = (np.arange(n) + 0.5) / n
    return np.asarray(freedom / 2 / gammaincinv(freedom / 2, middle))


def log_normal(square: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Log density of a centred Gaussian at values with these squares."""
    return -0.5 * (np.log(2 * np.pi * variance) + square / variance)


def prior_range(n_genes: int) -> tuple[float, float]:
    """Smallest and largest prior probability of a target."""
    usual = max(n_genes, FEWEST_GENES)
    return 1 / usual, min(max(MOST_TARGETS / usual, MOST_SHARE), LARGEST_PRIOR)


class _Mixture:
    """Expectation maximisation; arrays ``(C, V, b, G)``: components, explanations, rows of a block, genes."""

    def __init__(self, shifts: Shifts, drug: np.ndarray, n_drugs: int, freedom: float = FREEDOM) -> None:
        self.square = shifts.estimate**2  # (V, R, G)
        self.estimate = shifts.estimate
        self.shifts, self.drug, self.n_drugs = shifts, drug, n_drugs
        self.n_seen = len(np.unique(drug))
        self.allow(0.0)
        self.freedom, self.q = freedom, scales(freedom)[:, None, None, None]
        R, G = self.square.shape[1:]
        self.p, self.effect2 = prior_range(G)[1], 1.0
        middle = np.median(self.square[0], axis=1) / 0.455 - np.median(self.error[0], axis=1)  # median of a chi squared
        self.of_drug = np.repeat(np.maximum(middle, 1e-6)[:, None], G, axis=1)  # (R, G)
        self.of_gene = np.ones((R, G))
        self.share = np.array([GRAPH_SHARE, 1 - GRAPH_SHARE])

    def allow(self, slope_sd: float) -> None:
        """Sets the relative error of what parents pass on."""
        self.slope_sd = slope_sd
        self.error = self.shifts.variance + slope_sd**2 * self.shifts.passed  # (V, R, G)

    def fit(self, n_steps: int) -> Background:
        """The posterior after so many steps."""
        for _ in range(n_steps):
            self.weigh()
            self.learn()
        self.weigh()
        return self.result()

    def still(self) -> None:
        """Takes out of whole shifts what is the sampling of genes further up that stood still.

        The cells of a context are the same for a gene and its parents: chance that moves a gene moves all that follow
        it, and a whole shift that is lost in such chance does not speak for false edges.
        """
        shifts, estimate, error = self.shifts, self.estimate[0], self.error[0]
        if shifts.further is None:
            return
        chance = np.empty(estimate.shape)  # (R, G) share of residual shifts that is sampling
        for at in self._blocks():
            drift, spread, square = self._spread(at)
            parts = self._parts(square, spread)[1][:, 0]
            chance[at] = (parts * (1 - drift[:, 0] / spread[:, 0])).sum(axis=0)
        chance *= 1 - self.rho[self.drug]
        left = (1 - chance) * (error + chance * estimate**2)  # variance of the shifts that are real
        whole = self.estimate[1] - (chance * estimate) @ shifts.further
        variance = np.minimum(shifts.variance[1], shifts.variance[0] + left @ shifts.further**2)
        self.estimate = np.stack([estimate, whole])
        self.square = self.estimate**2
        self.shifts = replace(shifts, estimate=self.estimate, variance=np.stack([shifts.variance[0], variance]))
        self.allow(self.slope_sd)

    def weigh(self) -> None:
        """Likelihoods of both hypotheses, the probability of a target, and what `learn` needs of the components."""
        self.scale = self.of_drug * self.of_gene
        self.off, self.on, self.size = np.empty((3, *self.scale.shape))  # (R, G)
        self.taken, self.explained = np.empty((2, *self.square.shape))  # (V, R, G)
        for at in self._blocks():
            drift, spread, square = self._spread(at)
            self.off[at], parts = self._parts(square, spread)
            self.taken[:, at] = parts.sum(axis=0)
            drift /= spread  # how far estimates are drawn to zero
            parts *= (drift * square + self.error[:, at]) * drift  # E u^2
            parts /= self.q
            self.size[at] = parts.sum(axis=(0, 1))  # E u^2 / q
            spread += self.effect2
            self.on[at], parts = self._parts(square, spread)
            self.explained[:, at] = parts.sum(axis=0)
        self.log_ratio = np.zeros((self.n_drugs, self.off.shape[1]))
        np.add.at(self.log_ratio, self.drug, self.on - self.off)
        self.rho = expit(self.log_ratio + logit(self.p))  # (D, G)

    def _blocks(self) -> Iterator[slice]:
        """Rows whose components are held at once."""
        R, G = self.scale.shape
        step = max(1, BLOCK_VALUES // (len(self.q) * len(self.square) * G))
        yield from (slice(start, start + step) for start in range(0, R, step))

    def _spread(self, at: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Variances of drift ``(C, 1, b, G)`` and of estimates of it ``(C, V, b, G)``, and squares of estimates ``(V, b, G)``."""
        drift = self.q * self.scale[at]
        spread = drift + self.error[:, at]
        return np.broadcast_to(drift, spread.shape).copy(), spread, self.square[:, at]

    def _parts(self, square: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log likelihood ``(b, G)`` of all components together, and the share of each in it, ``(C, V, b, G)``."""
        parts = log_normal(square, variance)
        parts += np.log(self.share)[:, None, None] - np.log(len(self.q))
        largest = parts.max(axis=(0, 1))
        parts -= largest
        np.exp(parts, out=parts)
        total = parts.sum(axis=(0, 1))
        parts /= total
        return largest + np.log(total), parts

    def learn(self) -> None:
        """Scales of drift, shares of the explanations, prior and size of targets."""
        G, still = self.off.shape[1], 1 - self.rho[self.drug]  # (R, G)
        by_drug = still * self.size / self.of_gene
        total, pairs = by_drug.sum(axis=1, keepdims=True), still.sum(axis=1, keepdims=True)
        usual = np.exp(np.mean(np.log(np.maximum(total / np.maximum(pairs, TINY), TINY))))  # of the average drug
        usual = max(float(usual), USUAL_DRIFT**2 if self.n_seen == 1 else TINY)
        self.of_drug = (total - by_drug + PRIOR_GENES * usual) / (pairs - still + PRIOR_GENES)
        if len(self.drug) > 1:
            by_gene = still * self.size / self.of_drug
            own, own_pairs = self._of_same_drug(by_gene), self._of_same_drug(still)
            rest, rest_pairs = by_gene.sum(axis=0) - own, still.sum(axis=0) - own_pairs
            self.of_gene = (rest + PRIOR_DRUGS) / (rest_pairs + PRIOR_DRUGS)
        taken = (self.taken * still).sum(axis=(1, 2))  # (V,)
        first = np.array([GRAPH_SHARE, 1 - GRAPH_SHARE])
        self.share = (taken + SHARE_PAIRS * first) / (taken.sum() + SHARE_PAIRS)
        found = float(self.rho.sum())
        least, most = prior_range(G)
        self.p = min(max((found + 1) / (self.rho.size + G / 2), least), most)
        if found > 0.5:
            hit = self.rho[self.drug]
            beyond = (self.explained * (self.square - self.error)).sum(axis=0) - self.scale
            mean = float((hit * np.maximum(beyond, 0)).sum() / max(hit.sum(), TINY))
            self.effect2 = min(max(mean, SMALLEST_EFFECT**2), LARGEST_EFFECT**2)

    def _of_same_drug(self, values: np.ndarray) -> np.ndarray:
        """Sums over the rows of the same drug, ``(R, G)``."""
        out = np.zeros((self.n_drugs, values.shape[1]))
        np.add.at(out, self.drug, values)
        return out[self.drug]

    def result(self) -> Background:
        """The posterior."""
        beside, mean, second = (np.empty(self.scale.shape) for _ in range(3))  # (R, G)
        for at in self._blocks():
            drift, spread, square = self._spread(at)
            off, shrink = self._parts(square, spread)[1], drift / spread
            beside[at] = (self._parts(square, spread + self.effect2)[1] * drift).sum(axis=(0, 1))
            mean[at] = (off * shrink * self.estimate[:, at]).sum(axis=(0, 1))
            off *= shrink * self.error[:, at] + (shrink * self.estimate[:, at]) ** 2
            second[at] = off.sum(axis=(0, 1))
        total = np.zeros((self.n_drugs, self.off.shape[1]))
        np.add.at(total, self.drug, self.off)
        evidence = np.logaddexp(np.log1p(-self.p) + total, np.log(self.p) + total + self.log_ratio).sum()
        return Background(
            self.log_ratio,
            self.log_ratio + logit(self.p),
            self.scale,
            beside,
            self.error[0],
            mean,
            np.sqrt(np.maximum(second - mean**2, 0.0)),
            self.p,
            float(np.sqrt(self.effect2)),
            self.slope_sd,
            float(self.share[0]),
            float(evidence),
            self.freedom,
        )


def fit_background(shifts: Shifts, n_drugs: int) -> Background:
    """Background and targets of all drugs, with the error of slopes and, of one drug, the tails that evidence asks for.

    Parameters
    ----------
    shifts
        Of R rows.
    n_drugs
        Number of drugs D; those without a row get a log ratio of 0.
    """
    if len(np.unique(shifts.contrasts.drug)) != 1 or shifts.estimate.shape[2] < FEWEST_OF_TAILS:
        return _fit_slopes(shifts, n_drugs, FREEDOM)
    found = [_fit_slopes(shifts, n_drugs, freedom) for freedom in OF_ONE_DRUG]
    most = max(each.evidence for each in found)
    return next(each for each in found if each.evidence >= most - WORTH)


def _fit_slopes(shifts: Shifts, n_drugs: int, freedom: float) -> Background:
    """The same with these tails."""
    mixture = _Mixture(shifts, shifts.contrasts.drug, n_drugs, freedom)
    best = mixture.fit(N_STEPS)
    if shifts.further is not None and shifts.passed.any():
        mixture.still()
        best = mixture.fit(N_MORE_STEPS)
    for slope_sd in SLOPE_SDS if shifts.passed.any() else ():
        mixture.allow(slope_sd)
        found = mixture.fit(N_MORE_STEPS)
        if found.evidence > best.evidence + WORTH:
            best = found
        elif found.evidence < best.evidence - LOST:
            break
    return best
