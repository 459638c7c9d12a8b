"""The forward map: kernel regression from features to interventions (layer `_core`).

The part of g and h in :cite:p:`schneider2025`, without networks: expected target indicators and effects are smooth functions
of the features. Kernels (linear, radial, Tanimoto for fingerprints) and ridge are chosen by the closed form of the
leave-one-drug-out error. Not from the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scgim._core.features.prior import PopulationPrior
from scgim._core.features.search import DrugPosterior

RIDGES = 10.0 ** np.arange(-3, 3.5, 0.5)


def _linear(a: np.ndarray, b: np.ndarray, scale: float) -> np.ndarray:
    return a @ b.T / scale


def _radial(a: np.ndarray, b: np.ndarray, scale: float) -> np.ndarray:
    square = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.exp(-0.5 * np.maximum(square, 0) / scale)


def tanimoto(a: np.ndarray, b: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Similarity of counts or bits: sum of minima over sum of maxima, (n, Q) and (m, Q) -> (n, m)."""
    both = np.stack([np.minimum(row, b).sum(1) for row in a])
    either = a.sum(1)[:, None] + b.sum(1) - both
    return np.where(either > 0, both / np.maximum(either, 1e-300), 1.0) ** scale


KERNELS = {"linear": _linear, "radial": _radial, "tanimoto": tanimoto}


@dataclass(frozen=True)
class ForwardMap:
    """A fitted kernel regression.

    Parameters
    ----------
    kernel, scale, ridge
        Name and scale of the kernel, ridge.
    x
        (D, Q') features of the training drugs.
    response
        (D, 2G) indicators and effects less the population's mean.
    share
        Leave-one-out error of the effects relative to the population's mean alone.
    """

    kernel: str
    scale: float
    ridge: float
    x: np.ndarray
    response: np.ndarray
    share: float

    @property
    def counts(self) -> bool:
        """Whether the kernel reads raw counts."""
        return self.kernel == "tanimoto"

    def __call__(self, x: np.ndarray, raw: np.ndarray | None, prior: PopulationPrior) -> DrugPosterior:
        """Interventions of new drugs from their (m, L) features, or (m, Q) counts if the kernel reads those."""
        if self.counts:
            if raw is None:
                raise ValueError("features: expected counts as in training, found none.")
            x = raw
        kernel, n_genes = KERNELS[self.kernel], len(prior.log_odds)
        gram = kernel(self.x, self.x, self.scale) + self.ridge * np.eye(len(self.x))
        cross = kernel(x, self.x, self.scale)
        solved = np.linalg.solve(gram, cross.T)  # (D, m)
        response = solved.T @ self.response
        own = np.array([kernel(row[None], row[None], self.scale)[0, 0] for row in x])
        left = np.clip(1 - (cross.T * solved).sum(0) / np.maximum(own, 1e-12), 0, 1)  # grows with distance
        shift = prior.probability * prior.mean + response[:, n_genes:]
        floor = np.minimum(np.abs(shift) / (2 * np.sqrt(prior.second_moment)), 0.999)
        probability = np.clip(prior.probability + response[:, :n_genes], np.maximum(floor, 1e-4), 0.999)
        sd = np.sqrt(prior.variance * np.maximum(left, min(self.share, 1.0))[:, None])
        return DrugPosterior(probability, shift / probability, sd)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return dict(vars(self))

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> ForwardMap:
        """Inverse of :meth:`to_dict`."""
        kernel, scale, ridge, x, response, share = (state[k] for k in cls.__dataclass_fields__)
        return cls(str(kernel), float(scale), float(ridge), np.asarray(x), np.asarray(response), float(share))


def learn_forward(
    x: np.ndarray, raw: np.ndarray | None, probability: np.ndarray, shift: np.ndarray, prior: PopulationPrior
) -> ForwardMap:
    """Choose kernel and ridge by leave-one-drug-out error of the expected effects.

    Parameters
    ----------
    x
        (D, L) features of the drugs, as read by the backward map.
    raw
        (D, Q) counts for the Tanimoto kernel, or None.
    probability, shift
        (D, G) target probabilities and expected effects.
    prior
        The population, which the regression departs from.
    """
    response = np.c_[probability - prior.probability, shift - prior.probability * prior.mean]
    n_drugs, n_genes = probability.shape
    square = ((x[:, None] - x[None]) ** 2).sum(-1)
    typical = max(float(np.median(square[np.triu_indices(n_drugs, 1)])) if n_drugs > 1 else 1.0, 1e-12)
    candidates = [("linear", max(float((x**2).sum(1).mean()), 1e-12), x)]
    candidates += [("radial", typical * f, x) for f in (0.125, 0.5, 2.0)]
    if raw is not None:
        candidates += [("tanimoto", power, raw) for power in (1.0, 3.0)]
    best: tuple[float, ForwardMap] | None = None
    none = max(float((response[:, n_genes:] ** 2).sum()), 1e-300)
    for name, scale, values in candidates:
        e, u = np.linalg.eigh(KERNELS[name](values, values, scale))
        turned = u.T @ response[:, n_genes:]
        for ridge in RIDGES:
            keep = ridge / (np.maximum(e, 0) + ridge)
            residual = (u * keep) @ turned / np.maximum((u**2 * keep).sum(1), 1e-12)[:, None]
            error = float((residual**2).sum()) / none
            if best is None or error < best[0] - 1e-9:
                best = error, ForwardMap(name, float(scale), float(ridge), values, response, error)
    if best is None:
        raise ValueError("features: expected at least one drug, found none.")
    return best[1]
