"""From a trained module to a `Fit` of plain arrays (layer `model`)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from scgim._core.arrays import override
from scgim._core.design import Design
from scgim._core.learn.fit import Fit
from scgim._core.mechanisms import basis
from scgim._core.mechanisms.additive import Mechanisms
from scgim._core.mechanisms.neural import NeuralMechanisms
from scgim._core.posterior.curves import Curves, fit_dose_curves
from scgim._core.posterior.drift import diffuse_fields
from scgim._core.posterior.levels import level_fields
from scgim._core.posterior.targets import Targets, fit_targets, fit_values
from scgim.model._module.module import GIMModule
from scgim.model._module.residuals import Expectation

SAMPLE = 2000  # cells from which the size of edges is read


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().cpu().numpy()


def _kept(module: GIMModule) -> list[np.ndarray]:
    """Columns of the candidates of each gene that are in use."""
    return [np.flatnonzero(row) for row in _numpy(module.mechanisms.mask)]


def parents_of(module: GIMModule) -> list[np.ndarray]:
    """Parents of each gene."""
    candidates = module.mechanisms.candidates.cpu().numpy()
    return [candidates[j][columns] for j, columns in enumerate(_kept(module))]


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
    scale, strength = _numpy(module.scale), np.zeros((module.n_genes, module.n_genes))
    for k in range(u.shape[2]):
        moved = u.clone()
        moved[:, :, k] = v[:, :, k]
        delta, step = module.mechanisms.evaluate(moved) - base, (v - u)[:, :, k].T
        size = (delta.square().mean(0) / step.square().mean(0).clamp(min=1e-12)).sqrt()
        sign = torch.where((delta * step).sum(0) < 0, -1.0, 1.0)
        used = _numpy(module.mechanisms.mask[:, k]) > 0
        i, j = module.mechanisms.candidates[:, k].cpu().numpy()[used], np.flatnonzero(used)
        strength[i, j] = _numpy(size * sign)[used] * scale[j] / scale[i]
    return strength


def export_mechanisms(module: GIMModule, order: np.ndarray, strength: np.ndarray) -> Mechanisms | NeuralMechanisms:
    """Mechanisms as plain arrays on the expression scale."""
    loc, scale = _numpy(module.loc), _numpy(module.scale)
    parents, kept = parents_of(module), _kept(module)
    baseline, noise = _numpy(module.baseline), scale * np.exp(_numpy(module.log_noise))
    net = module.mechanisms
    if module.mechanism != "neural":
        coef = [c[k] for c, k in zip(_numpy(net.coef), kept, strict=True)]
        for j, (pa, c) in enumerate(zip(parents, coef, strict=True)):
            origin = basis.evaluate(-loc[pa] / scale[pa], module.mechanism)
            baseline[:, j] += (origin * c).sum()
        return Mechanisms(module.mechanism, order, parents, coef, loc + scale * baseline, noise, loc, scale, strength)
    inner = [w[k] for w, k in zip(_numpy(net.inner), kept, strict=True)]
    skip = [w[k] for w, k in zip(_numpy(net.skip), kept, strict=True)]
    bias, outer = list(_numpy(net.bias)), list(_numpy(net.outer))
    lists: dict[str, Any] = {"parents": parents, "inner": inner, "bias": bias, "outer": outer, "skip": skip}
    out = NeuralMechanisms(order, **lists, baseline=baseline, noise_sd=noise, loc=loc, scale=scale, strength=strength)
    for j, pa in enumerate(parents):  # contributions are zero where all parents are zero, the network's are not
        at_zero = out._network(j, -loc[pa] / scale[pa])
        out.baseline[:, j] = loc[j] + scale[j] * (baseline[:, j] + at_zero)
    return out


def posterior(
    module: GIMModule, state: Expectation, design: Design, known: np.ndarray | None
) -> tuple[Targets, Curves]:
    """Targets and dose curves given the residuals; the unit of the values: standard deviations of the gene."""
    evidence, on, p = state.evidence, state.probability > 0.5, state.prior.p_target
    if not module.kind.reads_genes:
        curves = fit_dose_curves(evidence.residual, evidence.error, on, design, p_target=p)
        return fit_targets(evidence.residual, evidence.error, design, curves, p, known=known), curves
    value = state.effect + _numpy(module.loc) / _numpy(module.scale)
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
    scale = _numpy(module.scale)
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
