"""From a trained module to a `Fit` of plain arrays (layer `model`)."""

from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
import torch

from scgim._core.design import Design
from scgim._core.fit import Fit, Graph
from scgim._core.kinds import KINDS, ScoredKind
from scgim._core.learn.assemble import learned_prior
from scgim._core.mechanisms.additive import Mechanisms
from scgim._core.mechanisms.neural import NeuralMechanisms
from scgim._core.posterior.effects.levels import Levels
from scgim._core.posterior.shifts import plain_shifts
from scgim.model._module.mechanisms.base import as_array
from scgim.model._module.module import GIMModule
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
    noise, baseline = scale * np.exp(as_array(module.log_noise)), as_array(module.baseline)
    return module.mechanisms.to_fit(order, baseline, noise, loc, scale, strength)


def assemble(
    module: GIMModule,
    state: Expectation,
    design: Design,
    start: Fit,
    *,
    order: np.ndarray,
    edge_probability: np.ndarray,
    z: torch.Tensor,
    reach: np.ndarray,
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
    reach
        ``(2, G)``; smallest and largest value of each gene in all cells, standardised.
    rng
        Random generator.
    known
        ``(D, G)``; known targets.
    history
        Added to that of the start.
    """
    evidence, loc, scale = state.evidence, as_array(module.loc), as_array(module.scale)
    strength = edge_strength(module, z, rng)
    kind = cast("ScoredKind", KINDS[module.kind.name])
    shifts = partial(plain_shifts, design, evidence, state.mean, state.variance)
    learned = kind.posterior(evidence, state.effect + loc / scale, design, state.prior, known, shifts)
    if learned.baseline is not None:  # the module holds what the fit says
        module.baseline.data += torch.as_tensor(learned.baseline).to(module.baseline)
    found = replace(
        start,
        kinds=(learned.kind,),
        curves=learned.curves.kept(module.n_genes),
        drift=learned.drift,
        levels=Levels.of(design, np.full(module.n_genes, learned.curves.between_sd)),
    ).to_expression(scale)
    mechanisms = export_mechanisms(module, order, strength)
    if isinstance(mechanisms, NeuralMechanisms):
        mechanisms = mechanisms.reaching(*reach)
    return replace(
        found,
        mechanisms=mechanisms,
        graph=Graph(strength, edge_probability),
        history=[*start.history, *(history or [])],
        settings={**start.settings, **learned_prior(state.prior, learned.curves), **learned.settings},
        support=learned.support,
    )
