"""Likelihoods of the shifts of one drug, where a regulator may move its genes (layer `_core`; not from the paper)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scgim._core.posterior.background import Background, log_normal, scales
from scgim._core.posterior.shifts import Shifts

N_TAILS = 3  # components that stand for the t distribution of drift here
TINY = 1e-300


@dataclass(frozen=True)
class Row:
    """Likelihoods of one row of shifts, a drug at a level; drift is a mixture of C Gaussians, under each of two explanations."""

    shift: np.ndarray  # (2, G) beyond what is fixed, as its parents leave it and as a whole
    spread: np.ndarray  # (C, 2, G) variances of `shift`, if nothing but drift moves the gene
    share: np.ndarray  # (C, 2) of the components
    target: np.ndarray  # (G,) likelihood if the gene is a target of its own
    p_target: float  # prior probability of that
    variance: np.ndarray  # (G,) of the shift that parents leave, with that of drift

    @classmethod
    def of(cls, shifts: Shifts, background: Background, r: int, genes: np.ndarray, fixed: np.ndarray) -> Row:
        """The genes ``(G',)`` of a row, given what other effects add ``(G',)``."""
        shift = shifts.estimate[:, r, genes] - fixed  # (2, G')
        passed = background.slope_sd**2 * shifts.passed[:, r, genes]
        q = scales(background.freedom, N_TAILS)[:, None, None]
        spread = q * background.scale[r, genes] + shifts.variance[:, r, genes] + passed  # (C, 2, G')
        share = np.tile(np.array([background.graph_share, 1 - background.graph_share]) / len(q), (len(q), 1))
        wide = np.exp(log_normal(shift**2, spread + background.effect_sd**2))
        target = np.maximum((share[:, :, None] * wide).sum(axis=(0, 1)), TINY)
        variance = shifts.variance[0, r, genes] + passed[0] + background.scale[r, genes]
        return cls(shift, spread, share, target, background.p_target, variance)

    @property
    def still(self) -> np.ndarray:
        """``(G,)``; likelihood if nothing but drift moves the gene."""
        return self.moved(np.arange(self.shift.shape[1]), np.zeros((self.shift.shape[1], 1)))[:, 0]

    def moved(self, gene: np.ndarray, add: np.ndarray, add_sd: np.ndarray | float = 0.0) -> np.ndarray:
        """Likelihoods ``(E, A)`` of genes ``(E,)`` if a regulator adds to them ``N(add, add_sd^2)``, ``(E, A)``."""
        size2, out = add_sd**2, np.zeros(add.shape)
        for c, v in np.ndindex(self.share.shape):
            away2 = (self.shift[v, gene][:, None] - add) ** 2
            out += self.share[c, v] * np.exp(log_normal(away2, self.spread[c, v, gene][:, None] + size2))
        return np.maximum(out, TINY)

    def ratio(self, gene: np.ndarray, add: np.ndarray, add_sd: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Log likelihood ratio ``(E, A)`` of edges to genes ``(E,)``, right with a probability ``(E,)``, against none."""
        p, target = self.p_target, self.target[gene]
        plain = (1 - p) * self.still[gene] + p * target  # (E,)
        moved = (1 - p) * self.moved(gene, add, add_sd) + p * target[:, None]
        return np.asarray(np.log((1 - right)[:, None] + right[:, None] * moved / plain[:, None]))
