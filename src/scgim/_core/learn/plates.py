"""Plates that nobody wrote down: what moves a gene alike at every dose of a drug (layer `_core`; not from the paper).

All doses of a drug often share a plate, or a day, and its shift of every gene. A shift that is as large at the lowest dose as at
the highest is not what the drug's targets do, which follow its curve. In one baseline group, against the controls,

``y_l = o + a h(dose_l) + w_l + error``,

with the drug's curve h, which all genes share, an amplitude a of any size, and an offset ``o ~ N(0, offset_sd^2)`` of the plate.
A few genes may have a constant shift of their own, from a part of the drug's action that is complete at the lowest dose: that
stays. The standard deviation of offsets is learned by evidence, curves integrated out; where it is none nothing is changed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp, softmax

from scgim._core.design import Design
from scgim._core.moments.moments import Moments, Plates
from scgim._core.posterior.contrasts import references
from scgim._core.posterior.hill import hill

FEWEST_DOSES = 3  # of a drug in a baseline group, by which a curve and an offset can be told apart
OFFSETS = (0.0, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0)  # in standard deviations of the cells of a context
CONTEXTS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)  # standard deviations between contexts that are tried
AMPLITUDES = (0.0, 0.5, 2.0, 6.0)  # standard deviations of amplitudes, of equal prior weight
OWN_SD, OWN_SHARE = 3.0, 0.1  # constant shifts that genes have of their own, and how many may
SLOPES = (0.7, 1.0, 1.5, 2.5, 4.0)
N_ZOOMS, N_FINER = 3, 7  # steps by which the grid of curves becomes finer, and points on each side of it
PRIOR = 0.1  # density of the logarithms of half-maximal dose and slope
WORTH = 10.0  # nats that offsets have to gain
MOST_GENES, MOST_UNITS = 60, 60  # from which the standard deviations are learned


@dataclass(frozen=True)
class Unit:
    """A drug in one baseline group: contexts ``(L,)``, changes from the controls ``(L, G)`` in standard deviations of cells, and variances."""

    drug: int
    rows: np.ndarray
    dose: np.ndarray
    change: np.ndarray
    error: np.ndarray  # (L,) of each context
    shared: float  # of the controls


def units(moments: Moments, design: Design) -> list[Unit]:
    """Drugs that were measured alone at several doses in a baseline group with controls."""
    sd = np.sqrt(np.maximum(np.diag(moments.within), 1e-12))  # (G,)
    n, weight = np.maximum(moments.n, 1.0), references(design)  # (C, K)
    found = []
    for d in range(len(design.drugs)):
        alone = design.alone(d)
        for c in np.unique(design.group[alone]):
            rows, controls = alone[design.group[alone] == c], (design.group == c) & design.control
            dose = design.dose[rows, d]
            if len(np.unique(dose)) >= FEWEST_DOSES and controls.any():
                change = (moments.mean[rows, :, 0] - weight[c] @ moments.mean[:, :, 0]) / sd
                found.append(Unit(d, rows, dose, change, 1 / n[rows], float(1 / n[controls].sum())))
    return found


def curves(found: list[Unit]) -> np.ndarray:
    """Half-maximal doses and slopes that are tried, ``(T, 2)``; at the lowest ones the effect is nearly complete at every dose."""
    dose = np.concatenate([unit.dose for unit in found])
    ec50 = np.geomspace(dose.min() / 10, dose.max() * 5, 16)
    return np.stack(np.meshgrid(ec50, SLOPES, indexing="ij"), axis=-1).reshape(-1, 2)


@dataclass(frozen=True)
class Weighed:
    """Log densities of a unit's changes ``(T, G)``, the offset expected there, and its variance ``(T,)`` at targets."""

    log: np.ndarray
    offset: np.ndarray
    variance: np.ndarray


class Expected(NamedTuple):
    """Offsets of a unit ``(G,)``, and their variance at targets."""

    offset: np.ndarray
    variance: float


