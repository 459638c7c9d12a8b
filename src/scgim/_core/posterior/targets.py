"""Effects of targets given the graph and the odds of targets (layer `_core`).

Targets belong to the drug, effects to the dose: along a drug's Hill curve, with learned deviations from it. Exact where every context
holds one drug; combinations superpose and are solved by sweeps over the drugs (variational, not from the paper). What is not known of
the curve is added along the principal axes of its posterior (delta method), and so is what errs in all contexts of a drug alike.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from scgim._core.design import Design
from scgim._core.effects import Effects, KindFit
from scgim._core.posterior.curves import Curves
from scgim._core.posterior.levels import Offsets, level_sums, pool_levels, split_levels

CONVERGED = 1e-4  # change of amplitudes, in standard deviations of the genes
LIKELY = 1e-3  # probability of a target from which the curve's uncertainty is added


class DrugPosterior(NamedTuple):
    """Posterior of one drug at its targets: ``(G,)``, of its contexts ``(L, G)``, of the levels ``(V, G)``."""

    amplitude: np.ndarray
    sd: np.ndarray
    effect: np.ndarray
    effect_sd: np.ndarray
    level_amplitude: np.ndarray
    level_sd: np.ndarray


def _drug_update(
    r: np.ndarray,
    e: np.ndarray,
    h: np.ndarray,
    curves: Curves,
    level: np.ndarray,
    n_levels: int,
    offsets: Offsets | None = None,
) -> DrugPosterior:
    """Posterior of one drug at all genes, if they are targets, from residual means and variances ``(L, G)`` at L contexts."""
    e, r, dev2, between2 = e.T, r.T, curves.deviation_sd**2, curves.between_sd**2  # (G, L)
    slab = curves.components()  # (C, 3)
    flat = e + dev2 * h**2  # (G, L) variance around a known amplitude
    sums = level_sums(r, flat, h, level, n_levels, offsets)
    weight, estimate, _ = pool_levels(sums, between2)
    spread = weight[:, None] + 1 / slab[:, 2]  # (G, C) precision given a component
    mean = (weight * estimate)[:, None] / spread + slab[:, 1] / slab[:, 2] / spread
    log = np.log(slab[:, 0]) - 0.5 * np.log(slab[:, 2] + 1 / weight[:, None])
    log = log - 0.5 * (estimate[:, None] - slab[:, 1]) ** 2 / (slab[:, 2] + 1 / weight[:, None])
    total = np.logaddexp.reduce(log, axis=1)
    share = np.exp(log - total[:, None])  # (G, C)
    amplitude = (share * mean).sum(axis=1)
    variance = (share * (1 / spread + (mean - amplitude[:, None]) ** 2)).sum(axis=1)
    at_level, level_variance = split_levels(sums, between2, amplitude, variance)  # (V, G)
    gain = dev2 * h**2 / flat  # (G, L) share of what is left that is deviation
    own = h * at_level[level].T
    offset, unsure, slope = np.zeros((3, 1, 1)) if offsets is None else offsets.given(r - own, flat, h)
    effect = own + gain * (r - own - offset)
    left = gain * e + gain**2 * unsure + ((1 - gain) * h + gain * slope) ** 2 * level_variance[level].T
    return DrugPosterior(amplitude, _root(variance), effect.T, _root(left).T, at_level, _root(level_variance))


def _offsets(
    offset2: np.ndarray | None, design: Design, rows: np.ndarray, genes: np.ndarray | slice = slice(None)
) -> Offsets | None:
    """Those of contexts of one drug."""
    return None if offset2 is None else Offsets(offset2[rows][:, genes].T, design.group[rows])


def _root(variance: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(variance, 1e-12))


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
        Whether effects of drugs in one context add up; otherwise each is read from its contexts as they are.
    n_sweeps
        Sweeps over the drugs where combinations were measured.
    """
    (K, G), D = residual.shape, len(design.drugs)
    h, probability = curves.fraction(design.dose), expit(log_odds)  # (K, D), (D, G)
    amplitude, sd = np.zeros((D, G)), np.full((D, G), curves.effect_sd)
    levels = _no_effects(D, G, design, curves)  # mean and sd at each level, (D, V, G) each
    rows = [design.of(d) for d in range(D)]
    pieces: list[tuple[np.ndarray, np.ndarray]] = [(np.zeros((len(r), G)), np.zeros((len(r), G))) for r in rows]
    expected = np.zeros((K, G))
    for _ in range(n_sweeps if superpose and design.combined else 1):
        before = amplitude.copy()
        for d in range(D):
            if len(rows[d]) == 0:
                continue
            own = probability[d] * pieces[d][0]
            r = residual[rows[d]] - (expected[rows[d]] - own) * superpose
            at = design.level[rows[d]], design.n_levels, _offsets(offset2, design, rows[d])
            out = _drug_update(r, error[rows[d]], h[rows[d], d], curves, *at)
            amplitude[d], sd[d], pieces[d] = out.amplitude, out.sd, (out.effect, out.effect_sd)
            levels[0][d], levels[1][d] = out.level_amplitude, out.level_sd
            expected[rows[d]] += probability[d] * pieces[d][0] - own
        if np.abs(amplitude - before).max(initial=0.0) < CONVERGED:
            break
    left = [residual[r] - (expected[r] - probability[d] * pieces[d][0]) * superpose for d, r in enumerate(rows)]
    along = _add_curves(left, error, design, curves, probability, sd, levels[1], pieces, offset2)
    if shared is not None:
        _add_shared(shared, h, design, sd, levels[1], pieces)
    return _kind_fit(kind, Effects(probability, amplitude, sd), levels, along, rows, pieces, K)


