"""Shift interventions: a drug adds to the expression of its targets :cite:p:`schneider2025` (layer `_core`)."""

from dataclasses import replace
from typing import Literal

import numpy as np

from scgim._core.design import Design
from scgim._core.effects import Effects, KindFit, Together
from scgim._core.kinds.base import At, Learned, Moved
from scgim._core.moments.moments import Moments
from scgim._core.posterior.combine import comparable, learn_share
from scgim._core.posterior.drift import Drift
from scgim._core.posterior.drift_beside import drift_beside, drift_of_rows, rebase, shared_errors
from scgim._core.posterior.effects.curves import Curves, fit_dose_curves
from scgim._core.posterior.effects.levels import Offsets
from scgim._core.posterior.effects.targets import fit_targets
from scgim._core.posterior.evidence import Evidence
from scgim._core.posterior.odds import Odds, learn_odds
from scgim._core.posterior.shifts import ShiftsAt
from scgim._core.posterior.weighing.departures import departures_along, learn_departures
from scgim._core.posterior.weighing.left_out import Plain, weigh_combinations, weigh_doses, weigh_groups
from scgim._core.structure.prior import Prior
from scgim._core.structure.score import ShiftScore


class Shift:
    """``x_j = baseline_j + f_j(x) + effect + noise``."""

    name = "shift"
    additive = True
    together: Together = "sum"
    scatter: Literal["none", "drug_set", "context"] = "none"
    scored = True

    def units(self, scale: np.ndarray) -> np.ndarray:
        """Those of the expression."""
        return scale

    def point(self, effects: Effects) -> tuple[np.ndarray, np.ndarray]:
        """The posterior mean, wherever a target is possible."""
        return effects.probability > 0, effects.expected

    def write(self, moved: Moved, at: At, effect: np.ndarray) -> None:
        """Shifts add up."""
        moved.add[at] += effect

    def score(self, moments: Moments, design: Design, prior: Prior) -> ShiftScore:
        """Exact, with shifts integrated out."""
        return ShiftScore(moments, design.drug_set, design.group, prior)

    def posterior(
        self,
        evidence: Evidence,
        own: np.ndarray,
        design: Design,
        prior: Prior,
        known: np.ndarray | None,
        shifts: ShiftsAt,
    ) -> Learned:
        """Dose curves, targets along them, and the drift that they were weighed against."""
        curves, odds = _weigh(evidence, design, prior, known, shifts)
        fraction, residual = curves.fraction(design.dose), evidence.residual  # (K, D), (K, G)
        if odds.regulators is not None:  # what they do is neither the genes' own effect nor drift
            residual = residual - fraction @ odds.regulators.shift
        baseline, baseline_error = rebase(odds, residual, design, fraction)
        residual = residual - baseline[design.group]
        rows = drift_of_rows(odds, residual, baseline_error, design)
        shared = shared_errors(odds, rows)
        whole, plates = (residual, None) if evidence.offset is None else (residual + evidence.offset, evidence.offset2)
        kind = fit_targets(whole, odds.error, design, curves, odds.log_odds, shared=shared, offset2=plates)
        offset = _offsets(whole, odds.error, design, kind, evidence)
        residual = whole - offset
        hidden = np.broadcast_to(evidence.hidden, residual.shape)  # (K, G) no target's, and to be predicted
        everywhere = odds.shifts.contrasts.weight @ hidden
        rows = rows._replace(everywhere=everywhere if everywhere.any() else None)
        drift = drift_beside(odds, rows, kind, residual + hidden, design, fraction, prior.background_sd)
        if evidence.offset is not None:  # measured contexts keep their plates; new ones are predicted without any
            drift = drift.moved(offset)
        change = _change_alone(odds, curves, drift, residual, design)
        full = kind.of_drug.expected + drift.of_drug.expected
        plain = Plain(residual + hidden, full, fraction, error=odds.error, effects=evidence.effects)
        drift, weights = _judge(plain, kind, drift, change, design)
        settings = dict(odds.settings) | weights
        return Learned(kind, curves, drift, odds.support(design), odds.regulators, settings, baseline)


