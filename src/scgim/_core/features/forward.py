"""The forward map: kernel regression from features to interventions (layer `_core`).

The part of g and h in :cite:p:`schneider2025`, without networks. Kernel, scaling of the columns and ridge are chosen by
the marginal likelihood of the effects of all genes, which tells features from noise with few drugs, too. Not from the
paper.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scgim._core.effects import Effects
from scgim._core.features.prior import PopulationPrior
from scgim._core.features.rows import Description
from scgim._core.state import savable

RIDGES = 10.0 ** np.arange(-3, 3.5, 0.5)
ENOUGH = 10  # exchanges that fit as well as the truth, after which no more are tried


def _linear(a: np.ndarray, b: np.ndarray, scale: float) -> np.ndarray:
    return a @ b.T / scale


def _radial(a: np.ndarray, b: np.ndarray, scale: float) -> np.ndarray:
    square = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.exp(-0.5 * np.maximum(square, 0) / scale)


def tanimoto(a: np.ndarray, b: np.ndarray, scale: float) -> np.ndarray:
    """Similarity of counts or bits: sum of minima over sum of maxima, (n, Q) and (m, Q) -> (n, m)."""
    both = np.stack([np.minimum(row, b).sum(1) for row in a])
    either = a.sum(1)[:, None] + b.sum(1) - both
    return np.where(either > 0, both / np.maximum(either, 1e-300), 1.0) ** scale


KERNELS = {"linear": _linear, "radial": _radial, "tanimoto": tanimoto}


@savable
@dataclass(frozen=True)
class ForwardMap:
    """A fitted kernel regression."""

    # name and scale of the kernel, ridge
    kernel: str
    scale: float
    ridge: float
    scaling: np.ndarray  # (Q,) factor of each column; not used for counts
    x: np.ndarray  # (D, Q) features of the training drugs, scaled, or counts
    response: np.ndarray  # (D, 2G) indicators and effects less the population's mean
    share: float  # leave-one-out error of the effects relative to the population's mean alone

    @property
    def counts(self) -> bool:
        """Whether the kernel reads raw counts."""
        return self.kernel == "tanimoto"

    def __call__(self, new: Description, prior: PopulationPrior) -> Effects:
        """Interventions of new drugs from their features."""
        if self.counts and new.counts is None:
            raise ValueError("features: expected counts as in training, found none.")
        x = new.counts if self.counts and new.counts is not None else new.values * self.scaling
        kernel, n_genes = KERNELS[self.kernel], len(prior.log_odds)
        gram = kernel(self.x, self.x, self.scale) + self.ridge * np.eye(len(self.x))
        cross = kernel(x, self.x, self.scale)
        solved = np.linalg.solve(gram, cross.T)  # (D, m)
        response = solved.T @ self.response
        own = np.array([kernel(row[None], row[None], self.scale)[0, 0] for row in x])
        left = np.clip(1 - (cross.T * solved).sum(0) / np.maximum(own, 1e-12), 0, 1)  # grows with distance
        shift = response[:, n_genes:] + (0.0 if new.zero else prior.probability * prior.mean)
        floor = np.minimum(np.abs(shift) / (2 * np.sqrt(prior.second_moment)), 0.999)
        probability = np.clip(prior.probability + response[:, :n_genes], np.maximum(floor, 1e-4), 0.999)
        sd = np.sqrt(prior.variance * np.maximum(left, min(self.share, 1.0))[:, None])
        return Effects(probability, shift / probability, sd)


@dataclass(frozen=True)
class Candidate:
    """A kernel, its eigenvalues (D,) and eigenvectors (D, D), and what it reads."""

    kernel: str
    scale: float
    scaling: np.ndarray
    x: np.ndarray
    values: np.ndarray
    vectors: np.ndarray

    def evidence(self, gram: np.ndarray, n_outputs: int) -> np.ndarray:
        """Log marginal likelihood for each ridge, (R,), of outputs with the given gram matrix (D, D) over drugs."""
        square = np.maximum(np.einsum("ij,ij->j", gram @ self.vectors, self.vectors), 0)  # (D,)
        spread = np.maximum(self.values, 0) + RIDGES[:, None]  # (R, D)
        misfit = np.maximum((square / spread).sum(1), 1e-300)
        return -0.5 * n_outputs * (np.log(spread).sum(1) + len(gram) * np.log(misfit / (len(gram) * n_outputs)))


def candidates(x: Description) -> list[Candidate]:
    """Kernels on the features as they are, on standardised features, and on counts."""
    blocks = [x.block == b for b in np.unique(x.block)]
    natural, standard = np.ones(x.values.shape[1]), 1 / np.maximum(np.sqrt((x.values**2).mean(0)), 1e-12)
    for block in blocks:
        natural[block] /= max(float(np.sqrt((x.values[:, block] ** 2).sum(1).mean())), 1e-12)
    out: list[Candidate] = []

    def add(kernel: str, scale: float, scaling: np.ndarray, values: np.ndarray) -> None:
        e, u = np.linalg.eigh(KERNELS[kernel](values, values, scale))
        out.append(Candidate(kernel, float(scale), scaling, values, e, u))

    for scaling in (natural, standard):
        scaled = x.values * scaling
        size = (scaled**2).sum(1)
        add("linear", max(float(size.mean()), 1e-12), scaling, scaled)
        square = size[:, None] + size - 2 * scaled @ scaled.T
        typical = float(np.median(square[np.triu_indices(len(scaled), 1)])) if len(scaled) > 1 else 1.0
        for factor in (0.125, 0.5, 2.0):
            add("radial", max(typical, 1e-12) * factor, scaling, scaled)
    if x.counts is not None:
        for power in (1.0, 3.0):
            add("tanimoto", power, natural, x.counts)
    return out


def learn_forward(x: Description, probability: np.ndarray, shift: np.ndarray, prior: PopulationPrior) -> ForwardMap:
    """Choose kernel, scaling and ridge by marginal likelihood of the expected effects.

    Parameters
    ----------
    x
        Features of D drugs.
    probability, shift
        (D, G) target probabilities and expected effects.
    prior
        The population, which the regression departs from.
    """
    n_genes = probability.shape[1]
    effects = shift if x.zero else shift - prior.probability * prior.mean
    response = np.c_[probability - prior.probability, effects]
    gram = effects @ effects.T
    every = candidates(x)
    evidence = [c.evidence(gram, n_genes) for c in every]
    best = int(np.argmax([value.max() for value in evidence]))
    chosen, ridge = every[best], RIDGES[evidence[best].argmax()]
    keep = ridge / (np.maximum(chosen.values, 0) + ridge)
    left_out = (chosen.vectors * keep) @ (chosen.vectors.T @ effects)
    left_out /= np.maximum((chosen.vectors**2 * keep).sum(1), 1e-12)[:, None]
    share = float((left_out**2).sum()) / max(float((effects**2).sum()), 1e-300)
    return ForwardMap(chosen.kernel, chosen.scale, float(ridge), chosen.scaling, chosen.x, response, share)


def forward_dependence(
    x: Description, shift: np.ndarray, rng: np.random.Generator, *, n_permutations: int = 400
) -> float:
    """P value of "features and effects are independent": how often exchanged drugs have as large a marginal likelihood.

    Parameters
    ----------
    x
        Features of D drugs.
    shift
        (D, G) expected effects.
    n_permutations
        Number of random exchanges; fewer where many fit as well as the truth.
    """
    effects = shift if x.zero else shift - shift.mean(0)
    gram, every = effects @ effects.T, candidates(x)

    def best(at: np.ndarray) -> float:
        return max(float(c.evidence(gram[np.ix_(at, at)], shift.shape[1]).max()) for c in every)

    n_drugs = len(shift)
    observed, above, tried = best(np.arange(n_drugs)), 0, 0
    while tried < n_permutations and above < ENOUGH:
        above += best(rng.permutation(n_drugs)) >= observed - 1e-9 * abs(observed)
        tried += 1
    return (above + 1) / (tried + 1)
