"""Changes of activity under neural mechanisms (layer `model`; not from the paper).

A network sees its parents scaled by 1 + psi around where these are off. Given the networks, a change of activity is
read along the chord between the activity found so far and none (or full inhibition, where none was found): along it the
residuals are linear in psi, so that the exact choice of shifts and activities of the linear engine
(`scgim._core.kinds.joint`) applies. Networks and activities are fitted in turn, from the additive fit, which stands where it
describes held-out cells better.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from scgim._core.arrays import sum_by
from scgim._core.fit import Fit, Graph
from scgim._core.kinds.abduct import abduct
from scgim._core.kinds.activity import Children
from scgim._core.learn.active_fit import ACTIVITY, SHIFT, ActiveFit
from scgim._core.learn.alternate import combine
from scgim._core.posterior.effects.curves import Curves
from scgim._core.posterior.evidence import Evidence
from scgim._core.structure.prior import Prior
from scgim.model._module.closed_form import closed_form
from scgim.model._module.export import STRENGTH_CELLS, edge_strength, export_mechanisms
from scgim.model._module.mechanisms.base import as_array
from scgim.model._module.mechanisms.neural import NeuralGenes
from scgim.model._module.module import GIMModule
from scgim.model._module.residuals import Expectation
from scgim.model._neural.batch import Sample, train_batch
from scgim.model._neural.off import off_of_networks
from scgim.model._neural.start import edge_probability, load_networks, networks_of, neural_cells, start_networks

if TYPE_CHECKING:
    from scgim.model._module.runner import Training
    from scgim.model._neural.parents import NeuralStart
    from scgim.model._reading.cells import Cells
    from scgim.model._study.screen import Screen

logger = logging.getLogger(__name__)
N_ROUNDS = 3  # of networks and activities in turn
ROUND_EPOCHS = 15
NEAR = 0.1  # changes of activity below this are read along the chord to full inhibition
Blocks = Iterable[tuple[torch.Tensor, torch.Tensor]]


@dataclass
class CellCounts:
    """What `ActiveFit` reads of moments: cells of each context ``(K,)`` and the number of genes."""

    n: np.ndarray
    n_genes: int


class NeuralActive(ActiveFit):
    """Shifts and activities given networks; `told` is what the cells tell of them, `around` the means of the controls ``(G,)``."""

    told: list[Children]
    around: np.ndarray

    @property
    def controls(self) -> np.ndarray:
        """Means of the controls ``(G,)``, standardised."""
        return self.around

    def children(self, evidence: Evidence) -> list[Children]:
        """What every gene tells of the activities of its parents."""
        return self.told


@torch.no_grad()
def chords(
    networks: NeuralGenes, z: torch.Tensor, zero: torch.Tensor, psi: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Change of every gene for a unit of its parents' activity, and its residual at full activity.

    Parameters
    ----------
    networks
        Of all genes.
    z
        ``(n, G)``; standardised cells.
    zero
        ``(G,)``; standardised expression at which genes are off.
    psi
        ``(n, G)``; activities found so far, at which the chords end.

    Returns
    -------
    ``(n, G, P)`` for the P candidate parents, and ``(n, G)``.
    """
    P = networks.n_used()
    candidates = networks.candidates[:, :P]  # (G, P)

    def columns(values: torch.Tensor) -> torch.Tensor:  # (n, G) -> (G, n, P)
        return (values[:, candidates] * networks.mask[:, :P]).transpose(0, 1)

    u, full, change = columns(z + psi * (z - zero)), columns(z), columns(psi)
    none = columns(zero[None])
    base = networks.evaluate(u)  # (n, G)
    out = torch.zeros(*base.shape, P, dtype=z.dtype, device=z.device)
    for k in range(P):
        far, moved = change[:, :, k].abs() > NEAR, u.clone()
        moved[:, :, k] = torch.where(far, full[:, :, k], none[:, :, k])
        step = torch.where(far, change[:, :, k], 1 + change[:, :, k]).T
        out[:, :, k] = (base - networks.evaluate(moved)) / step
    return out, z - base + (out * change.permute(1, 0, 2)).sum(2)