def _judge(
    plain: Plain, kind: KindFit, drift: Drift, change: np.ndarray, design: Design
) -> tuple[Drift, dict[str, float | str]]:
    """Drift with what the model misses at one dose, if that returns at others, and the weights of predictions.

    `change` ``(D, G)`` is what drugs do at full effect where they are alone.
    """
    left, error = plain.seen - _along_curves(kind, drift, design, plain.fraction), np.asarray(plain.error)
    departures = learn_departures(left, error, design, plain.fraction)
    weights, returns = _weights(plain._replace(departures=departures), change, drift, design)
    if not returns:
        return drift, weights
    missed = departures.walking if departures is not None else 0.0
    along = departures_along(departures, left, error, design, plain.fraction)
    return replace(drift, along=along), weights | {"new_dose_missed": missed}


def _offsets(residual: np.ndarray, error: np.ndarray, design: Design, kind: KindFit, evidence: Evidence) -> np.ndarray:
    """Offsets of plates ``(K, G)`` in residual means that hold them: as taken out, for targets beside their effects."""
    out = np.zeros(residual.shape)
    if evidence.offset is None or evidence.offset2 is None:
        return out
    target = kind.of_context
    for d in range(len(design.drugs)):
        rows = design.alone(d)
        left = (residual - target.mean)[rows].T
        plates = Offsets(evidence.offset2[rows].T, design.group[rows])
        beside = plates.given(left, error[rows].T, np.zeros(len(rows)))[0].T  # means alone: no amplitudes
        p = target.probability[rows]
        out[rows] = p * beside + (1 - p) * evidence.offset[rows]
    return out


def _along_curves(kind: KindFit, drift: Drift, design: Design, fraction: np.ndarray) -> np.ndarray:
    """What a fit adds to the contexts at their doses ``(K, G)``, were they not measured."""
    small = drift.of_drug[:, None] if drift.at_level is None else drift.at_level
    each = kind.at_level.expected + small.expected  # (D, V, G)
    out = np.zeros(kind.of_context.shape)
    for k, drugs in enumerate(design.present):
        out[k] = fraction[k, drugs] @ each[drugs, design.level[k]]
    if drift.pairs is not None and drift.of_pair is not None:
        for (d, c), moved in zip(drift.pairs, drift.of_pair.expected, strict=True):
            rows = design.alone(d)[design.group[design.alone(d)] == c]
            out[rows] += fraction[rows, d, None] * moved
    return out


def _change_alone(odds: Odds, curves: Curves, drift: Drift, residual: np.ndarray, design: Design) -> np.ndarray:
    """What drugs do at full effect ``(D, G)``, targets and drift, from the contexts in which they are alone."""
    if not len(comparable(design)):
        return np.zeros(drift.of_drug.shape)
    at = np.flatnonzero(design.single | design.control)
    parts = {name: getattr(design, name)[at] for name in ("dose", "group", "n_cells", "level")}
    alone = fit_targets(residual[at], odds.error[at], replace(design, **parts), curves, odds.log_odds)
    return np.asarray(alone.of_drug.expected + drift.of_drug.expected)


def _weights(plain: Plain, change: np.ndarray, drift: Drift, design: Design) -> tuple[dict[str, float | str], bool]:
    """How much of what was not measured is the model's, and of the sum of its drugs a combination, by contexts left out.

    Also whether what the model misses at one dose returns at others.
    """
    at = comparable(design)
    combinations, summed = weigh_combinations(plain, design, at, plain.fraction[at] @ change)
    share = learn_share(plain.seen[at], summed, design.drug_set[at])
    more = np.zeros((len(design.drugs), len(design.group_names), change.shape[1]))
    if drift.pairs is not None and drift.of_pair is not None:
        more[tuple(drift.pairs.T)] = drift.of_pair.expected
    weights = combinations.settings("new_combination") | weigh_groups(plain, design).settings("new_group")
    doses, returns = weigh_doses(plain, design, more)
    return weights | doses.settings("new_dose") | share.settings, returns


def _weigh(
    evidence: Evidence, design: Design, prior: Prior, known: np.ndarray | None, shifts: ShiftsAt
) -> tuple[Curves, Odds]:
    """Dose curves, and the odds of targets; curves that false targets have shaped are fitted again to those that hold."""
    on, before = evidence.on(design), np.empty(0)
    whole = evidence.residual if evidence.offset is None else evidence.residual + evidence.offset
    for last in (False, True):
        curves = fit_dose_curves(whole, evidence.error, on, design, p_target=prior.p_target, offset2=evidence.offset2)
        fraction = curves.fraction(design.dose)
        if np.array_equal(fraction, before):  # so are the odds
            break
        odds, before = learn_odds(shifts(fraction), design, known), fraction
        now = odds.on(design)
        if last or (now == on).all():
            break
        on = now
    return curves, odds
