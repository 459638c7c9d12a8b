"""From a trained module to a `Fit` of plain arrays (layer `model`)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from scgim._core.arrays import override
from scgim._core.design import Design
from scgim._core.learn.fit import Fit
from scgim._core.mechanisms.additive import Mechanisms
from scgim._core.mechanisms.neural import NeuralMechanisms
from scgim._core.posterior.curves import Curves, fit_dose_curves
from scgim._core.posterior.drift import diffuse_fields
from scgim._core.posterior.levels import level_fields
from scgim._core.posterior.targets import Targets, fit_targets, fit_values
from scgim.model._module.module import GIMModule
from scgim.model._module.networks import as_array
from scgim.model._module.residuals import Expectation

SAMPLE = 2000
"""Cells from which the size of edges is read."""
STRENGTH_CELLS = 4000
"""Cells of which `SAMPLE` are drawn: twice as many, since a sample of a pass has a random size."""


@torch.no_grad()
def edge_strength(module: GIMModule, z: torch.Tensor, rng: np.random.Generator) -> np.ndarray:
    """Signed size of each edge ``(G, G)``: change of the child when a parent is redrawn, over the parent's spread.

    Parameters
    ----------
    module
        Trained.
    z
        ``(n, G)``; standardised cells.
    rng
        Draws the cells and the exchange.
    """
    rows = rng.permutation(len(z))[:SAMPLE]
    z = z[rows]
    other = z[rng.permutation(len(z))]
    u, v = module.mechanisms.inputs(z), module.mechanisms.inputs(other)  # (G, n, P)
    base = module.mechanisms.evaluate(u)
    scale, strength = as_array(module.scale), np.zeros((module.n_genes, module.n_genes))
    for k in range(u.shape[2]):
        moved = u.clone()
        moved[:, :, k] = v[:, :, k]
        delta, step = module.mechanisms.evaluate(moved) - base, (v - u)[:, :, k].T
        size = (delta.square().mean(0) / step.square().mean(0).clamp(min=1e-12)).sqrt()
        sign = torch.where((delta * step).sum(0) < 0, -1.0, 1.0)
        used = as_array(module.mechanisms.mask[:, k]) > 0
        i, j = module.mechanisms.candidates[:, k].cpu().numpy()[used], np.flatnonzero(used)
        strength[i, j] = as_array(size * sign)[used] * scale[j] / scale[i]
    return strength


def export_mechanisms(module: GIMModule, order: np.ndarray, strength: np.ndarray) -> Mechanisms | NeuralMechanisms:
    """Mechanisms as plain arrays on the expression scale."""
    loc, scale = as_array(module.loc), as_array(module.scale)
    noise = scale * np.exp(as_array(module.log_noise))
    return module.mechanisms.to_fit(order, as_array(module.baseline), noise, loc, scale, strength)


def posterior(
    module: GIMModule, state: Expectation, design: Design, known: np.ndarray | None
) -> tuple[Targets, Curves]:
    """Targets and dose curves given the residuals; the unit of the values: standard deviations of the gene."""
    evidence, on, p = state.evidence, state.probability > 0.5, state.prior.p_target
    if not module.kind.reads_genes:
        curves = fit_dose_curves(evidence.residual, evidence.error, on, design, p_target=p)
        return fit_targets(evidence.residual, evidence.error, design, curves, p, known=known), curves
    value = state.effect + as_array(module.loc) / as_array(module.scale)
    curves = fit_dose_curves(value, evidence.error, on, design)
    log_odds = override(design.mean_by_drug(evidence.log_odds), known)
    return fit_values(value, evidence.error, design, curves, log_odds), curves


def assemble(
    module: GIMModule,
    state: Expectation,
    design: Design,
    start: Fit,
    *,
    order: np.ndarray,
    edge_probability: np.ndarray,
    z: torch.Tensor,
    rng: np.random.Generator,
    known: np.ndarray | None = None,
    history: list[dict[str, Any]] | None = None,
) -> Fit:
    """A `Fit` of the trained module.

    Parameters
    ----------
    module
        Trained.
    state
        Its expectation step over all cells.
    design
        Of the contexts.
    start
        Gives the names and settings.
    order, edge_probability
        Causal order and edge probabilities.
    z
        ``(n, G)``; standardised cells, to read the size of edges from.
    rng
        Random generator.
    known
        ``(D, G)``; known targets.
    history
        Added to that of the start.
    """
    strength = edge_strength(module, z, rng)
    targets, curves = posterior(module, state, design, known)
    scale = as_array(module.scale)
    mechanisms = export_mechanisms(module, order, strength)
    small: dict[str, Any] = {}
    if start.diffuse is not None:
        fraction, background = curves.fraction(design.dose), state.prior.background_sd
        small = diffuse_fields(
            state.evidence.residual, state.evidence.error, background, design, fraction, targets.probability, scale
        )
    return replace(
        start,
        **small,
        **level_fields(targets.levels, design, curves.between_sd, scale),
        mechanism=module.mechanism,
        mechanisms=mechanisms,
        graph=strength,
        graph_probability=edge_probability,
        probability=targets.probability,
        amplitude=targets.amplitude * scale,
        amplitude_sd=targets.amplitude_sd * scale,
        ec50=curves.ec50,
        hill=curves.slope,
        context_probability=targets.context_probability,
        context_effect=targets.context_effect * scale,
        context_effect_sd=targets.context_effect_sd * scale,
        background_sd=state.prior.background_sd * scale,
        curve_axes=curves.axes,
        amplitude_axes=None if targets.amplitude_axes is None else targets.amplitude_axes * scale,
        deviation_sd=curves.deviation_sd * scale,
        history=[*start.history, *(history or [])],
        settings={
            **start.settings,
            "p_target": float(state.prior.p_target[0]),
            "effect_sd": float(state.prior.effect_sd[0]),
            "curve_effect_sd": curves.effect_sd,
            "curve_deviation_sd": curves.deviation_sd,
        },
    )
