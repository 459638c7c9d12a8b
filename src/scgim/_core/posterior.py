"""Posterior of targets and effects given the graph (layer `_core`).

Targets belong to the drug, effects to the dose: along a drug's Hill curve, with learned deviations from it. Exact
where every context holds one drug; combinations superpose and are solved by sweeps over the drugs (variational, not
from the paper).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scgim._core.design import Design
from scgim._core.dose_response import fit_curves, hill

DEVIATIONS = (0.0, 0.05, 0.1, 0.2, 0.4)  # standard deviation around the curve, relative to the slab


@dataclass
class Curves:
    """Dose curves and prior of effects, in standardised units."""

    ec50: np.ndarray  # (D,)
    slope: np.ndarray  # (D,)
    slab_sd: float
    deviation_sd: float

    def fraction(self, dose: np.ndarray) -> np.ndarray:
        """Fraction of the full effect for doses ``(m, D)``."""
        return hill(dose, self.ec50, self.slope)


@dataclass
class Targets:
    """Posterior of the interventions, in standardised units; arrays ``(D, G)`` and ``(K, G)``."""

    probability: np.ndarray
    amplitude: np.ndarray
    amplitude_sd: np.ndarray
    context_probability: np.ndarray
    context_effect: np.ndarray
    context_effect_sd: np.ndarray


def fit_dose_curves(residual: np.ndarray, error: np.ndarray, on: np.ndarray, design: Design) -> Curves:
    """Dose curves from the contexts with one drug.

    Parameters
    ----------
    residual, error
        ``(K, G)``; residual means and their variances.
    on
        ``(K, G)`` bool; contexts and genes taken as targeted.
    design
        Of the contexts.
    """
    dose, D = np.asarray(design.dose), len(design.drugs)
    single = (dose > 0).sum(axis=1) == 1
    effects = residual[on & single[:, None]]
    slab = float(np.sqrt(np.mean(effects**2))) if len(effects) else 1.0
    levels = np.unique(dose[single][dose[single] > 0])
    if not design.has_dose or len(levels) == 0:
        return Curves(np.zeros(D), np.ones(D), max(slab, 0.1), 0.2 * slab)
    if len(levels) == 1:  # nothing is known of the curve: half the full effect at the one dose
        return Curves(np.full(D, levels[0]), np.ones(D), max(2 * slab, 0.1), 0.2 * slab)
    pairs = []
    for d in range(D):
        rows = np.flatnonzero(single & (dose[:, d] > 0))
        for j in np.flatnonzero(on[rows].any(axis=0)) if len(rows) else []:
            pairs.append((d, dose[rows, d], residual[rows, j], error[rows, j]))
    top = max(float(np.max(np.abs(p[2]))) ** 2 for p in pairs) if pairs else slab**2
    slab2 = max(np.mean([np.max(p[2] ** 2) for p in pairs]) if pairs else slab**2, 0.01, 0.05 * top)
    fits = [(*fit_curves(pairs, D, slab2, slab2 * k**2), k) for k in DEVIATIONS]
    ec50, slope, _, k = max(fits, key=lambda fit: fit[2])
    return Curves(ec50, slope, float(np.sqrt(slab2)), float(k * np.sqrt(slab2)))


def _drug_update(
    r: np.ndarray, e: np.ndarray, h: np.ndarray, curves: Curves, log_prior: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Posterior of one drug at all genes: r, e (L, G) and h (L,) -> p, amplitude, sd (G,), effect, effect sd (L, G)."""
    slab2, dev2 = curves.slab_sd**2, curves.deviation_sd**2
    prior = slab2 * np.outer(h, h) + dev2 * np.diag(h**2)  # (L, L)
    e, r = e.T, r.T  # (G, L)
    cov = prior + e[:, :, None] * np.eye(len(h))  # (G, L, L)
    solved = np.linalg.solve(cov, r[:, :, None])[..., 0]  # (G, L)
    gain = np.linalg.solve(cov, np.broadcast_to(prior, cov.shape))  # (G, L, L)
    on = -0.5 * np.linalg.slogdet(cov)[1] - 0.5 * (r * solved).sum(axis=1)
    off = -0.5 * (np.log(e) + r**2 / e).sum(axis=1)
    p = 1 / (1 + np.exp(np.clip(off - on - log_prior, -500, 500)))
    solved_h = np.linalg.solve(cov, np.broadcast_to(h[:, None], (len(r), len(h), 1)))[..., 0]
    amplitude = slab2 * solved @ h
    variance = slab2 - slab2**2 * (solved_h @ h)
    effect = solved @ prior
    spread = np.diag(prior) - np.einsum("ab,gba->ga", prior, gain)
    return p, amplitude, np.sqrt(np.maximum(variance, 1e-12)), effect.T, np.sqrt(np.maximum(spread, 1e-12)).T


