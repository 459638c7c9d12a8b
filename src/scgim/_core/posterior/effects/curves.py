"""Dose curves of the drugs and the size of effects, from contexts with one drug (layer `_core`; not from the paper).

What is not known of a curve is kept as the principal axes of its posterior over (log ec50, log hill).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scgim._core.design import Design
from scgim._core.posterior.effects.hill import Pair, fit_curves, hill, rank_one_log_density
from scgim._core.posterior.effects.levels import (
    Offsets,
    learn_between,
    level_blocks,
    level_sums,
    pool_levels,
)
from scgim._core.posterior.effects.slab import learn_hidden_slab, single_slab
from scgim._core.state import savable

DEVIATIONS = (0.0, 0.05, 0.1, 0.2, 0.4)  # standard deviation around the curve, relative to the slab
SMALLEST_EFFECT, SMALLEST_VARIANCE = 0.1, 0.01  # standard deviation and variance of full effects
SMALLEST_SHARE = 0.05  # of the largest squared effect
UNKNOWN_CURVE = np.diag([1.0, 0.5])  # axes of (log ec50, log slope) where all contexts have one dose
HALF = (1.0, 1.0)  # ec50 relative to that dose, and slope: half the full effect


@dataclass
class Curves:
    """Dose curves and prior of effects, in standardised units."""

    ec50: np.ndarray  # (D,)
    slope: np.ndarray  # (D,)
    effect_sd: float
    deviation_sd: float
    slab: np.ndarray | None = None  # (C, 3) components of the amplitudes' distribution; None for one Gaussian
    axes: np.ndarray | None = None  # (2, D, 2) of the posterior of (log ec50, log slope)
    between_sd: float = 0.0  # of amplitudes between levels of a covariate

    def fraction(self, dose: np.ndarray) -> np.ndarray:
        """Fraction of the full effect for doses ``(m, D)``."""
        return hill(dose, self.ec50, self.slope)

    def moved(self, axis: int, by: float) -> Curves:
        """The curves after a step along one of their axes."""
        step = np.zeros((len(self.ec50), 2)) if self.axes is None else by * self.axes[axis]
        return replace(self, ec50=self.ec50 * np.exp(step[:, 0]), slope=self.slope * np.exp(step[:, 1]))

    def kept(self, n_genes: int) -> DoseCurves:
        """As they are kept, without the prior of effects."""
        axes = np.zeros((2, len(self.ec50), 2)) if self.axes is None else self.axes
        return DoseCurves(self.ec50, self.slope, axes, np.full(n_genes, self.deviation_sd))

    def components(self) -> np.ndarray:
        """(C, 3) weight, mean and variance of the amplitudes' components."""
        return single_slab(self.effect_sd**2) if self.slab is None else self.slab


