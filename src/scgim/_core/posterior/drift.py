"""Small effects of drugs beyond their targets (layer `_core`; not from the paper).

Where a gene is not called a target, its residual means are not quite zero: part of that is the drug's own and comes
back at its other doses and in other batches, part belongs to the context. Here ``r_kj = h_k u_dj + w_kj + error``
with ``u ~ N(0, drug_sd^2)`` and ``w ~ N(0, context_sd^2)``, two numbers for all genes and drugs. Everything is in
standard deviations of the gene.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scgim._core.arrays import sum_by
from scgim._core.design import Design
from scgim._core.effects import Effects
from scgim._core.state import savable

DRUG_SD = np.array([0.0, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4, 0.55, 0.8])
CONTEXT_SD = np.array([0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.55, 0.8])
NEGLIGIBLE = 0.015  # standard deviations below this are taken as none


@savable
@dataclass(frozen=True)
class Drift:
    """Differences that no target makes.

    Attributes
    ----------
    background_sd
        ``(G,)``; differences between contexts that the search allowed for.
    context_sd
        ``(G,)``; differences between contexts, beyond what the drugs do, that are drawn anew for contexts that were not
        measured.
    of_drug
        ``(D, G)``; small effects of the drugs at full dose; their `probability` is that the gene is not a target of the
        drug, where they apply, and one where they apply beside targets, too.
    """

    background_sd: np.ndarray
    context_sd: np.ndarray
    of_drug: Effects

    @classmethod
    def none(cls, n_drugs: int, background_sd: np.ndarray) -> Drift:
        """No small effects, beside a background that the search allowed for."""
        return cls(background_sd, np.zeros(len(background_sd)), Effects.none(n_drugs, len(background_sd)))

    @property
    def found(self) -> bool:
        """Whether there is any."""
        return bool(self.of_drug.mean.any() or self.context_sd.any())

    def of(self, drug: int, fraction: float, *, new_context: bool) -> Effects:
        """What a drug does beyond its targets at a fraction of its full effect, ``(G,)``; certain to act everywhere.

        `new_context` adds the differences of a context that was not measured.
        """
        small = self.of_drug[drug]
        context = self.context_sd if new_context else 0.0
        return Effects(
            np.ones(small.shape),
            small.probability * fraction * small.mean,
            small.probability * np.hypot(fraction * small.sd, context),
        )

    def scale(self, by: np.ndarray) -> Drift:
        """In other units."""
        return Drift(self.background_sd * by, self.context_sd * by, self.of_drug.scale(by))


def against_controls(residual: np.ndarray, error: np.ndarray, design: Design) -> tuple[np.ndarray, np.ndarray]:
    """Residual means less those of the controls of the same baseline group, with the variance of both.

    The fitted baseline itself will not do: it lies between controls and perturbed contexts where these differ little.

    Parameters
    ----------
    residual, error
        ``(K, G)``; residual means and their sampling variances.
    design
        Of the contexts; groups without controls stay as they are.
    """
    residual, error = residual.copy(), error.copy()
    for group in np.unique(design.group):
        rows = np.flatnonzero(design.group == group)
        control = rows[design.control[rows]]
        if len(control):
            precision = 1 / error[control]
            variance = 1 / precision.sum(axis=0)
            residual[rows] -= (precision * residual[control]).sum(axis=0) * variance
            error[rows] += variance
    return residual, error


def fit_drift(
    residual: np.ndarray,
    error: np.ndarray,
    design: Design,
    fraction: np.ndarray,
    probability: np.ndarray,
    background_sd: np.ndarray | None = None,
) -> Drift:
    """Posterior of the drugs' effects beyond their targets, averaged over the two standard deviations.

    Parameters
    ----------
    residual, error
        ``(K, G)``; residual means and their variances; in perturbed contexts with the background.
    design
        Of the contexts; those with one drug are used.
    fraction
        ``(K, D)``; fraction of the full effect of each drug.
    probability
        ``(D, G)``; that the gene is a target: it then says nothing of the other genes.
    background_sd
        ``(G,)``; background in `error`; None for none.
    """
    background_sd = np.zeros(residual.shape[1]) if background_sd is None else background_sd
    error = np.maximum(error - (background_sd**2)[None] * ~design.control[:, None], 1e-12)  # sampling alone
    single = np.flatnonzero(design.single)
    drug = design.present[single].argmax(axis=1)
    residual, error = against_controls(residual, error, design)
    r, e, h = residual[single], error[single], fraction[single, drug][:, None]
    D, G = probability.shape
    off = 1 - probability
    log_weight, means, squares = [], [], []
    for context in CONTEXT_SD:
        precision = 1 / (e + context**2)  # (K', G)
        a, b, c = (
            sum_by(values, drug, D)
            for values in (h**2 * precision, h * precision * r, np.log(precision) - precision * r**2)
        )  # (D, G)
        for wide in DRUG_SD:
            shrunk = wide**2 / (1 + wide**2 * a)  # posterior variance
            log = 0.5 * c - 0.5 * np.log1p(wide**2 * a) + 0.5 * shrunk * b**2
            log_weight.append(float((off * log).sum()))
            means.append(shrunk * b)
            squares.append(shrunk)
    weight = np.exp(np.array(log_weight) - max(log_weight))
    weight /= weight.sum()
    mean, second = np.zeros((D, G)), np.zeros((D, G))
    for w, m, s in zip(weight, means, squares, strict=True):
        mean += w * m
        second += w * (s + m**2)
    sds = weight.reshape(len(CONTEXT_SD), len(DRUG_SD))
    drug_sd, context_sd = (
        float(np.sqrt(sds.sum(axis=axis) @ grid**2)) for axis, grid in ((0, DRUG_SD), (1, CONTEXT_SD))
    )
    if drug_sd < NEGLIGIBLE:
        mean, second, drug_sd = np.zeros((D, G)), np.zeros((D, G)), 0.0
    spread = np.sqrt(np.maximum(second - mean**2, 0.0))
    context_sd = context_sd if context_sd >= NEGLIGIBLE else 0.0
    return Drift(background_sd, np.full(G, context_sd), Effects(off, mean, spread))
