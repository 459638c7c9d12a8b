"""Empirical Bayes: prior of targets, size of effects and background of each gene, given residuals (layer `_core`)."""

from __future__ import annotations

import numpy as np

from scgim._core.structure.score import GeneFit, Hyper, ShiftScore

BACKGROUNDS = np.array([0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7])
MOST_TARGETS = 3.0  # targets a drug that the prior allows for, at the most: sparse mechanism shifts


def gene_fits(score: ShiftScore, parents: dict[int, tuple[int, ...]]) -> list[GeneFit]:
    """The fit of every gene given its parents."""
    return [score.gene(j, parents[j]) for j in range(score.n_genes)]


def update_hyper(score: ShiftScore, fits: list[GeneFit], *, background: float | str) -> Hyper:
    """Empirical Bayes: prior of targets, size of effects, and background variance per gene, given residuals."""
    residual = np.stack([f.residual for f in fits], axis=1)[score.sorted][score.n_control :]  # (K', G)
    error = np.stack([f.error for f in fits], axis=1)[score.sorted][score.n_control :]
    rho = 1 / (1 + np.exp(-np.clip(np.stack([f.log_odds for f in fits], axis=1), -500, 500)))  # (U, G)
    G = score.n_genes
    p = float(np.clip((rho.sum() + 1.0) / (rho.size + G / 2.0), 0.2 / G, MOST_TARGETS / G))
    rho_k = np.repeat(rho, score.sizes, axis=0)
    size = score.effects(residual, error)
    slab2 = (rho_k * np.maximum(size, 0)).sum() / max(rho_k.sum(), 1e-9)
    slab = np.full(G, np.sqrt(np.clip(slab2, 0.05, 25.0))) if rho_k.sum() > 1 else score.hyper.slab_sd
    hyper = Hyper(np.full(G, p), slab, score.hyper.background_sd, score.hyper.edge_price)
    hyper.background_sd = (
        _background(score, hyper, residual, error) if background == "auto" else np.full(G, float(background))
    )
    return hyper


def _background(score: ShiftScore, hyper: Hyper, residual: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Background standard deviation of each gene on a grid, drawn towards that of all genes."""
    base = error - score.hyper.background_sd**2  # sampling variance alone
    loglik = np.zeros((len(BACKGROUNDS), score.n_genes))
    old = score.hyper
    score.hyper = hyper
    for k, omega in enumerate(BACKGROUNDS):
        for j in range(score.n_genes):
            off, on = score.branches(residual[None, :, j] ** 2, base[None, :, j] + omega**2, j)
            loglik[k, j] = np.logaddexp(off, on).sum()
    score.hyper = old
    pooled = loglik.mean(axis=1, keepdims=True) * 5.0
    return BACKGROUNDS[(loglik + pooled).argmax(axis=0)]
