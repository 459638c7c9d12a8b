"""Which way targets move: a share that is learned of all drugs of a screen (layer `_core`; not from the paper).

Guides and most inhibitors lower what they act on, genes further down move either way. That half of the targets rise, and a
uniform share, are averaged by evidence; each drug is judged by the others.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import betaln, expit, logit, ndtr, softmax

from scgim._core.arrays import sum_by
from scgim._core.posterior.background import Background
from scgim._core.posterior.shifts import Shifts

CERTAIN = 1e-9
LIKELY = 0.5  # probability from which a sign counts: the many unlikely targets have signs of chance
N_STEPS = 20
CONVERGED = 1e-3  # nats


class Signs(NamedTuple):
    """Probability ``(D, G)`` that the effect of a target is positive, where either sign is as likely beforehand."""

    positive: np.ndarray

    @classmethod
    def of(cls, shifts: Shifts, background: Background) -> Signs:
        """Of all drugs, the same at all levels of a covariate."""
        first = np.array([background.graph_share, 1 - background.graph_share])[:, None]  # explanations of a gene's mean
        size2, log_odds = background.effect_sd**2, np.empty(background.scale.shape)  # (R, G)
        for row, scale in enumerate(background.scale):
            estimate = shifts.estimate[:, row]  # (2, G)
            spread = scale + shifts.variance[:, row] + background.slope_sd**2 * shifts.passed[:, row]
            wide = spread + size2
            share = np.log(first * wide**-0.5) - 0.5 * estimate**2 / wide
            positive = (softmax(share, axis=0) * ndtr(estimate * np.sqrt(size2 / spread / wide))).sum(axis=0)
            log_odds[row] = logit(np.clip(positive, CERTAIN, 1 - CERTAIN))
        return cls(expit(sum_by(log_odds, shifts.contrasts.drug, len(background.log_ratio))))

    def weigh(self, probability: np.ndarray) -> np.ndarray:
        """Log Bayes factors ``(D, G)`` of targets by their signs, where genes are targets with such a `probability`."""
        counted = np.where(probability > LIKELY, probability, 0.0)
        of_drug = np.stack([(counted * self.positive).sum(axis=1), (counted * (1 - self.positive)).sum(axis=1)])
        up, down = of_drug.sum(axis=1, keepdims=True) - of_drug  # (D,) of the other drugs
        learned = expit(betaln(up + 1, down + 1) + (up + down) * np.log(2))
        share = 0.5 + learned * ((up + 1) / (up + down + 2) - 0.5)  # that are positive
        return np.asarray(np.log1p((2 * share - 1)[:, None] * (2 * self.positive - 1)))

    def settle(self, log_odds: np.ndarray) -> np.ndarray:
        """The same from log odds without signs ``(D, G)``."""
        sign = np.zeros(log_odds.shape)
        for _ in range(N_STEPS):
            before, sign = sign, self.weigh(expit(log_odds + sign))
            if np.abs(sign - before).max(initial=0.0) < CONVERGED:
                break
        return sign
