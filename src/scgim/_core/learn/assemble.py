"""From a learned structure to a fit on the expression scale (layer `_core`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._core.design import Design
from scgim._core.learn.fit import Fit
from scgim._core.mechanisms.additive import Mechanisms, from_standardised
from scgim._core.posterior.curves import Curves, fit_dose_curves
from scgim._core.posterior.drift import diffuse_fields
from scgim._core.posterior.levels import level_fields
from scgim._core.posterior.targets import Targets, fit_targets, fit_values
from scgim._core.structure.order import OrderSearch
from scgim._core.structure.score import GeneFit, ShiftScore


def assemble_mechanisms(score: ShiftScore, state: OrderSearch, fits: list[GeneFit]) -> Mechanisms:
    """Mechanisms on the expression scale."""
    m = score.moments
    return from_standardised(
        m.mechanism,
        np.array(state.order),
        [np.array(state.parents[j], dtype=int) for j in range(len(fits))],
        [f.coef.reshape(-1, m.n_functions) for f in fits],
        np.stack([f.baseline for f in fits], axis=1),
        np.array([f.variance for f in fits]),
        m.loc,
        m.scale,
        m.slope,
        m.within,
    )


def assemble(
    score: ShiftScore,
    design: Design,
    state: OrderSearch,
    fits: list[GeneFit],
    edge_probability: np.ndarray,
    genes: tuple[str, ...],
    intervention: str,
    known_targets: np.ndarray | None,
    history: list[dict[str, Any]],
) -> Fit:
    """Posterior of targets and effects, and everything on the expression scale."""
    m = score.moments
    residual = np.stack([f.residual for f in fits], axis=1)  # (K, G)
    error = np.stack([f.error for f in fits], axis=1)
    odds = np.stack([f.log_odds for f in fits], axis=1)  # (U, G)
    on = np.zeros(residual.shape, dtype=bool)
    perturbed = design.unit >= 0
    on[perturbed] = odds[design.unit[perturbed]] > 0
    small: dict[str, np.ndarray] = {}
    if intervention == "hard":
        targets, curves = _hard_targets(score, design, error, on, odds, known_targets)
    else:
        curves = fit_dose_curves(residual, error, on, design, p_target=score.hyper.p_target)
        targets = fit_targets(residual, error, design, curves, score.hyper.p_target, known=known_targets)
        fraction = curves.fraction(np.asarray(design.dose))
        small = diffuse_fields(
            residual, error, score.hyper.background_sd, design, fraction, targets.probability, m.scale
        )
    mechanisms = assemble_mechanisms(score, state, fits)
    settings = {
        "p_target": float(score.hyper.p_target[0]),
        "slab_sd": float(score.hyper.slab_sd[0]),
        "curve_slab_sd": curves.slab_sd,
        "curve_deviation_sd": curves.deviation_sd,
    }
    return Fit(
        genes,
        tuple(design.drugs),
        m.mechanism,
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
        score.hyper.background_sd * m.scale,
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
    score: ShiftScore,
    design: Design,
    error: np.ndarray,
    on: np.ndarray,
    odds: np.ndarray,
    known_targets: np.ndarray | None,
) -> tuple[Targets, Curves]:
    """Targets and values under hard interventions: the value of a hit gene is its mean, on the expression scale."""
    m = score.moments
    value = m.mean[:, :, 0] + m.loc / m.scale  # (K, G) standard deviations from an expression of zero
    curves = fit_dose_curves(value, error, on, design)
    D, G = len(design.drugs), m.n_genes
    known = np.full((D, G), np.nan) if known_targets is None else np.array(known_targets, dtype=float)
    present = np.asarray(design.dose) > 0  # (K, D)
    log_prior = np.zeros((D, G))
    for d in range(D):
        alone = np.flatnonzero(present[:, d] & (present.sum(axis=1) == 1))
        rows = alone if len(alone) else np.flatnonzero(present[:, d])
        log_prior[d] = odds[np.unique(design.unit[rows])].mean(axis=0)
    log_prior = np.where(np.isnan(known), log_prior, np.where(known == 1, 30.0, -30.0))
    return fit_values(value, error, design, curves, log_prior), curves
