"""Plates that nobody wrote down: what moves a gene alike at every dose of a drug (layer `_core`; not from the paper).

All doses of a drug often share a plate and its shift of every gene, which does not follow the drug's curve. Against the
controls,

``y_l = o + a h(dose_l) + w_l + error``,

with the curve h that all genes share, an amplitude a of any size, and an offset ``o ~ N(0, offset_sd^2)`` of the plate.
A few genes may have a constant shift of their own, which stays. `offset_sd` is learned by evidence; where it is none
nothing is changed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp, softmax

from scgim._core.design import Design
from scgim._core.moments.moments import Moments, Plates
from scgim._core.posterior.contrasts import references
from scgim._core.posterior.effects.hill import hill

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
ROOM = 30_000  # densities at a time


@dataclass(frozen=True)
class Units:
    """Drugs in a baseline group each, with as many contexts: these ``(U, L)``, and their changes from the controls ``(U, L, G)``.

    Changes are in standard deviations of cells; `error` ``(U, L)`` are their variances, `shared` ``(U,)`` those of the
    controls.
    """

    drug: np.ndarray  # (U,)
    rows: np.ndarray
    dose: np.ndarray
    change: np.ndarray
    error: np.ndarray
    shared: np.ndarray

    def some(self, at: np.ndarray | slice) -> Units:
        """Some of them."""
        return Units(*(getattr(self, f.name)[at] for f in fields(self)))

    def split(self, most: int) -> list[Units]:
        """At most so many at a time."""
        return [self.some(slice(first, first + most)) for first in range(0, len(self.drug), most)]

    def fraction(self, curve: np.ndarray) -> np.ndarray:
        """Of the full effect along curves ``(T, 2)``, ``(U, T, L)``."""
        return hill(self.dose[:, None], curve[:, :1], curve[:, 1:])


def units(moments: Moments, design: Design) -> list[Units]:
    """Drugs that were measured alone at several doses in a baseline group with controls, one by one."""
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
                parts = np.array(d), rows, dose, change, 1 / n[rows], np.array(1 / n[controls].sum())
                found.append(Units(*(part[None] for part in parts)))
    return found


def stacked(found: list[Units], n_curves: int) -> list[Units]:
    """Those with as many contexts together, as many at a time as fit into the cache with all curves."""
    room = max(1, ROOM // (n_curves * found[0].change.shape[2]))
    out = []
    for n in sorted({one.dose.shape[1] for one in found}):
        alike = [one for one in found if one.dose.shape[1] == n]
        together = Units(*(np.concatenate([getattr(one, f.name) for one in alike]) for f in fields(Units)))
        out += together.split(room)
    return out


def curves(found: list[Units]) -> np.ndarray:
    """Half-maximal doses and slopes that are tried, ``(T, 2)``; at the lowest the effect is nearly complete anywhere."""
    dose = np.concatenate([unit.dose.ravel() for unit in found])
    ec50 = np.geomspace(dose.min() / 10, dose.max() * 5, 16)
    return np.stack(np.meshgrid(ec50, SLOPES, indexing="ij"), axis=-1).reshape(-1, 2)


@dataclass(frozen=True)
class OffsetDensity:
    """Log densities of changes ``(U, T, G)``, the offsets expected there, and their variances ``(U, T)`` at targets."""

    log: np.ndarray
    offset: np.ndarray
    variance: np.ndarray


class ExpectedOffsets(NamedTuple):
    """Offsets of a unit ``(G,)``, and their variance at targets."""

    offset: np.ndarray
    variance: float


class Amplitudes:
    """Densities of changes for a constant shift of one variance, for every curve and amplitude.

    With ``B`` the covariance without an amplitude, that with one is ``B + a^2 h h^T``, whose inverse is that of B less
    ``a^2 (B^-1 h) (B^-1 h)^T / (1 + a^2 h^T B^-1 h)``. Densities are of a bound above all of them, that of the largest
    ``a`` without its determinant, so that none overflows and one is never next to nothing.
    """

    def __init__(self, units: Units, fraction: np.ndarray, covariance: np.ndarray, prior: float) -> None:
        self.inverse, self.change = np.linalg.inv(covariance), units.change  # (U, L, L)
        along = fraction @ self.inverse  # (U, T, L)
        self.length, self.constant = (along * fraction).sum(axis=2), along.sum(axis=2)  # (U, T)
        self.passed = along @ units.change  # (U, T, G)
        self.square = self.passed**2
        alone = np.linalg.slogdet(self.inverse)[1][:, None] - (units.change * (self.inverse @ units.change)).sum(axis=1)
        self.without = (
            np.log(prior / len(AMPLITUDES)) + 0.5 * alone[:, None]
        )  # (U, 1, G) log density without an amplitude
        self.bound = self.without + 0.5 * self.share(max(AMPLITUDES))[:, :, None] * self.square

    def share(self, a: float) -> np.ndarray:
        """``a^2 / (1 + a^2 h^T B^-1 h)``, ``(U, T)``."""
        return a**2 / (1 + a**2 * self.length)

    def density(self, a: float, top: np.ndarray) -> np.ndarray:
        """Of an amplitude, over the exponential of `top` ``(U, T, G)``."""
        log = self.square * (0.5 * self.share(a))[:, :, None]
        log += self.without
        log -= top
        return np.exp(log, out=log) / np.sqrt(1 + a**2 * self.length)[:, :, None]

    def constant_shift(self, a: float, variance: float) -> tuple[np.ndarray, np.ndarray]:
        """Expected constant shift ``(U, T, G)`` and its variance ``(U, T)`` beside an amplitude, of the prior variance given."""
        part = self.share(a) * self.constant
        gain = (self.inverse.sum(axis=1)[:, None] @ self.change) - part[:, :, None] * self.passed
        left = variance * (1 - variance * (self.inverse.sum(axis=(1, 2))[:, None] - part * self.constant))
        return variance * gain, left


def weigh(
    units: Units, fraction: np.ndarray, offset_sd: float, context_sd: float, *, expect: bool = False
) -> OffsetDensity:
    """Under every curve, whose fractions ``(U, T, L)`` are given, amplitudes and both kinds of constant shifts integrated out."""
    n = units.error.shape[1]
    base = (units.error + context_sd**2)[:, :, None] * np.eye(n) + units.shared[:, None, None]
    plate = Amplitudes(units, fraction, base + offset_sd**2, 1 - OWN_SHARE)
    own = Amplitudes(units, fraction, base + offset_sd**2 + OWN_SD**2, OWN_SHARE)
    top = np.maximum(plate.bound, own.bound)  # (U, T, G)
    total, offset, left = np.zeros(top.shape), np.zeros(top.shape), np.zeros(top.shape[:2])
    for a in AMPLITUDES:
        of_plate = plate.density(a, top)
        total += of_plate
        total += own.density(a, top)
        if expect:
            expected, left = plate.constant_shift(a, offset_sd**2)  # at last beside the largest amplitudes
            offset += of_plate * expected
    return OffsetDensity(top + np.log(total), offset / total, left)


def evidence(found: list[tuple[Units, np.ndarray]], n_drugs: int, offset_sd: float, context_sd: float) -> float:
    """Log evidence of all drugs, the curve of each integrated out; units come with their fractions."""
    log = np.zeros((n_drugs, found[0][1].shape[1]))  # (D, T)
    for units, fraction in found:
        np.add.at(log, units.drug, weigh(units, fraction, offset_sd, context_sd).log.sum(axis=2))
    return float(logsumexp(log[np.unique(np.concatenate([units.drug for units, _ in found]))], axis=1).sum())


def find_plates(moments: Moments, design: Design) -> Moments:
    """The moments without the offsets of plates, which they then name; as they are where evidence does not ask for any."""
    if not design.has_dose or moments.n_functions > 1 or moments.spread is not None:
        return moments
    found = units(moments, design)
    if not found:
        return moments
    curve = curves(found)
    genes = np.arange(0, moments.n_genes, -(-moments.n_genes // MOST_GENES))
    few = [replace(one, change=one.change[:, :, genes]) for one in found[:: -(-len(found) // MOST_UNITS)]]
    along = [(one, one.fraction(curve)) for one in stacked(few, len(curve))]
    values = np.array([[evidence(along, len(design.drugs), o, w) for w in CONTEXTS] for o in OFFSETS])
    best = np.unravel_index(int(values.argmax()), values.shape)
    if best[0] == 0 or values.max() < values[0].max() + WORTH:
        return moments
    offset_sd, context_sd = OFFSETS[best[0]], CONTEXTS[best[1]]
    offset, left = np.zeros(moments.mean.shape[:2]), np.zeros(len(design.dose))
    sd = np.sqrt(np.maximum(np.diag(moments.within), 1e-12))
    for unit, each in best_curves(found, curve, offset_sd, context_sd):
        offset[unit.rows[0]], left[unit.rows[0]] = sd * each.offset, each.variance
    mean = moments.mean.copy()
    mean[:, :, 0] -= offset
    return replace(moments, mean=mean, plates=Plates(offset, left, offset_sd))


def best_curves(
    found: list[Units], curve: np.ndarray, offset_sd: float, context_sd: float
) -> list[tuple[Units, ExpectedOffsets]]:
    """Offsets of all units, along one curve of all drugs, or one of each, by evidence."""
    by_drug: dict[int, list[Units]] = {}
    for unit in found:
        by_drug.setdefault(int(unit.drug[0]), []).append(unit)
    apart = [expected(each, curve, offset_sd, context_sd) for each in by_drug.values()]
    together, value = expected(found, curve, offset_sd, context_sd)
    if value >= sum(one for _, one in apart):
        return list(zip(found, together, strict=True))
    return [
        pair
        for each, (of_each, _) in zip(by_drug.values(), apart, strict=True)
        for pair in zip(each, of_each, strict=True)
    ]


def expected(
    found: list[Units], curve: np.ndarray, offset_sd: float, context_sd: float
) -> tuple[list[ExpectedOffsets], float]:
    """Offset of each unit along one curve that they share, on a grid that becomes finer, and its log evidence."""
    step = np.log(curve[len(SLOPES), 0] / curve[0, 0])
    share = 1 / len(curve)  # prior probability of a point of the grid
    for zoom in range(N_ZOOMS + 1):
        last = zoom == N_ZOOMS
        weighed = [weigh(unit, unit.fraction(curve), offset_sd, context_sd, expect=last) for unit in found]
        log = np.sum([each.log.sum(axis=(0, 2)) for each in weighed], axis=0)
        if zoom < N_ZOOMS:
            away = step * np.linspace(-1, 1, N_FINER)
            finer = np.stack(np.meshgrid(away, away, indexing="ij"), axis=-1).reshape(-1, 2)
            curve, share = curve[log.argmax()] * np.exp(finer), PRIOR * (2 * step / (N_FINER - 1)) ** 2
            step /= 3
    weight = softmax(log)  # (T,)
    each = [ExpectedOffsets(weight @ one.offset[0], float(weight @ one.variance[0])) for one in weighed]
    return each, float(logsumexp(log) + np.log(share))
