"""Empirical Bayes: prior of targets, size of effects and background of each gene, given residuals (layer `_core`)."""

from dataclasses import replace

import numpy as np
from scipy.special import expit

from scgim._core.posterior.evidence import Evidence
from scgim._core.structure.prior import FEWEST_GENES, Prior
from scgim._core.structure.score import ShiftScore

BACKGROUNDS = np.array([0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7])
CLEAR = 2.0  # times that a variance within contexts has to be usual ones, to say that effects are larger
FEWEST_TARGETS, MOST_TARGETS = 0.2, 3.0  # targets a drug that the prior allows for: sparse mechanism shifts
SMALLEST_EFFECT, LARGEST_EFFECT = 0.05, 25.0  # variance of effects
ALL_GENES = 5.0  # genes that all of them together count for in the background of each


def evidence_given(score: ShiftScore, parents: dict[int, tuple[int, ...]]) -> Evidence:
    """What the contexts tell of every gene given its parents."""
    return Evidence.of(score.genes_given(parents))


def learn_prior(score: ShiftScore, evidence: Evidence, *, background: float | None) -> Prior:
    """Empirical Bayes: prior of targets, size of effects, and, where it is not given, the background of each gene."""
    residual = evidence.residual[score.sorted][score.n_control :]  # (K', G)
    error = evidence.error[score.sorted][score.n_control :]
    rho = expit(evidence.log_odds)  # (U, G)
    G = score.n_genes
    least, most = FEWEST_TARGETS / G, MOST_TARGETS / max(G, FEWEST_GENES)
    p_target = float(np.clip((rho.sum() + 1.0) / (rho.size + G / 2.0), least, most))
    of_context = np.repeat(rho, score.sizes, axis=0)  # (K', G)
    size = np.maximum(score.effects(residual, error), 0)
    usual = (of_context * size).sum() / max(of_context.sum(), 1e-9)
    sd = np.sqrt(np.clip(usual, SMALLEST_EFFECT, LARGEST_EFFECT)) * wider(score.self_variance, of_context)
    effect_sd = sd if of_context.sum() > 1 else score.prior.effect_sd
    prior = replace(score.prior, p_target=np.full(G, p_target), effect_sd=effect_sd)
    prior.background_sd = (
        _background(score, prior, residual, error) if background is None else np.full(G, float(background))
    )
    return prior


def wider(within: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Times ``(G,)`` that effects on each gene are larger than usual, in standard deviations over all cells; at least one.

    Where what a drug does and what parents pass on cancel, a gene varies little between contexts: the effect is as
    large as others beside its variance within contexts. A graph with the edge turned round, which needs no large
    effect, would be taken for better. `within` ``(G,)`` is the part of the variance within contexts, `target`
    ``(K', G)`` the probability of a target.
    """
    usual = (target * within).sum() / max(target.sum(), 1e-9)
    return np.asarray(np.sqrt(np.maximum(within / max(CLEAR * usual, 1e-9), 1.0)))


def _background(score: ShiftScore, prior: Prior, residual: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Background standard deviation of each gene on a grid, drawn towards that of all genes."""
    base = np.ascontiguousarray((error - score.prior.background_sd**2).T)  # (G, K') sampling variance alone
    loglik = np.zeros((len(BACKGROUNDS), score.n_genes))
    old = score.prior
    score.prior = prior
    square, genes = np.ascontiguousarray(residual.T) ** 2, np.arange(score.n_genes)  # (G, K')
    for k, omega in enumerate(BACKGROUNDS):
        off, on = score.branches(square, base + omega**2, genes)  # (G, U)
        loglik[k] = np.logaddexp(off, on).sum(axis=1)
    score.prior = old
    pooled = loglik.mean(axis=1, keepdims=True) * ALL_GENES
    return BACKGROUNDS[(loglik + pooled).argmax(axis=0)]