def neural_children(
    networks: NeuralGenes,
    parents: list[Any],
    blocks: Blocks,
    zero: torch.Tensor,
    psi: np.ndarray,
    state: Expectation,
    group: np.ndarray,
) -> list[Children]:
    """What every gene tells of the activities of its parents, from sums over cells.

    Parameters
    ----------
    parents
        Of each gene, in the order of the networks' leading columns.
    blocks
        Standardised cells ``(n, G)`` with their contexts ``(n,)``.
    zero
        ``(G,)``; standardised expression at which genes are off.
    psi
        ``(K, G)``; activities found so far.
    state
        Expectation step of these networks.
    group
        ``(K,)``; baseline group of each context.
    """
    K = len(psi)
    n = np.zeros(K)
    first = [np.zeros((K, len(pa) + 1)) for pa in parents]
    second = [np.zeros((K, len(pa) + 1, len(pa) + 1)) for pa in parents]
    activity = torch.as_tensor(psi, dtype=torch.float32)
    for z, context in blocks:
        moves, residual = chords(networks, z, zero, activity.to(z)[context])
        order = torch.argsort(context)
        k, starts = np.unique(context[order].cpu().numpy(), return_index=True)
        n[k] += np.diff(np.append(starts, len(order)))
        for j, pa in enumerate(parents):
            values = torch.cat([moves[order, j, : len(pa)], residual[order, j, None]], 1).double().cpu().numpy()
            first[j][k] += np.add.reduceat(values, starts)
            second[j][k] += np.add.reduceat(values[:, :, None] * values[:, None], starts)
    evidence = state.evidence
    return [
        _told(pa, n, first[j], second[j], evidence.baseline[group, j], float(evidence.noise[j]), evidence.error[:, j])
        for j, pa in enumerate(parents)
    ]


def _told(
    parents: Any,
    n: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    baseline: np.ndarray,
    noise: float,
    error: np.ndarray,
) -> Children:
    """What a gene tells of its p parents: from cells ``(K,)`` and sums of moves and residual ``(K, p + 1)`` and of their products."""
    cells = np.maximum(n, 1)
    mean = first / cells[:, None]
    scatter = second - n[:, None, None] * mean[:, :, None] * mean[:, None]
    return Children(
        np.asarray(parents, dtype=int),
        scatter[:, :-1, -1] / noise,
        scatter[:, :-1, :-1] / noise,
        mean[:, :-1].copy(),  # the kernel of joint forms would be compiled again for a view
        mean[:, -1] - baseline,
        error,
        noise / cells,
    )


def start_run(screen: Screen, fit: Fit, scale: np.ndarray, n: np.ndarray) -> NeuralActive:
    """The alternation, at what the additive fit has found."""
    G, settings, design = len(fit.genes), fit.settings, screen.design
    prior = replace(
        Prior.default(G),
        p_target=np.full(G, settings["p_target"]),
        effect_sd=np.full(G, settings["effect_sd"]),
        background_sd=fit.drift.background_sd / scale,
    )
    cells: Any = CellCounts(n, G)
    run = NeuralActive(
        cells,
        design,
        prior,
        shifts=len(fit.kinds) > 1,
        background=None,
        known=screen.knowledge.targets,
    )
    sd = settings["activity_sd"]
    run.activity.curves = Curves(fit.curves.ec50, fit.curves.hill, sd, 0.2 * sd)
    run.activity.p_target, run.activity.background = settings["p_activity"], settings["activity_background_sd"]
    activity = fit.kind(ACTIVITY.name).of_context
    run.active, run.shifted = activity.probability, fit.kind(SHIFT.name).of_context.probability
    run.psi = np.where(run.active > 0.5, activity.mean, 0.0)
    return run


def update(
    run: NeuralActive, module: GIMModule, networks: NeuralGenes, blocks: Blocks, state: Expectation, rng: Any
) -> None:
    """Shifts and activities given the networks; the module takes over the activities."""
    parents = networks.parents()
    zero, group = module.off, run.design.group
    prior = state.prior
    run.prior = replace(
        run.prior,
        p_target=prior.p_target,
        effect_sd=prior.effect_sd,
        background_sd=prior.background_sd,
    )
    run.told = neural_children(networks, parents, blocks, zero, run.psi, state, group)
    run.parents = {j: tuple(int(i) for i in pa) for j, pa in enumerate(parents)}
    run.update(state.evidence, rng)
    module.activity.copy_(torch.as_tensor(run.psi))


