"""Sums of the residuals of cells, and the posterior of the interventions that follows from them (layer `model`)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scgim._core.posterior.evidence import Evidence
from scgim._core.structure.prior import Prior

NO_CELLS = 1e-9  # stands for none where a number of cells is divided by
SMALLEST_NOISE = 1e-6  # variance of the noise at least, as a share of that of the gene


@dataclass
class Residuals:
    """Sums over cells; standardised units; all arrays ``(K, M)`` for K contexts and M mechanisms.

    ``first`` and ``second`` are sums of ``y - f(parents)`` and of its square, ``own_first`` and ``own_second`` of the
    gene ``y`` itself.
    """

    n: np.ndarray
    first: np.ndarray
    second: np.ndarray
    own_first: np.ndarray
    own_second: np.ndarray

    def __add__(self, other: Residuals) -> Residuals:
        return Residuals(*(getattr(self, k) + getattr(other, k) for k in self.__dataclass_fields__))

    @property
    def mean(self) -> np.ndarray:
        """Residual means."""
        return self.first / np.maximum(self.n, 1)

    @property
    def scatter(self) -> np.ndarray:
        """Sums of squares around the residual means."""
        return np.maximum(self.second - self.first**2 / np.maximum(self.n, 1), 0)

    @property
    def own_mean(self) -> np.ndarray:
        """Means of the genes."""
        return self.own_first / np.maximum(self.n, 1)

    @property
    def own_scatter(self) -> np.ndarray:
        """Sums of squares around the means of the genes."""
        return np.maximum(self.own_second - self.own_first**2 / np.maximum(self.n, 1), 0)

    @property
    def own_variance(self) -> np.ndarray:
        """Variance of the genes within contexts, ``(M,)``."""
        return self.own_scatter.sum(axis=0) / np.maximum(self.freedom.sum(axis=0), 1)

    @property
    def own_centre(self) -> np.ndarray:
        """Mean of each gene over contexts, ``(1, M)``: where values of hit genes are expected."""
        return (self.own_first.sum(axis=0) / np.maximum(self.n.sum(axis=0), 1))[None]

    @property
    def freedom(self) -> np.ndarray:
        """Degrees of freedom of the scatter of each context."""
        return np.maximum(self.n - 1, 0)


@dataclass
class Expectation:
    """Posterior of the interventions given the mechanisms, in standard deviations of the genes."""

    evidence: Evidence  # what the contexts tell of every gene
    probability: np.ndarray  # (K, M) that the drugs of the context target the gene, 0 for controls
    effect: np.ndarray  # (K, M) given a target
    own_noise: np.ndarray  # (M,) variance of the noise of a gene whose mechanism is cut
    prior: Prior  # of the interventions, learned along the way
    # (K, M) and (M,); means of the genes themselves, and their variances within contexts
    mean: np.ndarray
    variance: np.ndarray

    def of(self, rows: list[int]) -> Expectation:
        """That of some of the mechanisms."""
        e = self.evidence
        part = Evidence(
            e.baseline[:, rows],
            e.noise[rows],
            e.residual[:, rows],
            e.error[:, rows],
            e.log_odds[:, rows],
            e.score[rows],
        )
        at = np.asarray(rows)
        return replace(
            self,
            evidence=part,
            probability=self.probability[:, at],
            effect=self.effect[:, at],
            own_noise=self.own_noise[at],
            prior=self.prior.of(at),
            mean=self.mean[:, at],
            variance=self.variance[at],
        )

    def where(self, use: np.ndarray, other: Expectation) -> Expectation:
        """That of another one for the mechanisms that `use` ``(M,)`` says; the prior stays."""

        def either(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
            return np.where(use, theirs, mine)

        e, o = self.evidence, other.evidence
        evidence = Evidence(
            either(e.baseline, o.baseline),
            either(e.noise, o.noise),
            either(e.residual, o.residual),
            either(e.error, o.error),
            either(e.log_odds, o.log_odds),
            either(e.score, o.score),
        )
        return replace(
            self,
            evidence=evidence,
            probability=either(self.probability, other.probability),
            effect=either(self.effect, other.effect),
            own_noise=either(self.own_noise, other.own_noise),
            mean=either(self.mean, other.mean),
            variance=either(self.variance, other.variance),
        )