def _add_shared(
    shared: np.ndarray,
    h: np.ndarray,
    design: Design,
    sd: np.ndarray,
    level_sd: np.ndarray,
    pieces: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    """Add what errs in all contexts of a drug alike, ``(D, V, G)``, to the standard deviations, in place."""
    level_sd[:] = np.sqrt(level_sd**2 + shared)
    for d in range(len(sd)):
        rows = design.of(d)
        if len(rows) == 0:
            continue
        sd[d] = np.sqrt(sd[d] ** 2 + shared[d, np.unique(design.level[rows])].mean(axis=0))
        own = h[rows, d, None] ** 2 * shared[d, design.level[rows]]  # (L, G)
        pieces[d][1][:] = np.sqrt(pieces[d][1] ** 2 + own)


def _no_effects(n_drugs: int, n_genes: int, design: Design, curves: Curves) -> tuple[np.ndarray, np.ndarray]:
    shape = (n_drugs, design.n_levels, n_genes)
    return np.zeros(shape), np.full(shape, float(np.hypot(curves.effect_sd, curves.between_sd)))


def _kind_fit(
    kind: str,
    of_drug: Effects,
    levels: tuple[np.ndarray, np.ndarray],
    along: tuple[np.ndarray, np.ndarray],
    rows: list[np.ndarray],
    pieces: list[tuple[np.ndarray, np.ndarray]],
    n_contexts: int,
) -> KindFit:
    """Everything of one kind together; `rows` and `pieces` are contexts of each drug, and its effects there."""
    probability = np.broadcast_to(of_drug.probability[:, None], levels[0].shape)
    of_context = by_context(of_drug.probability, rows, pieces, n_contexts)
    return KindFit(kind, of_drug, of_context, Effects(probability, *levels), *along)


def _add_curves(
    residual: list[np.ndarray],
    error: np.ndarray,
    design: Design,
    curves: Curves,
    probability: np.ndarray,
    sd: np.ndarray,
    level_sd: np.ndarray,
    pieces: list[tuple[np.ndarray, np.ndarray]],
    offset2: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Add the curves' uncertainty to the standard deviations of amplitudes, levels and pieces, in place.

    Parameters
    ----------
    residual
        For each drug, the residual means ``(L, G)`` of its contexts less the effects of other drugs.

    Returns
    -------
    Half differences of the amplitudes between both ends of each axis, ``(2, D, G)``, and of those at levels ``(2, D, V, G)``.
    """
    axes, level_axes = np.zeros((2, *sd.shape)), np.zeros((2, *level_sd.shape))
    if curves.axes is None:
        return axes, level_axes
    ends = [[curves.moved(a, by) for by in (1.0, -1.0)] for a in range(2)]
    fractions = [[end.fraction(design.dose) for end in pair] for pair in ends]
    for d in range(len(sd)):
        index, genes = design.of(d), np.flatnonzero(probability[d] > LIKELY)
        if len(index) == 0 or len(genes) == 0:
            continue
        effect_sd = pieces[d][1]
        for a in range(2):
            r, e = residual[d][:, genes], error[np.ix_(index, genes)]
            at = design.level[index], design.n_levels, _offsets(offset2, design, index, genes)
            up, down = (_drug_update(r, e, fractions[a][b][index, d], end, *at) for b, end in enumerate(ends[a]))
            axes[a, d, genes] = 0.5 * (up.amplitude - down.amplitude)
            level_axes[a, d, :, genes] = 0.5 * (up.level_amplitude - down.level_amplitude).T
            effect_sd[:, genes] = np.hypot(effect_sd[:, genes], 0.5 * (up.effect - down.effect))
        sd[d] = np.sqrt(sd[d] ** 2 + (axes[:, d] ** 2).sum(axis=0))
        level_sd[d] = np.sqrt(level_sd[d] ** 2 + (level_axes[:, d] ** 2).sum(axis=0))
    return axes, level_axes


def by_context(
    probability: np.ndarray, rows: list[np.ndarray], pieces: list[tuple[np.ndarray, np.ndarray]], n_contexts: int
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
    """
    context = np.concatenate([*rows, np.zeros(0, dtype=int)]).astype(int)  # (c,) of each drug in each of its contexts
    drug = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
    empty = np.zeros((0, probability.shape[1]))
    effect, effect_sd = (np.concatenate([*(p[i] for p in pieces), empty]) for i in range(2))  # (c, G)
    return Effects(probability[drug], effect, effect_sd).superpose(context, n_contexts)
