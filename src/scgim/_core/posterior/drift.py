"""What drugs do beyond their targets (layer `_core`; not from the paper).

Where a gene is not a target, part of its residual mean is the drug's own, follows its curve and comes back in other
batches, part belongs to the context: ``r_kj = h_k u_dj + w_kj + error``. For shifts both are those of
`scgim._core.posterior.drift_beside`; other kinds leave a remainder whose parts have one variance each (`fit_drift`).
Everything is in standard deviations of the gene.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import softmax

from scgim._core.arrays import sum_by
from scgim._core.design import Design
from scgim._core.effects import Effects
from scgim._core.posterior.background import FREEDOM, log_normal, scales
from scgim._core.state import savable

DRUG_SD = np.array([0.0, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4, 0.55, 0.8])
CONTEXT_SD = np.array([0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.55, 0.8])
NEGLIGIBLE = 0.015  # standard deviations below this are taken as none
BLOCK_VALUES = 500_000  # of which a mixture is held at once


@savable
@dataclass(frozen=True)
class Drift:
    """Differences that no target makes."""

    background_sd: np.ndarray  # (G,) differences between contexts that the search allowed for
    # (G,) differences between contexts, beyond what the drugs do, that are drawn anew for contexts that were not
    # measured
    context_sd: np.ndarray
    # (D, G) small effects of the drugs at full dose, where they apply; their `probability` is that they do: that the
    # gene is not a target of the drug, or one where they apply beside targets, too
    of_drug: Effects
    # (D, V, G) the same at each level of the covariate by which effects differ; None where levels share them
    at_level: Effects | None = None
    # (K, G) what each fitted context has beyond all else; None where nothing was kept of it
    of_context: Effects | None = None
    # (D, G) probability that a gene which is no target is better explained without its parents, so that what these pass
    # on has to be made up for as if it were a target; None where this was not weighed
    past_graph: np.ndarray | None = None
    # (G,) differences between baseline groups in what a drug does, at full effect; None where there are none
    group_sd: np.ndarray | None = None
    # (M, 2) and (M, G); drug and baseline group of those that were measured together, and what the drug does more
    # there, at full effect; None where nothing was kept of it
    pairs: np.ndarray | None = None
    of_pair: Effects | None = None
    # (K, G) what contexts of single drugs say of other doses, see `between_doses`; None where the model misses nothing
    # that returns at doses nearby
    along: np.ndarray | None = None

    @classmethod
    def none(cls, n_drugs: int, background_sd: np.ndarray) -> Drift:
        """No small effects, beside a background that the search allowed for."""
        return cls(background_sd, np.zeros(len(background_sd)), Effects.none(n_drugs, len(background_sd)))

    @property
    def found(self) -> bool:
        """Whether there is any."""
        of_context = self.of_context is not None and self.of_context.mean.any()
        return bool(self.of_drug.mean.any() or self.context_sd.any() or of_context or self.along is not None)

    def of(self, drug: int, fraction: float, *, level: int | None = None, new_context: bool) -> Effects:
        """What a drug does beyond its targets at a fraction of its full effect, ``(G,)``.

        `new_context` adds the differences of a context that was not measured; `level` is that of the covariate by which
        effects differ, where it is known.
        """
        small = self.of_drug[drug] if level is None or self.at_level is None else self.at_level[drug, level]
        context = self.context_sd if new_context else 0.0
        return Effects(small.probability, fraction * small.mean, np.hypot(fraction * small.sd, context))

    def in_groups(self, drug: int, fraction: float, weight: np.ndarray) -> Effects | None:
        """What a drug does more in baseline groups with these weights ``(C,)``, ``(G,)``; in others it differs by `group_sd`."""
        if self.group_sd is None or self.pairs is None or self.of_pair is None or not self.group_sd.any():
            return None
        of = np.flatnonzero((self.pairs[:, 0] == drug) & (weight[self.pairs[:, 1]] > 0))
        share = weight[self.pairs[of, 1]]  # (m,)
        elsewhere = max(1 - float(share.sum()), 0.0) * self.group_sd**2
        mean, variance = share @ self.of_pair.mean[of], share @ self.of_pair.sd[of] ** 2 + elsewhere
        return Effects(np.ones(len(mean)), fraction * mean, fraction * np.sqrt(variance))

    def between_doses(self, contexts: np.ndarray, height: np.ndarray, at: float) -> Effects | None:
        """What the model misses at a fraction of a drug's full effect, by the `contexts` ``(L,)`` with the drug alone.

        `height` ``(L,)`` are fractions of the full effect there; see `scgim._core.posterior.weighing.departures`.
        """
        if self.along is None:
            return None
        mean = np.minimum(height, at) @ self.along[contexts]
        return Effects(np.ones(len(mean)), mean, np.zeros(len(mean)))

    def moved(self, by: np.ndarray) -> Drift:
        """With more in the fitted contexts, ``(K, G)``."""
        known = Effects(np.ones(by.shape), by, np.zeros(by.shape))
        if self.of_context is not None:
            known = Effects(known.probability, self.of_context.mean + by, self.of_context.sd)
        return replace(self, of_context=known)

    def scale(self, by: np.ndarray) -> Drift:
        """In other units."""
        at_level, of_context, of_pair = (
            None if part is None else part.scale(by) for part in (self.at_level, self.of_context, self.of_pair)
        )
        return replace(
            self,
            background_sd=self.background_sd * by,
            context_sd=self.context_sd * by,
            of_drug=self.of_drug.scale(by),
            at_level=at_level,
            of_context=of_context,
            group_sd=None if self.group_sd is None else self.group_sd * by,
            of_pair=of_pair,
            along=None if self.along is None else self.along * by,
        )


def t_posterior(value: np.ndarray, error: np.ndarray, prior_sd: np.ndarray) -> Effects:
    """Posterior of what has a t distribution of these scales ``(n, 1)``, from values ``(n, G)`` with these error variances."""
    mean, sd = np.zeros(value.shape), np.zeros(value.shape)
    rows = np.flatnonzero(prior_sd[:, 0] > 0)
    for at in np.array_split(rows, int(np.ceil(len(rows) * value.shape[1] / BLOCK_VALUES)) or 1):
        prior = scales(FREEDOM)[:, None, None] * prior_sd[at] ** 2  # (C, n', 1)
        share = softmax(log_normal(value[at] ** 2, prior + error[at]), axis=0)  # (C, n', G)
        gain = prior / (prior + error[at])
        mean[at] = (share * gain).sum(axis=0) * value[at]
        second = (share * (gain * error[at] + (gain * value[at]) ** 2)).sum(axis=0)
        sd[at] = np.sqrt(np.maximum(second - mean[at] ** 2, 0.0))
    return Effects(np.ones(value.shape), mean, sd)


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
) -> Drift:
    """Posterior of the drugs' effects beyond their targets, averaged over the two standard deviations.

    Parameters
    ----------
    residual, error
        ``(K, G)``; residual means and their sampling variances.
    design
        Of the contexts; those with one drug are used.
    fraction
        ``(K, D)``; fraction of the full effect of each drug.
    probability
        ``(D, G)``; that the gene is a target: it then says nothing of the other genes.
    """
    error, off, n_genes = np.maximum(error, 1e-12), 1 - probability, residual.shape[1]
    effects, drug_sd, context_sd = _average(*against_controls(residual, error, design), design, fraction, off)
    if drug_sd < NEGLIGIBLE:
        effects = Effects(off, np.zeros(off.shape), np.zeros(off.shape))
    if context_sd < NEGLIGIBLE:
        context_sd = 0.0
    left = residual - fraction @ effects.expected  # (K, G)
    own = t_posterior(left, error, context_sd * ~design.control[:, None])
    return Drift(np.zeros(n_genes), np.full(n_genes, context_sd), effects, of_context=own)


def _average(
    residual: np.ndarray, error: np.ndarray, design: Design, fraction: np.ndarray, off: np.ndarray
) -> tuple[Effects, float, float]:
    """Effects of drugs ``(D, G)`` on genes that are no targets, and both standard deviations, averaged over a grid of these.

    With precisions ``w = 1 / (error + context_sd^2)`` the effect u has precision ``sum h^2 w + 1 / drug_sd^2``, mean
    ``variance sum h w r``.
    """
    single = np.flatnonzero(design.single)
    drug = design.present[single].argmax(axis=1)
    r, e, h = residual[single], error[single], fraction[single, drug][:, None]
    log_weight, means, variances = [], [], []
    for context_sd in CONTEXT_SD:
        w = 1 / (e + context_sd**2)  # (K', G)
        hwh, hwr, rest = (
            sum_by(values, drug, len(off)) for values in (h**2 * w, h * w * r, np.log(w) - w * r**2)
        )  # (D, G)
        for drug_sd in DRUG_SD:
            variance = drug_sd**2 / (1 + drug_sd**2 * hwh)
            log = 0.5 * rest - 0.5 * np.log1p(drug_sd**2 * hwh) + 0.5 * variance * hwr**2
            log_weight.append(float((off * log).sum()))
            means.append(variance * hwr)
            variances.append(variance)
    weight = np.exp(np.array(log_weight) - max(log_weight))
    weight /= weight.sum()
    mean, second = np.zeros((2, *off.shape))
    for share, m, variance in zip(weight, means, variances, strict=True):
        mean += share * m
        second += share * (variance + m**2)
    shares = weight.reshape(len(CONTEXT_SD), len(DRUG_SD))
    drug_sd, context_sd = (np.sqrt(shares.sum(axis=axis) @ sds**2) for axis, sds in ((0, DRUG_SD), (1, CONTEXT_SD)))
    return Effects(off, mean, np.sqrt(np.maximum(second - mean**2, 0.0))), float(drug_sd), float(context_sd)
