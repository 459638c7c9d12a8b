"""Means of hidden factors in every context, beside sparse targets (layer `_core`; not from the paper)."""

import numpy as np
from scipy.special import expit, logit

from scgim._core.design import Design
from scgim._core.moments.moments import Hidden
from scgim._core.structure.prior import FEWEST_GENES, USUAL_TARGETS

N_STEPS = 30
TARGET_SD = 2.0  # of shifts by targets, in standard deviations of the gene
DRIFT_SD = 0.02  # of all other genes
SMALLEST_SCORE = 1e-4  # variance of factor scores between contexts


class Targets:
    """Which drugs move which genes beyond factors, as far as weights of residual means need it."""

    def __init__(self, error: np.ndarray, design: Design) -> None:
        self.acts, self.design = ~design.control, design
        self.rest, self.wide = error + DRIFT_SD**2, error + TARGET_SD**2  # (K, G) without and with a target
        self.prior = logit(min(USUAL_TARGETS / max(error.shape[1], FEWEST_GENES), 0.5))
        self.hit = np.full(error.shape, 0.3)

    def weigh(self, square: np.ndarray) -> None:
        """Probabilities of targets from squares ``(K, G)`` of what factors leave."""
        design, acts = self.design, self.acts
        log_ratio = 0.5 * (np.log(self.rest / self.wide) + square / self.rest - square / self.wide)
        of_set = np.zeros((max(design.n_drug_sets, 1), square.shape[1]))
        np.add.at(of_set, design.drug_set[acts], log_ratio[acts])
        self.hit[acts] = expit(of_set + self.prior)[design.drug_set[acts]]

    @property
    def weight(self) -> np.ndarray:
        """Expected precision of residual means, ``(K, G)``."""
        return (1 - self.hit) / self.rest + self.hit / self.wide


def factor_scores(residual: np.ndarray, error: np.ndarray, loading: np.ndarray, design: Design) -> Hidden:
    """Means of the factors in every context, and what they cost.

    Parameters
    ----------
    residual, error
        ``(K, G)``; means that the mechanisms leave, against the controls, and their variances.
    loading
        ``(r, G)``.
    """
    targets, acts, r = Targets(error, design), ~design.control, len(loading)
    spread = np.ones(r)
    for _ in range(N_STEPS):
        weight = targets.weight
        precision = np.einsum("rg,kg,sg->krs", loading, weight, loading) + np.diag(1 / spread)
        cov = np.linalg.inv(precision)  # (K, r, r)
        score = np.einsum("krs,ks->kr", cov, (weight * residual) @ loading.T) * acts[:, None]
        targets.weigh((residual - score @ loading) ** 2)
        second = (score[acts] ** 2).mean(axis=0) + cov[acts][:, range(r), range(r)].mean(axis=0)
        spread = np.maximum(second, SMALLEST_SCORE)
    log_det = np.linalg.slogdet(precision[acts])[1].sum() + acts.sum() * np.log(spread).sum()
    cost = 0.5 * float(log_det + (score[acts] ** 2 / spread).sum())
    unsure = np.einsum("rg,krs,sg->kg", loading, cov, loading) * acts[:, None]
    return Hidden(loading, score, unsure, cost=cost)