def weigh(unit: Unit, curve: np.ndarray, offset_sd: float, context_sd: float, *, expect: bool = False) -> Weighed:
    """Under every curve, amplitudes and both kinds of constant shifts integrated out.

    With ``B`` the covariance without an amplitude, that with one is ``B + a^2 h h^T``, whose inverse is that of B less
    ``a^2 (B^-1 h) (B^-1 h)^T / (1 + a^2 h^T B^-1 h)``.
    """
    fraction = hill(unit.dose, curve[:, :1], curve[:, 1:])  # (T, L)
    y = unit.change
    base = np.diag(unit.error + context_sd**2) + unit.shared
    logs, means = [], []
    for own in (False, True):
        inverse = np.linalg.inv(base + offset_sd**2 + own * OWN_SD**2)  # (L, L)
        log_det = np.linalg.slogdet(inverse)[1]
        prior = np.log((OWN_SHARE if own else 1 - OWN_SHARE) / len(AMPLITUDES))
        square = np.einsum("lg,lm,mg->g", y, inverse, y)  # (G,)
        along = fraction @ inverse  # (T, L)
        length, constant = (along * fraction).sum(axis=1), along.sum(axis=1)  # (T,)
        passed = along @ y  # (T, G)
        for a in AMPLITUDES:
            share = a**2 / (1 + a**2 * length)  # (T,)
            density = log_det - np.log1p(a**2 * length)[:, None] - square + share[:, None] * passed**2
            logs.append(prior + 0.5 * density)  # (T, G)
            if expect:
                gain = inverse.sum(axis=0) @ y - (share * constant)[:, None] * passed  # (T, G)
                means.append(offset_sd**2 * gain * (not own))
                if not own:  # at last beside the largest amplitudes
                    left = offset_sd**2 * (1 - offset_sd**2 * (inverse.sum() - share * constant**2))
    log = np.array(logs)
    top = log.max(axis=0)  # (T, G)
    total = top + np.log(np.exp(log - top).sum(axis=0))
    if not expect:
        return Weighed(total, total, total[:, 0])
    return Weighed(total, (np.exp(log - total) * np.array(means)).sum(axis=0), left)


def evidence(found: list[Unit], curve: np.ndarray, offset_sd: float, context_sd: float, genes: np.ndarray) -> float:
    """Log evidence of all drugs, the curve of each integrated out."""
    by_drug: dict[int, np.ndarray] = {}
    for unit in found:
        log = weigh(replace(unit, change=unit.change[:, genes]), curve, offset_sd, context_sd).log.sum(axis=1)
        by_drug[unit.drug] = by_drug.get(unit.drug, np.zeros(len(curve))) + log
    return float(sum(logsumexp(log) for log in by_drug.values()))


def find_plates(moments: Moments, design: Design) -> Moments:
    """The moments without the offsets of plates, which they then name; as they are where evidence does not ask for any."""
    if not design.has_dose or moments.n_functions > 1 or moments.spread is not None:
        return moments
    found = units(moments, design)
    if not found:
        return moments
    curve = curves(found)
    few = found[:: -(-len(found) // MOST_UNITS)]
    genes = np.arange(0, moments.n_genes, -(-moments.n_genes // MOST_GENES))
    values = np.array([[evidence(few, curve, o, w, genes) for w in CONTEXTS] for o in OFFSETS])
    best = np.unravel_index(int(values.argmax()), values.shape)
    if best[0] == 0 or values.max() < values[0].max() + WORTH:
        return moments
    offset_sd, context_sd = OFFSETS[best[0]], CONTEXTS[best[1]]
    offset, left = np.zeros(moments.mean.shape[:2]), np.zeros(len(design.dose))
    sd = np.sqrt(np.maximum(np.diag(moments.within), 1e-12))
    for unit, each in best_curves(found, curve, offset_sd, context_sd):
        offset[unit.rows], left[unit.rows] = sd * each.offset, each.variance
    mean = moments.mean.copy()
    mean[:, :, 0] -= offset
    return replace(moments, mean=mean, plates=Plates(offset, left, offset_sd))


def best_curves(
    found: list[Unit], curve: np.ndarray, offset_sd: float, context_sd: float
) -> list[tuple[Unit, Expected]]:
    """Offsets of all units, along one curve of all drugs, or one of each, by evidence."""
    by_drug: dict[int, list[Unit]] = {}
    for unit in found:
        by_drug.setdefault(unit.drug, []).append(unit)
    apart = [expected(each, curve, offset_sd, context_sd) for each in by_drug.values()]
    together, value = expected(found, curve, offset_sd, context_sd)
    if value >= sum(one for _, one in apart):
        return list(zip(found, together, strict=True))
    return [
        pair
        for each, (of_each, _) in zip(by_drug.values(), apart, strict=True)
        for pair in zip(each, of_each, strict=True)
    ]


def expected(found: list[Unit], curve: np.ndarray, offset_sd: float, context_sd: float) -> tuple[list[Expected], float]:
    """Offset of each unit along one curve that they share, on a grid that becomes finer in steps, and the log evidence of that."""
    step = np.log(curve[len(SLOPES), 0] / curve[0, 0])
    share = 1 / len(curve)  # prior probability of a point of the grid
    for zoom in range(N_ZOOMS + 1):
        weighed = [weigh(unit, curve, offset_sd, context_sd, expect=zoom == N_ZOOMS) for unit in found]
        log = np.sum([each.log.sum(axis=1) for each in weighed], axis=0)
        if zoom < N_ZOOMS:
            away = step * np.linspace(-1, 1, N_FINER)
            finer = np.stack(np.meshgrid(away, away, indexing="ij"), axis=-1).reshape(-1, 2)
            curve, share = curve[log.argmax()] * np.exp(finer), PRIOR * (2 * step / (N_FINER - 1)) ** 2
            step /= 3
    weight = softmax(log)  # (T,)
    each = [Expected(weight @ one.offset, float(weight @ one.variance)) for one in weighed]
    return each, float(logsumexp(log) + np.log(share))
