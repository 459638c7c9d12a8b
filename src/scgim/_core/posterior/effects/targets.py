"""Effects of targets given the graph and the odds of targets (layer `_core`).

Targets belong to the drug, effects to the dose: along a drug's Hill curve, with learned deviations from it. Exact where
every context holds one drug; combinations superpose and are solved by sweeps over the drugs (variational, not from the
paper). What is not known of the curve is added along the principal axes of its posterior (delta method), and so is what
errs in all contexts of a drug alike.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from scgim._core.design import Design
from scgim._core.effects import Effects, KindFit, Together
from scgim._core.posterior.effects.curves import Curves
from scgim._core.posterior.effects.levels import LevelSums, Offsets, level_sums, pool_levels, split_levels

CONVERGED = 1e-4  # change of amplitudes, in standard deviations of the genes
SMALLEST = 1e-12  # variance
UNREAD = 1e12  # variance of contexts from which a drug is not read
LIKELY = 1e-3  # probability of a target from which the curve's uncertainty is added


class DrugPosterior(NamedTuple):
    """Posterior of one drug at its targets."""

    amplitude: np.ndarray  # (G,) full effect
    sd: np.ndarray  # (G,)
    effect: np.ndarray  # (L, G) in its contexts
    effect_sd: np.ndarray  # (L, G)
    level_amplitude: np.ndarray  # (V, G)
    level_sd: np.ndarray  # (V, G)


class _Alike(NamedTuple):
    """What contexts of one drug share."""

    level: np.ndarray  # (L,)
    n_levels: int
    offsets: Offsets | None

    @classmethod
    def of(
        cls, design: Design, rows: np.ndarray, offset2: np.ndarray | None, genes: np.ndarray | slice = slice(None)
    ) -> _Alike:
        """Of chosen contexts and genes, with variances ``(K, G)`` of offsets or without any."""
        offsets = None if offset2 is None else Offsets(offset2[rows][:, genes].T, design.group[rows])
        return cls(design.level[rows], design.n_levels, offsets)


def _amplitude(sums: LevelSums, curves: Curves) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance ``(G,)`` of amplitudes, whose prior is a mixture of C Gaussians."""
    weight, estimate, _ = pool_levels(sums, curves.between_sd**2)
    share, centre, variance = curves.components().T  # (C,) each
    precision = weight[:, None] + 1 / variance  # (G, C) given a component
    mean = (weight * estimate)[:, None] / precision + centre / variance / precision
    wide = variance + 1 / weight[:, None]  # of the estimate
    log = np.log(share) - 0.5 * np.log(wide) - 0.5 * (estimate[:, None] - centre) ** 2 / wide
    share = np.exp(log - np.logaddexp.reduce(log, axis=1)[:, None])  # (G, C)
    amplitude = (share * mean).sum(axis=1)
    return amplitude, (share * (1 / precision + (mean - amplitude[:, None]) ** 2)).sum(axis=1)


def _drug_update(r: np.ndarray, e: np.ndarray, h: np.ndarray, curves: Curves, alike: _Alike) -> DrugPosterior:
    """Posterior of one drug at its targets, from residual means and variances ``(L, G)`` at fractions ``(L,)``."""
    e, r, deviation2, offsets = e.T, r.T, curves.deviation_sd**2, alike.offsets  # (G, L)
    flat = e + deviation2 * h**2  # (G, L) variance around a known amplitude
    sums = level_sums(r, flat, h, alike.level, alike.n_levels, offsets)
    amplitude, variance = _amplitude(sums, curves)
    at_level, level_variance = split_levels(sums, curves.between_sd**2, amplitude, variance)  # (V, G)
    gain = deviation2 * h**2 / flat  # (G, L) share of what is left that is deviation
    own = h * at_level[alike.level].T
    offset, unsure, slope = np.zeros((3, 1, 1)) if offsets is None else offsets.given(r - own, flat, h)
    effect = own + gain * (r - own - offset)
    left = gain * e + gain**2 * unsure + ((1 - gain) * h + gain * slope) ** 2 * level_variance[alike.level].T
    return DrugPosterior(amplitude, _root(variance), effect.T, _root(left).T, at_level, _root(level_variance))


def _root(variance: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(variance, SMALLEST))


