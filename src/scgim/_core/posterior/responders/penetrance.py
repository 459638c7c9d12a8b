"""Penetrance: the share of the cells that responds to a drug (layer `_core`; not from the paper).

Where a share s of the cells responds, a mean that moves by m moves by m / s in these, and the variance grows by
``m^2 (1 - s) / s``. The variance of a gene in a context is scaled inverse chi-squared around that elsewhere, with this
added at targets; the share of each drug has its posterior on a grid, the share of a context is binomial around it. That
all cells respond has a prior probability of its own, learned from all drugs, which draws shares towards one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, logsumexp, softmax

from scgim._core.design import Design
from scgim._core.effects import Effects
from scgim._core.mechanisms.total import total_effects
from scgim._core.moments.moments import Moments
from scgim._core.posterior.spread import log_density, log_evidence
from scgim._core.state import savable

SHARES = np.linspace(0.04, 1.0, 49)  # that are tried
CALLED = 0.5  # probability of the targets that are read
STILL = 0.05  # squared change, in squared standard deviations of the gene, of contexts that tell the usual variance
INTERVAL = (0.05, 0.95)
N_STEPS = 50  # of expectation maximisation, for the prior probability that all cells respond
PRIOR_DRUGS = 4.0  # drugs that this counts for, half of them with all cells


@savable
@dataclass(frozen=True)
class Penetrance:
    """The share of the cells that respond."""

    # (D,) posterior mean of each drug, and the ends of its 90 % interval; empty where it was not asked for
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def none(cls) -> Penetrance:
        """Where it was not asked for."""
        return cls(np.empty(0), np.empty(0), np.empty(0))

    def __bool__(self) -> bool:
        """Whether it was asked for."""
        return len(self.share) > 0

    def at(self, dose: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Share and ends of the interval ``(m,)`` at doses ``(m, D')``, the smallest of the drugs.

        New drugs, which follow the D fitted ones, have the mean of these.
        """
        more = dose.shape[1] - len(self.share)
        each = [np.append(v, np.full(more, v.mean() if len(v) else 1.0)) for v in (self.share, self.low, self.high)]
        share, low, high = (np.where(dose > 0, v, 1.0).min(axis=1, initial=1.0) for v in each)
        return share, low, high


def learn_penetrance(moments: Moments, design: Design, targets: Effects, weights: np.ndarray) -> Penetrance:
    """The share of every drug, from the variances of its targets.

    Parameters
    ----------
    moments
        Of the cells, with `square`.
    targets
        ``(K, G)``; of the contexts, in units of the expression.
    weights
        ``(G, G)``; of the graph, in these units.
    """
    if moments.square is None:
        raise ValueError("moments: expected sums of squares of every context, found none.")
    called = (targets.probability > CALLED) & ~design.control[:, None]
    moved = np.where(called, targets.mean, 0.0) @ total_effects(weights)
    change = (moved / moments.scale) ** 2  # (K, G), in squared standard deviations
    log = _log_likelihood(moments, design, change, called)  # (K, S) of the share of the cells that did respond
    log = np.stack([logsumexp(own + among_cells(n), axis=1) for own, n in zip(log, moments.n, strict=True)])
    of_drug = np.zeros((len(design.drugs), len(SHARES)))
    for d in range(len(of_drug)):
        of_drug[d] = log[design.purest(d)].sum(axis=0)
    posterior = _posterior(of_drug)
    cumulative = posterior.cumsum(axis=1)
    low, high = (SHARES[(cumulative < q - 1e-9).sum(axis=1).clip(max=len(SHARES) - 1)] for q in INTERVAL)
    share = posterior @ SHARES
    return Penetrance(share, np.minimum(low, share), np.maximum(high, share))  # a mean next to the edge may lie beyond


def among_cells(n: float) -> np.ndarray:
    """Log probability, ``(S, S)``, that each share of n cells (columns) responds where a cell does with each probability (rows).

    Binomial, ``n! / (n s)! / (n - n s)! p^(n s) (1 - p)^(n - n s)``, of sum one.
    """
    hits, misses, p = n * SHARES, n * (1 - SHARES), SHARES[:-1, None]
    log = np.full((len(SHARES), len(SHARES)), -np.inf)
    log[:-1] = hits * np.log(p) + misses * np.log1p(-p) - gammaln(hits + 1) - gammaln(misses + 1)
    log[-1, -1] = 0.0  # all of them
    return np.asarray(log - logsumexp(log, axis=1, keepdims=True))


def _log_likelihood(moments: Moments, design: Design, change: np.ndarray, called: np.ndarray) -> np.ndarray:
    """Of every share of the cells of a context ``(K, S)``, by the variances of the targets `called` ``(K, G)``."""
    nu, square = np.maximum(moments.n - 1.0, 0.0), np.asarray(moments.square)
    pooled = np.diag(moments.within)[:: moments.n_functions]  # (G,)
    still = ((change < STILL * pooled) | design.control[:, None]) * nu[:, None]  # (K, G) cells
    usual = (still * (square / np.maximum(nu, 1.0)[:, None])).sum(axis=0) / np.maximum(still.sum(axis=0), 1.0)
    usual = np.where((usual > 0) & (still.sum(axis=0) > 0), usual, np.maximum(pooled, np.finfo(float).tiny))
    known, varied = nu >= 2, pooled > 0
    freedom, own = nu[known], square[np.ix_(known, varied)]
    if not known.any() or not varied.any():
        return np.zeros((len(nu), len(SHARES)))
    spread = [usual[varied] + (1 / s - 1) * change[np.ix_(known, varied)] for s in SHARES]  # of variances
    log, d0 = log_evidence(own, freedom, spread)
    best = d0[int(np.argmax(log))]
    out, read = np.zeros((len(nu), len(SHARES))), called[np.ix_(known, varied)]
    out[known] = np.stack([(read * log_density(own, freedom, v, best)).sum(axis=1) for v in spread], axis=1)
    return out


def _posterior(log: np.ndarray) -> np.ndarray:
    """Probability of every share ``(D, S)``: alike before the data but for a share of one, whose prior is learned."""
    others = logsumexp(log[:, :-1], axis=1) - np.log(log.shape[1] - 1)
    everyone = 0.5
    for _ in range(N_STEPS):
        odds = log[:, -1] - others + np.log(everyone) - np.log1p(-everyone)
        hit = 1 / (1 + np.exp(-np.clip(odds, -500, 500)))
        everyone = (hit.sum() + 0.5 * PRIOR_DRUGS) / (len(log) + PRIOR_DRUGS)
    prior = np.append(np.full(log.shape[1] - 1, (1 - everyone) / (log.shape[1] - 1)), everyone)
    return np.asarray(softmax(log + np.log(prior), axis=1))
