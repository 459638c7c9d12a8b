"""From a learned structure to a fit on the expression scale (layer `_core`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._core.arrays import override
from scgim._core.design import Design
from scgim._core.learn.fit import Fit
from scgim._core.mechanisms.additive import Mechanisms, from_standardised
from scgim._core.posterior.curves import Curves, fit_dose_curves
from scgim._core.posterior.drift import diffuse_fields
from scgim._core.posterior.evidence import Evidence
from scgim._core.posterior.levels import level_fields
from scgim._core.posterior.targets import Targets, fit_targets, fit_values
from scgim._core.structure.score import ShiftScore


def assemble_mechanisms(
    score: ShiftScore, order: list[int], parents: dict[int, tuple[int, ...]], evidence: Evidence
) -> Mechanisms:
    """Mechanisms on the expression scale."""
    m = score.moments
    return from_standardised(
        m.mechanism,
        np.array(order),
        [np.array(parents[j], dtype=int) for j in range(m.n_genes)],
        [coef.reshape(-1, m.n_functions) for coef in evidence.coef],
        evidence.baseline,
        evidence.noise,
        m.loc,
        m.scale,
        m.slope,
        m.within,
    )


def assemble(
    score: ShiftScore,
    design: Design,
    order: list[int],
    parents: dict[int, tuple[int, ...]],
    evidence: Evidence,
    edge_probability: np.ndarray,
    genes: tuple[str, ...],
    intervention: str,
    known_targets: np.ndarray | None,
    history: list[dict[str, Any]],
) -> Fit:
    """Posterior of targets and effects, and everything on the expression scale."""
    m = score.moments
    residual, error, on = evidence.residual, evidence.error, evidence.on(design)  # (K, G)
    small: dict[str, np.ndarray] = {}
    if intervention == "hard":
        targets, curves = _hard_targets(score, design, evidence, known_targets)
    else:
        curves = fit_dose_curves(residual, error, on, design, p_target=score.prior.p_target)
        targets = fit_targets(residual, error, design, curves, score.prior.p_target, known=known_targets)
        fraction = curves.fraction(design.dose)
        small = diffuse_fields(
            residual, error, score.prior.background_sd, design, fraction, targets.probability, m.scale
        )
    mechanisms = assemble_mechanisms(score, order, parents, evidence)
    settings = {
        "p_target": float(score.prior.p_target[0]),
        "effect_sd": float(score.prior.effect_sd[0]),
        "curve_effect_sd": curves.effect_sd,
        "curve_deviation_sd": curves.deviation_sd,
    }
    return Fit(
        genes,
        tuple(design.drugs),
        m.mechanism.name,
        intervention,
        mechanisms,
        mechanisms.strength,
        edge_probability,
        targets.probability,
        targets.amplitude * m.scale,
        targets.amplitude_sd * m.scale,
        curves.ec50,
        curves.slope,
        targets.context_probability,
        targets.context_effect * m.scale,
        targets.context_effect_sd * m.scale,
        score.prior.background_sd * m.scale,
        np.full((len(design.drugs), len(genes)), intervention),
        history,
        settings,
        curves.axes,
        None if targets.amplitude_axes is None else targets.amplitude_axes * m.scale,
        curves.deviation_sd * m.scale,
        **small,
        **level_fields(targets.levels, design, curves.between_sd, m.scale),
    )


def _hard_targets(
    score: ShiftScore, design: Design, evidence: Evidence, known_targets: np.ndarray | None
) -> tuple[Targets, Curves]:
    """Targets and values under hard interventions: the value of a hit gene is its mean, in sd from an expression of zero."""
    m = score.moments
    value = m.mean[:, :, 0] + m.loc / m.scale  # (K, G)
    curves = fit_dose_curves(value, evidence.error, evidence.on(design), design)
    log_odds = override(design.mean_by_drug(evidence.log_odds), known_targets)  # (D, G)
    return fit_values(value, evidence.error, design, curves, log_odds), curves