def fit_targets(
    residual: np.ndarray,
    error: np.ndarray,
    design: Design,
    curves: Curves,
    p_target: np.ndarray,
    *,
    known: np.ndarray | None = None,
    n_sweeps: int = 20,
) -> Targets:
    """Posterior of targets and effects of every drug.

    Parameters
    ----------
    residual, error
        ``(K, G)``; residual means against the baseline, and their variances where the gene is not a target.
    design
        Of the contexts.
    curves
        Dose curves and prior of effects.
    p_target
        ``(G,)``; prior probability of a target.
    known
        ``(D, G)``; 1 for known targets, 0 for known others, NaN where nothing is known.
    n_sweeps
        Sweeps over the drugs where combinations were measured.
    """
    dose, (K, G), D = np.asarray(design.dose), residual.shape, len(design.drugs)
    h = curves.fraction(dose)  # (K, D)
    log_prior = np.broadcast_to(np.log(p_target) - np.log1p(-p_target), (D, G)).copy()
    if known is not None:
        log_prior[known == 1], log_prior[known == 0] = 30.0, -30.0
    probability, amplitude, sd = np.zeros((D, G)), np.zeros((D, G)), np.full((D, G), curves.slab_sd)
    rows = [np.flatnonzero(dose[:, d] > 0) for d in range(D)]
    pieces: list[tuple[np.ndarray, np.ndarray]] = [(np.zeros((len(r), G)), np.zeros((len(r), G))) for r in rows]
    combined = bool(((dose > 0).sum(axis=1) > 1).any())
    expected = np.zeros((K, G))
    for _ in range(n_sweeps if combined else 1):
        before = probability.copy()
        for d in range(D):
            if len(rows[d]) == 0:
                continue
            own = probability[d] * pieces[d][0]
            r = residual[rows[d]] - (expected[rows[d]] - own)
            out = _drug_update(r, error[rows[d]], h[rows[d], d], curves, log_prior[d])
            probability[d], amplitude[d], sd[d], pieces[d] = out[0], out[1], out[2], (out[3], out[4])
            expected[rows[d]] += probability[d] * pieces[d][0] - own
        if np.abs(probability - before).max() < 1e-4:
            break
    return _by_context(probability, amplitude, sd, rows, pieces, (K, G))


def fit_values(value: np.ndarray, error: np.ndarray, design: Design, curves: Curves, log_odds: np.ndarray) -> Targets:
    """Values of hit genes where the odds of being hit are known: hard interventions.

    Parameters
    ----------
    value, error
        ``(K, G)``; means and their variances.
    log_odds
        ``(D, G)``; posterior log odds that a drug hits a gene.
    """
    dose, shape, D = np.asarray(design.dose), value.shape, len(design.drugs)
    h = curves.fraction(dose)
    probability = 1 / (1 + np.exp(-np.clip(log_odds, -500, 500)))
    amplitude, sd = np.zeros((D, shape[1])), np.full((D, shape[1]), curves.slab_sd)
    rows = [np.flatnonzero(dose[:, d] > 0) for d in range(D)]
    pieces = [(np.zeros((len(r), shape[1])), np.zeros((len(r), shape[1]))) for r in rows]
    for d in range(D):
        if len(rows[d]):
            out = _drug_update(value[rows[d]], error[rows[d]], h[rows[d], d], curves, np.zeros(shape[1]))
            amplitude[d], sd[d], pieces[d] = out[1], out[2], (out[3], out[4])
    return _by_context(probability, amplitude, sd, rows, pieces, shape)


def _by_context(
    probability: np.ndarray,
    amplitude: np.ndarray,
    sd: np.ndarray,
    rows: list[np.ndarray],
    pieces: list[tuple[np.ndarray, np.ndarray]],
    shape: tuple[int, int],
) -> Targets:
    """Sums the drugs of each context: probability that any targets the gene, and the effect given that one does."""
    none, mean, square = np.ones(shape), np.zeros(shape), np.zeros(shape)
    for d, index in enumerate(rows):
        none[index] *= 1 - probability[d]
        mean[index] += probability[d] * pieces[d][0]
        square[index] += probability[d] * pieces[d][1] ** 2
    any_ = 1 - none
    safe = np.maximum(any_, 1e-300)
    return Targets(probability, amplitude, sd, any_, mean / safe, np.sqrt(square / safe))