def fit_active_networks(
    screen: Screen,
    module: GIMModule,
    fit: Fit,
    training: Training,
    n_epochs: int,
    rng: np.random.Generator,
    progress: Callable[[str, float], None] | None,
) -> Fit:
    """Networks in place of additive mechanisms, or the additive fit where held-out cells prefer it.

    Parameters
    ----------
    screen
        Training data.
    module
        To train.
    fit
        Of the search, with additive mechanisms.
    training
        By minibatches, with the activities as they are.
    n_epochs
        Of that training; 0 for none.
    rng
        Random generator.
    progress
        Called with a stage and its score.
    """
    held, prior = training.held, Prior.default(module.n_genes, screen.knowledge.edges)
    n = np.bincount(screen.cells.index, minlength=len(module.names)).astype(float)
    run = start_run(screen, fit, fit.mechanisms.scale, n)
    module.activity.copy_(torch.as_tensor(run.psi))
    module.set_scale(fit.mechanisms.loc, fit.mechanisms.scale)
    module.set_off(fit.mechanisms.off)
    cells = neural_cells(screen, module, fit, held, rng)
    means = sum_by(cells.z.double().numpy(), cells.context.numpy(), len(n))
    run.around = screen.design.control_mean(
        means / np.maximum(np.bincount(cells.context, minlength=len(n)), 1)[:, None]
    )
    graph: Any = fit.mechanisms
    start = start_networks(prior, module, cells, graph.order, graph.parents, rng, progress)
    start = alternate(run, module, cells, start, rng, progress)
    again = start_networks(prior, module, cells, start.order, start.batch.parents, rng, progress)
    tested = np.where(np.isnan(again.edge_probability), start.edge_probability, again.edge_probability)
    again = replace(again, edge_probability=tested, history=[*start.history, *again.history])
    start = alternate(run, module, cells, again, rng, progress)
    load_networks(module, start.batch)
    if n_epochs:
        initial = copy.deepcopy(module.state_dict())
        training.run(module, n_epochs, rng)
        if len(held) and not training.better(module, initial, copy.deepcopy(module.state_dict())):
            module.load_state_dict(initial)
    state = closed_form(screen.cells, module, start.batch.state)
    update(run, module, networks_of(module), _blocks(screen.cells, module), state, rng)
    state = closed_form(screen.cells, module, state)
    out = _assemble(screen.cells, module, run, fit, start, rng)
    if len(held):
        before, after = (held_out(screen, f, held) for f in (fit, out))
        logger.info("held-out loss %.4f with additive mechanisms, %.4f with networks", before, after)
        return out if after < before else fit
    return out


def alternate(
    run: NeuralActive,
    module: GIMModule,
    cells: Sample,
    start: NeuralStart,
    rng: np.random.Generator,
    progress: Callable[[str, float], None] | None,
) -> NeuralStart:
    """Activities given networks and networks given activities, in turn, on cells in memory."""
    batch = start.batch
    for round_ in range(N_ROUNDS):
        update(run, module, batch.networks, _in_parts(cells), batch.state, rng)
        found = cells.z, cells.context, run.psi, batch.state.evidence, run.design.group
        off = off_of_networks(batch.networks, *found, run.controls, as_array(module.off))
        module.off.copy_(torch.as_tensor(off))
        update(run, module, batch.networks, _in_parts(cells), batch.state, rng)
        cells.seen = module.seen(cells.z, cells.context)
        batch = train_batch(
            cells,
            batch.genes,
            batch.parents,
            batch.state.prior,
            n_epochs=ROUND_EPOCHS,
            start=batch,
            seed=int(rng.integers(2**31)),
            lr=3e-3,
            n_hidden=batch.networks.bias.shape[1],
        )
        if progress is not None:
            progress(f"activities {round_ + 1}", float(batch.state.evidence.score.sum()))
    return replace(start, batch=batch)


def _in_parts(cells: Sample) -> Blocks:
    """Cells in memory, some at a time."""
    return zip(cells.z.split(4096), cells.context.split(4096), strict=True)


def _blocks(cells: Cells, module: GIMModule) -> Blocks:
    """All cells, standardised."""
    for x, context in cells.dense():
        z = (torch.as_tensor(x, device=module.loc.device) - module.loc) / module.scale
        yield z, torch.as_tensor(context, device=module.loc.device)


def _assemble(
    cells: Cells, module: GIMModule, run: NeuralActive, fit: Fit, start: NeuralStart, rng: np.random.Generator
) -> Fit:
    x, _ = cells.sample(STRENGTH_CELLS, rng)
    z = ((torch.as_tensor(x, device=module.loc.device) - module.loc) / module.scale).float()
    strength = edge_strength(module, z, rng)
    off = as_array(module.loc + module.scale * module.off)
    mechanisms: Any = replace(export_mechanisms(module, start.order, strength), off=off)
    found = combine(run, run.told)
    with_interventions = replace(fit, kinds=found.kinds, curves=found.curves, drift=found.drift, support=found.support)
    return replace(
        with_interventions.to_expression(module.scale.double().cpu().numpy()),
        settings={**fit.settings, **found.settings, "trained": True},
        mechanisms=mechanisms,
        graph=Graph(strength, edge_probability(fit, start, module.mechanisms.parents())),
        history=[*fit.history, *start.history],
    )


def held_out(screen: Screen, fit: Fit, index: np.ndarray) -> float:
    """Mean negative log-likelihood of some cells under a fit, at the posterior means of its interventions, in nats a cell."""
    moved, group = fit.expected(), screen.design.group  # (K, G), (K,)
    total = 0.0
    for x, context in screen.cells.only(index).dense():
        noise = abduct(fit.mechanisms, x.astype(float), moved.rows(context), group[context])  # (n, G) sd
        total += float((0.5 * noise**2 + np.log(fit.mechanisms.noise_sd)).sum())
    return total / len(index)
