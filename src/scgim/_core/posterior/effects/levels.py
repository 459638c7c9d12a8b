"""Effects that differ between levels of a covariate, such as cell lines (layer `_core`; not from the paper).

The amplitude of a drug at level l is ``a_l ~ N(a, between_sd^2)``, with one `between_sd` for all, learned by empirical
Bayes. Given the residual means ``r_k = h_k a_l + error`` everything is Gaussian and exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from scgim._core.design import Design
from scgim._core.state import savable

RATIOS = np.linspace(0.0, 0.95, 20)  # of the standard deviation between levels to that of all effects
Blocks = list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]


@savable
@dataclass(frozen=True)
class Levels:
    """Levels of the covariate by which effects differ."""

    of_group: np.ndarray  # (C,) level of each baseline group; 0 for all where effects are shared
    # (G,) standard deviation of full effects between levels; 0 where they are shared, or do not differ
    between_sd: np.ndarray

    @classmethod
    def of(cls, design: Design, between_sd: np.ndarray) -> Levels:
        """Those of a design."""
        of_group = np.zeros(len(design.group_names), dtype=int)
        of_group[design.group] = design.level
        return cls(of_group, between_sd)

    @property
    def differ(self) -> bool:
        """Whether effects were found to differ."""
        return bool((self.between_sd > 0).any())

    def scale(self, by: np.ndarray) -> Levels:
        """In other units."""
        return replace(self, between_sd=self.between_sd * by)


class Offsets(NamedTuple):
    """What is added to all contexts of a unit alike, of L contexts of one drug."""

    variance: np.ndarray  # (G, L) of the offset; 0 for contexts without one
    unit: np.ndarray  # (L,) number of the unit that shares it

    def groups(self, e: np.ndarray, at: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """What each unit with contexts among `at` ``(L,)`` bool brings, from variances ``(G, L)`` around a known offset.

        Precisions ``(G, L)`` of its contexts, 0 of others; the factor ``(G,)`` by which squares of sums over them
        enter; and the variance of the offset over that of the mean of the unit ``(G,)``.
        """
        out = []
        for u in np.unique(self.unit[at]):
            own = at & (self.unit == u) & (self.variance > 0).any(axis=0)
            if own.any():
                precision, variance = own / e, self.variance[:, own].mean(axis=1)
                known = variance * precision.sum(axis=1)
                out.append((precision, variance / (1 + known), known))
        return out

    def given(self, left: np.ndarray, e: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Offsets at known amplitudes, ``(G, L)`` each: mean, variance, and how fast the mean falls with the amplitude.

        From what the amplitudes leave of the contexts ``(G, L)``; `h` ``(L,)`` are the fractions of the full effect.
        """
        mean, variance, slope = np.zeros((3, *left.shape))
        for precision, gain, _ in self.groups(e, np.ones(len(self.unit), dtype=bool)):
            own = precision > 0
            mean += own * (gain * (precision * left).sum(axis=1))[:, None]
            variance += own * gain[:, None]
            slope += own * (gain * (precision @ h))[:, None]
        return mean, variance, slope


class LevelSums(NamedTuple):
    """What the contexts of one drug say of its amplitude at each level, ``(V, G)``, and log density beside ``(G,)``."""

    weight: np.ndarray  # precision of the estimate, 0 where there is no context
    estimate: np.ndarray
    log: np.ndarray


def level_sums(
    r: np.ndarray,
    e: np.ndarray,
    h: np.ndarray,
    level: np.ndarray,
    n_levels: int,
    offsets: Offsets | None = None,
) -> LevelSums:
    """Sufficient statistics of the amplitude at each level.

    Parameters
    ----------
    r, e
        ``(G, L)``; residual means of the L contexts of a drug, and their variances around a known amplitude.
    h
        ``(L,)``; fraction of the full effect.
    level
        ``(L,)``; level of each context.
    offsets
        Of the contexts, none by default.
    """
    weight, estimate = np.zeros((2, n_levels, len(r)))
    log = -0.5 * np.log(e).sum(axis=1)
    for v in np.unique(level):
        at = level == v
        own, x, variance = h[at], r[:, at], e[:, at]
        both, square = (own * x / variance).sum(axis=1), (own**2 / variance).sum(axis=1)
        shared = [] if offsets is None else offsets.groups(e, at)
        for unit, gain, known in shared:
            sum_h, sum_r = unit @ h, (unit * r).sum(axis=1)
            both, square = both - gain * sum_h * sum_r, square - gain * sum_h**2
            log = log - 0.5 * np.log1p(known)
        weight[v] = np.maximum(square, 1e-30)
        estimate[v] = both / weight[v]
        left = x - estimate[v][:, None] * own
        log = log - 0.5 * (left**2 / variance).sum(axis=1)
        for unit, gain, _ in shared:
            log = log + 0.5 * gain * (unit[:, at] * left).sum(axis=1) ** 2
    return LevelSums(weight, estimate, log)


