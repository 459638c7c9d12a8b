"""Hidden causes that move several genes at once: latent factors of the noises (layer `_core`; not from the paper).

With factors z the noises of a cell are ``e = L z + own noise``, so that their covariance within contexts is ``L L' + D``, and a
drug may move a factor, which moves the means of a context by ``L f``. Given a graph, L and D are those of a factor analysis of
what the mechanisms leave, and f that of a regression in which sparse targets are integrated out. Given the factors,
the graph is searched in moments from which they were taken out. These two steps alternate, from a graph that
the drugs alone suggest (the covariance within contexts, in which false edges stand for factors, counts for little at
first) or from factors of the genes themselves. What is kept is what has most evidence, the graph without factors among it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, logit

from scgim._core.design import Design
from scgim._core.moments.moments import Hidden, Moments
from scgim._core.posterior.contrasts import references
from scgim._core.posterior.evidence import Evidence
from scgim._core.structure.misfit import best_evidence
from scgim._core.structure.prior import FEWEST_GENES, USUAL_TARGETS
from scgim._core.structure.score import ShiftScore

MOST_FACTORS = 3
FROM_DRUGS = (3.0, 30.0, 100.0, 300.0, 1000.0, 1000.0)  # cells that the covariance counts for, step by step
FROM_GENES = (100.0, 300.0, 1000.0, 1000.0)
N_ANALYSIS, N_SCORES = 100, 30  # steps of the factor analysis, and of the regression
SMALLEST_UNIQUE = 0.02  # share of a gene's noise that is its own
TARGET_SD = 2.0  # of shifts by targets, in standard deviations of the gene
DRIFT_SD = 0.02  # of all other genes
SMALLEST_SCORE = 1e-4  # variance of factor scores between contexts

Search = Callable[
    [Moments, float, np.ndarray | None], "tuple[ShiftScore, dict[int, tuple[int, ...]], list[int], Evidence]"
]
"""From moments, the cells that the covariance counts for and an order, to a graph with its score, order and evidence."""


def factor_analysis(correlation: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Loadings ``(G, n)`` and variances ``(G,)`` of what is left, by maximum likelihood: eigenvectors in turn with variances."""
    unique = (1 - 0.5 * n / len(correlation)) / np.diag(np.linalg.inv(correlation))
    loading = np.zeros((len(correlation), n))
    for _ in range(N_ANALYSIS):
        sd = np.sqrt(unique)
        value, vector = np.linalg.eigh(correlation / np.outer(sd, sd))
        loading = sd[:, None] * vector[:, -n:] * np.sqrt(np.maximum(value[-n:] - 1, 0))
        unique = np.maximum(np.diag(correlation) - (loading**2).sum(axis=1), SMALLEST_UNIQUE)
    return loading, unique


def factor_scores(residual: np.ndarray, error: np.ndarray, loading: np.ndarray, design: Design) -> tuple[Hidden, float]:
    """Means of the factors in every context, and what they cost: minus the log of prior over posterior at their mean.

    Parameters
    ----------
    residual, error
        ``(K, G)``; means that the mechanisms leave, against the controls, and their variances.
    loading
        ``(r, G)``.
    design
        Of the contexts.
    """
    acts, G = ~design.control, residual.shape[1]
    rest, wide, hit = error + DRIFT_SD**2, error + TARGET_SD**2, np.full(residual.shape, 0.3)
    spread, r = np.ones(len(loading)), len(loading)
    prior = logit(min(USUAL_TARGETS / max(G, FEWEST_GENES), 0.5))
    for _ in range(N_SCORES):
        weight = (1 - hit) / rest + hit / wide  # (K, G)
        precision = np.einsum("rg,kg,sg->krs", loading, weight, loading) + np.diag(1 / spread)
        cov = np.linalg.inv(precision)  # (K, r, r)
        score = np.einsum("krs,ks->kr", cov, (weight * residual) @ loading.T) * acts[:, None]
        square = (residual - score @ loading) ** 2
        log_ratio = 0.5 * (np.log(rest / wide) + square / rest - square / wide)
        of_set = np.zeros((max(design.n_drug_sets, 1), G))
        np.add.at(of_set, design.drug_set[acts], log_ratio[acts])
        hit[acts] = expit(of_set + prior)[design.drug_set[acts]]
        second = (score[acts] ** 2).mean(axis=0) + cov[acts][:, range(r), range(r)].mean(axis=0)
        spread = np.maximum(second, SMALLEST_SCORE)
    log_det = np.linalg.slogdet(precision[acts])[1].sum() + acts.sum() * np.log(spread).sum()
    cost = 0.5 * float(log_det + (score[acts] ** 2 / spread).sum())
    unsure = np.einsum("rg,krs,sg->kg", loading, cov, loading) * acts[:, None]
    return Hidden(loading, score, unsure), cost