class _Drugs:
    """Effects of all drugs while they are solved for: at full effect, at levels, and in the contexts of each."""

    def __init__(self, design: Design, curves: Curves, n_genes: int) -> None:
        self.design, self.curves, self.shape = design, curves, (len(design.drugs), n_genes)
        self.rows = [design.of(d) for d in range(len(design.drugs))]
        self.mean, self.sd = np.zeros(self.shape), np.full(self.shape, curves.effect_sd)
        levels, sd = (self.shape[0], design.n_levels, n_genes), float(np.hypot(curves.effect_sd, curves.between_sd))
        self.at_level, self.level_sd = np.zeros(levels), np.full(levels, sd)
        self.effect = [np.zeros((len(rows), n_genes)) for rows in self.rows]
        self.effect_sd = [np.zeros((len(rows), n_genes)) for rows in self.rows]

    def take(self, drug: int, found: DrugPosterior) -> None:
        """Exchanges what is known of a drug."""
        self.mean[drug], self.sd[drug], self.effect[drug], self.effect_sd[drug] = found[:4]
        self.at_level[drug], self.level_sd[drug] = found[4:]

    def read_apart(self, apart: list[np.ndarray], value: np.ndarray, error: np.ndarray) -> None:
        """Values ``(K, G)`` of contexts in which a drug is not read, `apart` ``(L, 1)`` bool, as they are there."""
        for d, rows in enumerate(self.rows):
            keep = self.curves.effect_sd**2 / (self.curves.effect_sd**2 + error[rows])  # (L, G)
            as_seen = self.effect[d] + keep * (value[rows] - self.effect[d])
            self.effect[d] = np.where(apart[d], as_seen, self.effect[d])
            self.effect_sd[d] = np.where(apart[d], np.sqrt(keep * error[rows]), self.effect_sd[d])

    def add_shared(self, shared: np.ndarray, fraction: np.ndarray) -> None:
        """Adds what errs in all contexts of a drug and level alike, ``(D, V, G)``, to the standard deviations."""
        self.level_sd = np.sqrt(self.level_sd**2 + shared)
        for d, rows in enumerate(self.rows):
            if len(rows):
                level = self.design.level[rows]
                self.sd[d] = np.sqrt(self.sd[d] ** 2 + shared[d, np.unique(level)].mean(axis=0))
                own = fraction[rows, d, None] ** 2 * shared[d, level]  # (L, G)
                self.effect_sd[d] = np.sqrt(self.effect_sd[d] ** 2 + own)

    def add_curves(
        self, left: list[np.ndarray], error: list[np.ndarray], probability: np.ndarray, offset2: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Adds the uncertainty of curves to standard deviations, by what other drugs `left` of the contexts ``(L, G)`` with these errors.

        Returns
        -------
        Half differences of the amplitudes between both ends of each axis, ``(2, D, G)``, and of those at levels ``(2, D, V, G)``.
        """
        axes, level_axes = np.zeros((2, *self.sd.shape)), np.zeros((2, *self.level_sd.shape))
        if self.curves.axes is None:
            return axes, level_axes
        ends = [[self.curves.moved(axis, by) for by in (1.0, -1.0)] for axis in range(2)]
        fractions = [[end.fraction(self.design.dose) for end in pair] for pair in ends]
        for d, rows in enumerate(self.rows):
            genes = np.flatnonzero(probability[d] > LIKELY)
            if len(rows) == 0 or len(genes) == 0:
                continue
            seen, alike = error[d][:, genes], _Alike.of(self.design, rows, offset2, genes)
            for axis, pair in enumerate(ends):
                up, down = (
                    _drug_update(left[d][:, genes], seen, fractions[axis][side][rows, d], end, alike)
                    for side, end in enumerate(pair)
                )
                axes[axis, d, genes] = 0.5 * (up.amplitude - down.amplitude)
                level_axes[axis, d, :, genes] = 0.5 * (up.level_amplitude - down.level_amplitude).T
                effect_sd = self.effect_sd[d]
                effect_sd[:, genes] = np.hypot(effect_sd[:, genes], 0.5 * (up.effect - down.effect))
            self.sd[d] = np.sqrt(self.sd[d] ** 2 + (axes[:, d] ** 2).sum(axis=0))
            self.level_sd[d] = np.sqrt(self.level_sd[d] ** 2 + (level_axes[:, d] ** 2).sum(axis=0))
        return axes, level_axes

    def kept(
        self, kind: str, probability: np.ndarray, axes: tuple[np.ndarray, np.ndarray], together: Together
    ) -> KindFit:
        """All of it, as a fit keeps it."""
        pieces = list(zip(self.effect, self.effect_sd, strict=True))
        of_context = by_context(probability, self.rows, pieces, len(self.design.dose), together)
        everywhere = np.broadcast_to(probability[:, None], self.at_level.shape)
        of_drug, at_level = Effects(probability, self.mean, self.sd), Effects(everywhere, self.at_level, self.level_sd)
        return KindFit(kind, of_drug, of_context, at_level, *axes)


def fit_targets(
    residual: np.ndarray,
    error: np.ndarray,
    design: Design,
    curves: Curves,
    log_odds: np.ndarray,
    *,
    kind: str = "shift",
    shared: np.ndarray | None = None,
    offset2: np.ndarray | None = None,
    superpose: bool = True,
    n_sweeps: int = 20,
) -> KindFit:
    """Effects of every drug where the odds of its targets are known.

    Parameters
    ----------
    residual, error
        ``(K, G)``; residual means against the baseline, and the variances of those of different contexts; under hard
        interventions the means of the genes.
    log_odds
        ``(D, G)``; posterior log odds that a drug targets a gene.
    shared
        ``(D, V, G)``; variance of full effects that errs in all contexts of a drug and level alike; none by default.
    offset2
        ``(K, G)``; variance of what is added to all contexts of a drug in a baseline group alike; none by default.
    superpose
        Whether effects of drugs in one context add up; otherwise they are values, of drugs where they are alone if they ever are,
        and of combinations as they are there.
    n_sweeps
        Sweeps over the drugs where combinations were measured.
    """
    fraction, probability = curves.fraction(design.dose), expit(log_odds)  # (K, D), (D, G)
    drugs, expected = _Drugs(design, curves, residual.shape[1]), np.zeros(residual.shape)
    apart = [np.zeros((len(rows), 1), dtype=bool) for rows in drugs.rows]  # (L, 1) where a drug is not read
    if not superpose:
        apart = [~(own := design.single[rows, None]) & own.any() for rows in drugs.rows]
    seen = [np.where(at, UNREAD, error[rows]) for at, rows in zip(apart, drugs.rows, strict=True)]  # (L, G)
    for _ in range(n_sweeps if superpose and design.combined else 1):
        before = drugs.mean.copy()
        for d, rows in enumerate(drugs.rows):
            if len(rows):
                own = probability[d] * drugs.effect[d]
                left, alike = residual[rows] - (expected[rows] - own) * superpose, _Alike.of(design, rows, offset2)
                drugs.take(d, _drug_update(left, seen[d], fraction[rows, d], curves, alike))
                expected[rows] += probability[d] * drugs.effect[d] - own
        if np.abs(drugs.mean - before).max(initial=0.0) < CONVERGED:
            break
    beside = [
        residual[rows] - (expected[rows] - probability[d] * drugs.effect[d]) * superpose
        for d, rows in enumerate(drugs.rows)
    ]
    drugs.read_apart(apart, residual, error)
    axes = drugs.add_curves(beside, seen, probability, offset2)
    if shared is not None:
        drugs.add_shared(shared, fraction)
    return drugs.kept(kind, probability, axes, "sum" if superpose else "mean")


def by_context(
    probability: np.ndarray,
    rows: list[np.ndarray],
    pieces: list[tuple[np.ndarray, np.ndarray]],
    n_contexts: int,
    together: Together = "sum",
) -> Effects:
    """What the drugs of each context do together, ``(K, G)``.

    Parameters
    ----------
    probability
        ``(D, G)``.
    rows
        Contexts of each drug, L of them.
    pieces
        Effects of each drug in these, and their standard deviations, ``(L, G)`` each.
    together
        See `Effects.superpose`.
    """
    context = np.concatenate([*rows, np.zeros(0, dtype=int)]).astype(int)  # (c,) of each drug in each of its contexts
    drug = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
    empty = np.zeros((0, probability.shape[1]))
    effect, effect_sd = (np.concatenate([*(p[i] for p in pieces), empty]) for i in range(2))  # (c, G)
    return Effects(probability[drug], effect, effect_sd).superpose(context, n_contexts, together)