def pool_levels(sums: LevelSums, between2: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What all levels together say of the mean amplitude, levels integrated out.

    Returns
    -------
    Precision and estimate of the mean amplitude, and the log density of the residuals at that estimate, less
    ``L log(2 pi) / 2``; ``(G,)`` each.
    """
    scaled = 1 + between2 * sums.weight
    own = sums.weight / scaled  # (V, G)
    weight = np.maximum(own.sum(axis=0), 1e-30)
    estimate = (own * sums.estimate).sum(axis=0) / weight
    log = sums.log - 0.5 * (np.log(scaled) + own * (sums.estimate - estimate) ** 2).sum(axis=0)
    return weight, estimate, log


def split_levels(
    sums: LevelSums, between2: float, mean: np.ndarray, variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Amplitude of each level and its variance ``(V, G)``, given those of the mean amplitude ``(G,)``."""
    gain = between2 * sums.weight / (1 + between2 * sums.weight)
    amplitude = mean + gain * (sums.estimate - mean)
    return amplitude, (1 - gain) * between2 + (1 - gain) ** 2 * variance


def learn_between(blocks: Blocks, n_levels: int, effect_sd: float, deviation_sd: float) -> float:
    """Standard deviation of effects between levels, by evidence, where that of all effects is known.

    Parameters
    ----------
    blocks
        For each drug: residual means and variances ``(G', L)`` at its targets, fractions and levels ``(L,)``.
    effect_sd
        Standard deviation of effects at one level, which the levels' mean and their differences share.
    deviation_sd
        Standard deviation around the dose curve at full effect.
    """
    sums = [level_sums(r, e + (deviation_sd * h) ** 2, h, level, n_levels) for r, e, h, level in blocks]

    def cost(ratio: float) -> float:
        between2 = (ratio * effect_sd) ** 2
        total = 0.0
        for one in sums:
            weight, estimate, log = pool_levels(one, between2)
            spread = effect_sd**2 - between2 + 1 / weight
            total += float((log - 0.5 * (np.log(weight * spread) + estimate**2 / spread)).sum())
        return -total

    if not any((s.weight > 0).sum(axis=0).max(initial=0) > 1 for s in sums):
        return 0.0  # no drug was measured at two levels
    values = np.array([cost(ratio) for ratio in RATIOS])
    best = int(values.argmin())
    low, high = RATIOS[max(best - 1, 0)], RATIOS[min(best + 1, len(RATIOS) - 1)]
    found = minimize_scalar(cost, bounds=(low, high), method="bounded", options={"xatol": 1e-3})
    ratio = found.x if found.fun < values.min() else RATIOS[best]
    return float(ratio * effect_sd)


def level_blocks(
    residual: np.ndarray, error: np.ndarray, on: np.ndarray, design: Design, fraction: np.ndarray
) -> Blocks:
    """Blocks of `learn_between`, from the contexts with one drug.

    Parameters
    ----------
    residual, error, on
        ``(K, G)``; residual means, their variances, and where drugs have targets.
    fraction
        ``(K, D)``; fraction of the full effect of each drug.
    """
    out = []
    for d in range(len(design.drugs)):
        rows = design.alone(d)
        genes = np.flatnonzero(on[rows].any(axis=0))
        if len(genes):
            at = np.ix_(rows, genes)
            out.append((residual[at].T, error[at].T, fraction[rows, d], design.level[rows]))
    return out