def taken_out(moments: Moments, weights: np.ndarray, hidden: Hidden) -> Moments:
    """Moments as if the factors stood still; `weights` ``(G, G)`` are the effects of genes on each other."""
    total = np.linalg.inv(np.eye(len(weights)) - weights)
    each = hidden.loading @ total  # (r, G) what a unit of each factor does in the end
    mean = moments.mean.copy()
    mean[:, :, 0] -= hidden.score @ each
    square = moments.square
    if square is not None:
        less = np.maximum(moments.n - 1, 0)[:, None] * (each**2).sum(axis=0)
        square = np.maximum(square - less, SMALLEST_UNIQUE * square)
    return replace(moments, within=moments.within - each.T @ each, mean=mean, square=square, hidden=hidden)


@dataclass(frozen=True)
class Found:
    """A graph with factors: moments without these, the order of its genes, log evidence, and cells the covariance is worth."""

    moments: Moments
    order: np.ndarray
    evidence: float
    cells: float


class _Alternation:
    """Graph and factors in turn, for one number of factors."""

    def __init__(self, moments: Moments, design: Design, n_factors: int, search: Search) -> None:
        self.moments, self.design, self.n_factors, self.search = moments, design, n_factors, search

    def analyse(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Loadings ``(G, r)``, variances ``(G,)`` and covariance of what the graph leaves."""
        left = np.eye(len(weights)) - weights
        cov = left.T @ self.moments.within @ left
        sd = np.sqrt(np.maximum(np.diag(cov), 1e-12))
        loading, unique = factor_analysis(cov / np.outer(sd, sd), self.n_factors)
        return loading * sd[:, None], unique * sd**2, cov

    def without(self, weights: np.ndarray) -> tuple[Moments, float]:
        """Moments without the factors that a graph leaves, and the cost of the factors' means."""
        loading, unique, _ = self.analyse(weights)
        means = self.moments.mean[:, :, 0] @ (np.eye(len(weights)) - weights)  # (K, G)
        means = means - references(self.design)[self.design.group] @ means
        error = unique / np.maximum(self.moments.n, 1.0)[:, None]
        hidden, cost = factor_scores(means, error, loading.T, self.design)
        return taken_out(self.moments, weights, hidden), cost

    def run(self, steps: tuple[float, ...], *, genes_first: bool) -> Found:
        """From factors of the genes themselves, or from a graph."""
        moments, cost, order = self.moments, 0.0, None
        weights = np.zeros((moments.n_genes, moments.n_genes))
        for k, cells in enumerate(steps):
            if k or genes_first:
                moments, cost = self.without(weights)
            score, parents, order, evidence = self.search(moments, cells, None if k < 2 else np.array(order))
            weights = np.zeros((moments.n_genes, moments.n_genes))
            for j, coef in enumerate(evidence.coef):
                weights[list(parents[j]), j] = coef
        return Found(moments, np.array(order), *self.evidence(score, evidence, weights, cost))

    def evidence(self, score: ShiftScore, evidence: Evidence, weights: np.ndarray, cost: float) -> tuple[float, float]:
        """Log evidence, comparable with `misfit.total_evidence`, and the cells that suit it best."""
        loading, unique, cov = self.analyse(weights)
        value, vector = np.linalg.eigh(loading @ loading.T + np.diag(unique))
        whiten = vector / np.sqrt(value) @ vector.T
        within, cells = best_evidence(whiten @ cov @ whiten, score.dof)
        G, r = loading.shape
        price = 0.5 * np.log(score.dof) * (G * r - r * (r - 1) / 2) + cost
        log_noise = np.log(np.maximum(evidence.noise, 1e-8))
        between = float((evidence.score + 0.5 * score.within_dof * (log_noise + 1)).sum())
        return between + within - 0.5 * score.dof * float(np.log(value).sum()) - price, cells


def find_hidden(moments: Moments, design: Design, search: Search, least: float) -> Found | None:
    """The graph with factors that has most evidence; None where none has more than `least`.

    More factors are tried as long as they help.
    """
    best: Found | None = None
    for n_factors in range(1, min(MOST_FACTORS, moments.n_genes // 4) + 1):
        one = _Alternation(moments, design, n_factors, search)
        found = max(
            one.run(FROM_DRUGS, genes_first=False), one.run(FROM_GENES, genes_first=True), key=lambda f: f.evidence
        )
        if found.evidence <= least:
            if n_factors > 1:
                break
            continue
        best, least = found, found.evidence
    return best
