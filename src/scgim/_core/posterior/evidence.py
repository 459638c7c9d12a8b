"""What the contexts tell of every gene, given the mechanisms (layer `_core`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scgim._core.design import Design


class GeneFit(NamedTuple):
    """One gene given its parents, in standard deviations of the gene; see `Evidence`, of which it is one column."""

    coef: np.ndarray  # (p*B,)
    baseline: np.ndarray  # (C,)
    noise: float  # variance
    residual: np.ndarray  # (K,)
    error: np.ndarray  # (K,)
    log_odds: np.ndarray  # (U,)
    score: float
    coef_cov: np.ndarray  # (p*B, p*B)


@dataclass(frozen=True)
class Evidence:
    """What is left of the means of all genes, and of being a target, in standard deviations of the genes."""

    baseline: np.ndarray  # (C, G) intercept of each gene in each baseline group
    noise: np.ndarray  # (G,) variance of the noise
    residual: np.ndarray  # (K, G) mean of each context beyond what the mechanisms and the baseline say
    error: np.ndarray  # (K, G) variance of `residual` where the gene is not a target: sampling, and background
    log_odds: np.ndarray  # (U, G) log odds that each drug set targets the gene
    score: np.ndarray  # (G,) log marginal likelihood
    # coefficients of the parents of each gene, `(p*B,)`; none where mechanisms are networks
    coef: tuple[np.ndarray, ...] = ()
    coef_cov: tuple[np.ndarray, ...] = ()  # their covariances, `(p*B, p*B)`
    # (K, G) what hidden causes add to the residual means, which do not hold it; 0 where there are none
    hidden: np.ndarray | float = 0.0
    # (K, G) offsets of plates in the residual means, which do not hold them, as they were taken out, and their variance
    # before anything was seen of them; None where there are none
    offset: np.ndarray | None = None
    offset2: np.ndarray | None = None
    # (G, G) average change of each gene (columns) per unit of each parent (rows); None where this is not known
    effects: np.ndarray | None = None
    # (K, G) variance of `residual` as changes of activity that were taken out are not known for certain
    unsure: np.ndarray | float = 0.0

    @classmethod
    def of(cls, fits: list[GeneFit]) -> Evidence:
        """From every gene on its own."""
        return cls(
            np.stack([f.baseline for f in fits], axis=1),
            np.array([f.noise for f in fits]),
            np.stack([f.residual for f in fits], axis=1),
            np.stack([f.error for f in fits], axis=1),
            np.stack([f.log_odds for f in fits], axis=1),
            np.array([f.score for f in fits]),
            tuple(f.coef for f in fits),
            tuple(f.coef_cov for f in fits),
        )

    def gene(self, j: int) -> GeneFit:
        """One gene."""
        coef = self.coef[j] if self.coef else np.zeros(0)
        cov = self.coef_cov[j] if self.coef_cov else np.zeros((len(coef), len(coef)))
        column = (self.residual[:, j], self.error[:, j], self.log_odds[:, j], float(self.score[j]))
        return GeneFit(coef, self.baseline[:, j], float(self.noise[j]), *column, cov)

    def on(self, design: Design) -> np.ndarray:
        """``(K, G)`` bool; where a target is more probable than none."""
        return design.by_context(self.log_odds > 0, False)