@savable
@dataclass(frozen=True)
class DoseCurves:
    """Dose curves of the drugs, as they are kept."""

    # (D,) dose of half the full effect, and Hill exponent; `ec50 = 0` stands for no dependence on dose
    ec50: np.ndarray
    hill: np.ndarray
    # (2, D, 2) principal axes of the posterior of (log ec50, log hill), one standard deviation long; 0 if known
    axes: np.ndarray
    deviation_sd: np.ndarray  # (G,) standard deviation of effects around the curve, at full effect

    @classmethod
    def known(cls, ec50: np.ndarray, hill: np.ndarray, n_genes: int) -> DoseCurves:
        """Curves without uncertainty."""
        return cls(ec50, hill, np.zeros((2, len(ec50), 2)), np.zeros(n_genes))

    def fraction(self, drug: int, dose: np.ndarray | float) -> np.ndarray:
        """Fraction of the full effect of a drug at doses, of their shape."""
        return hill(np.asarray(dose, dtype=float), self.ec50[drug], self.hill[drug])

    def ends(self, drug: int, dose: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Fractions at doses ``(m,)`` at both ends of each axis."""
        at = np.array([np.log(np.maximum(self.ec50[drug], 1e-300)), np.log(self.hill[drug])])
        return [(hill(dose, *np.exp(at + axis)), hill(dose, *np.exp(at - axis))) for axis in self.axes[:, drug]]

    def scale(self, by: np.ndarray) -> DoseCurves:
        """In other units of effects."""
        return replace(self, deviation_sd=self.deviation_sd * by)


def fit_dose_curves(
    residual: np.ndarray,
    error: np.ndarray,
    on: np.ndarray,
    design: Design,
    *,
    p_target: np.ndarray | None = None,
    offset2: np.ndarray | None = None,
    one_dose: tuple[float, float] = HALF,
) -> Curves:
    """Dose curves from the contexts with one drug.

    Parameters
    ----------
    residual, error
        ``(K, G)``; residual means and their variances.
    on
        ``(K, G)`` bool; contexts and genes taken as targeted.
    p_target
        ``(G,)``; prior probability of a target. With it the form of the effects' distribution is learned, too.
    offset2
        ``(K, G)``; variance of what is added to all contexts of a drug in a baseline group alike; none by default.
    one_dose
        Where all contexts have one dose: ec50 relative to it, and slope.
    """
    offset2 = np.zeros(residual.shape) if offset2 is None else offset2
    curves = _fit_curves(residual, error, on, design, offset2, one_dose)
    if design.n_levels > 1:
        blocks = level_blocks(residual, error + offset2, on, design, curves.fraction(design.dose))
        between = learn_between(blocks, design.n_levels, curves.effect_sd, curves.deviation_sd)
        if between > 0:
            mean_sd = float(np.sqrt(curves.effect_sd**2 - between**2))
            curves = replace(curves, effect_sd=mean_sd, between_sd=between)
        else:
            one_level = replace(design, level=np.zeros_like(design.level))
            curves = _fit_curves(residual, error, on, one_level, offset2, one_dose)
    if p_target is None or not design.single.any():
        return curves
    return replace(curves, slab=_learn_slab(residual, error, design, curves, p_target, offset2))


def _fit_curves(
    residual: np.ndarray,
    error: np.ndarray,
    on: np.ndarray,
    design: Design,
    offset2: np.ndarray,
    one_dose: tuple[float, float],
) -> Curves:
    """Dose curves and size of effects; each level of a drug has an amplitude of its own, and each unit with an offset."""
    dose, D, single = design.dose, len(design.drugs), design.single
    effects = residual[on & single[:, None]]
    slab = float(np.sqrt(np.mean(effects**2))) if len(effects) else 1.0
    levels = np.unique(dose[single][dose[single] > 0])
    apart = design.level if not offset2.any() else design.level * len(design.group_names) + design.group
    pairs, shared = [], []
    for d in range(D):
        drug = design.alone(d)
        for rows in [drug[apart[drug] == v] for v in np.unique(apart[drug])]:
            genes = np.flatnonzero(on[rows].any(axis=0))
            pairs += [Pair(d, dose[rows, d], residual[rows, j], error[rows, j]) for j in genes]
            shared += [offset2[rows, j].mean() for j in genes]
    if not design.has_dose or len(levels) == 0:
        full = max(slab, SMALLEST_EFFECT)
        return Curves(np.zeros(D), np.ones(D), full, _deviation(pairs, full, 1.0))
    if len(levels) == 1:  # nothing is known of the curve
        ec50, slope = (np.full(D, value) for value in (levels[0] * one_dose[0], one_dose[1]))
        part = float(hill(levels[0], ec50[:1], slope[:1])[0])
        axes, full = np.repeat(UNKNOWN_CURVE[:, None], D, axis=1), max(slab / part, SMALLEST_EFFECT)
        return Curves(ec50, slope, full, _deviation(pairs, full, part), axes=axes)
    top = max(float(np.max(np.abs(pair.residual))) ** 2 for pair in pairs) if pairs else slab**2
    slab2 = max(
        np.mean([np.max(pair.residual**2) for pair in pairs]) if pairs else slab**2,
        SMALLEST_VARIANCE,
        SMALLEST_SHARE * top,
    )
    fits = [(fit_curves(pairs, D, slab2, slab2 * k**2, np.array(shared)), k) for k in DEVIATIONS]
    best, k = max(fits, key=lambda fit: fit[0].evidence)
    return Curves(best.ec50, best.slope, float(np.sqrt(slab2)), float(k * np.sqrt(slab2)), axes=best.axes)


def _deviation(pairs: list[Pair], effect_sd: float, fraction: float) -> float:
    """Standard deviation between contexts of one drug and dose; none where no drug was measured twice."""
    twice = [pair for pair in pairs if len(pair.dose) > 1]
    if not twice:
        return 0.0

    def evidence(k: float) -> float:
        each = (
            rank_one_log_density(r[None], e[None], np.full((1, len(r)), fraction), effect_sd**2, (k * effect_sd) ** 2)
            for _, _, r, e in twice
        )
        return float(sum(value[0, 0] for value in each))

    return effect_sd * max(DEVIATIONS, key=evidence)


def _learn_slab(
    residual: np.ndarray,
    error: np.ndarray,
    design: Design,
    curves: Curves,
    p_target: np.ndarray,
    offset2: np.ndarray,
) -> np.ndarray:
    """Components of the amplitudes' distribution, from all genes of the drugs that were measured alone."""
    h = curves.fraction(design.dose)
    estimates, variances = [], []
    for d in range(len(design.drugs)):
        rows = design.alone(d)
        if len(rows):
            own = h[rows, d]
            e = error[rows].T + (curves.deviation_sd * own) ** 2  # (G, L)
            offsets = Offsets(offset2[rows].T, design.group[rows]) if offset2.any() else None
            sums = level_sums(residual[rows].T, e, own, design.level[rows], design.n_levels, offsets)
            weight, estimate, _ = pool_levels(sums, curves.between_sd**2)
            estimates.append(estimate)
            variances.append(1 / np.maximum(weight, 1e-12))
    return learn_hidden_slab(np.array(estimates), np.array(variances), p_target, curves.effect_sd**2)
