"""Training of the published estimator and its result as a `Fit` (layer `model`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.special import logit

from scgim._core.arrays import as_log_odds
from scgim._core.design import Design
from scgim._core.effects import Effects, KindFit
from scgim._core.fit import Fit, Graph
from scgim._core.learn.assemble import learned_prior
from scgim._core.posterior.drift import Drift
from scgim._core.posterior.effects.curves import Curves, DoseCurves, fit_dose_curves
from scgim._core.posterior.effects.levels import Levels
from scgim._core.posterior.effects.targets import fit_targets
from scgim._core.posterior.odds import Support
from scgim._core.posterior.regulation.regulators import RegulatorFit
from scgim.model._module.closed_form import prepare
from scgim.model._module.export import edge_strength, export_mechanisms
from scgim.model._module.module import as_residuals
from scgim.model._module.residuals import NO_CELLS, Residuals
from scgim.model._module.runner import Training
from scgim.model._neural.batch import reachable, topological
from scgim.model._published.maps import AmortisedMaps, Gamma
from scgim.model._published.module import PublishedModule, acyclic_graph
from scgim.model._published.plan import PublishedPlan

if TYPE_CHECKING:
    from scvi.model.base import BaseModelClass

    from scgim.model._module.options import TrainOptions
    from scgim.model._reading.cells import Cells
    from scgim.model._study.screen import Screen

N_STEPS = 4000
"""Minibatches of a training, unless epochs are given."""
EPOCHS = (20, 2000)
"""Fewest and most epochs of that many minibatches: the penalty on cycles grows from epoch to epoch, and needs some."""
SMALLEST_VARIANCE = 1e-6
"""Of a gene given its parents, as a share of its variance over all cells: that of rounding in float32, with a margin."""
SURE = 1e-12
"""Probabilities are kept this far from 0 and 1 where their log odds are taken."""
SCALE_CELLS = 20_000
"""Cells from which location and scale of the genes are taken."""
LARGEST_BATCH = 512
"""Cells of a minibatch: more would leave an epoch with too few steps."""


def fit_published(
    screen: Screen, module: PublishedModule, host: BaseModelClass, options: TrainOptions, rng: np.random.Generator
) -> tuple[Fit, AmortisedMaps | None]:
    """Trains the published estimator.

    Parameters
    ----------
    screen
        Training data.
    module
        To train, with fresh weights.
    host, options
        See :class:`scgim.model._module.runner.Training`.
    rng
        Random generator.

    Returns
    -------
    The fit, and the maps from features to interventions; None without features, where nothing is known of new drugs.
    """
    design, features, cells = screen.design, screen.features, screen.cells
    gamma = Gamma.of(design, features)
    host.module = module  # a new one for every training, and what stays in the model after it
    prepare(cells, module)
    x, _ = cells.sample(SCALE_CELLS, rng)
    module.set_scale(x.mean(axis=0), x.std(axis=0))
    training = Training.of(host, cells, options, module, rng, largest=LARGEST_BATCH)
    steps = max(len(training.train) / training.loader["batch_size"], 1)  # of an epoch
    n_epochs = int(np.clip(N_STEPS / steps, *EPOCHS)) if options.max_epochs is None else options.max_epochs
    if n_epochs:
        training.run(module, n_epochs, rng, plan_cls=PublishedPlan, check_every=max(n_epochs // 20, 1))
    fit = published_fit(screen, module, torch.as_tensor(x), rng)
    return fit, None if features is None else AmortisedMaps.of(module, gamma)


@torch.no_grad()
def _final_sums(cells: Cells, module: PublishedModule) -> Residuals:
    """Residuals of all cells under the final graph, whose edges are in the mask, in standard deviations."""
    device = module.loc.device
    total = torch.zeros(5, len(module.names), module.n_genes, dtype=torch.float64)
    for x, context in cells.dense():
        z = (torch.as_tensor(x, device=device) - module.loc) / module.scale
        total += module.residual_sums(z - module.mechanisms(z), z, torch.as_tensor(context, device=device)).to(total)
    return as_residuals(total)


def _set_baselines(
    module: PublishedModule, sums: Residuals, design: Design, targets: np.ndarray, effect: np.ndarray
) -> np.ndarray:
    """Baselines and noise of the module, from the contexts as far as targets leave them; the variances of the noise ``(G,)``."""
    stays = module.kind.intact(targets)
    offset, _ = module.kind.regression_target(torch.as_tensor(targets), torch.as_tensor(effect))
    baseline = np.zeros((len(design.group_names), module.n_genes))
    centred = sums.mean - offset.numpy()
    for c in range(len(baseline)):
        weight = sums.n * stays * (design.group == c)[:, None]
        baseline[c] = (weight * centred).sum(axis=0) / np.maximum(weight.sum(axis=0), NO_CELLS)
    variance = (stays * sums.scatter).sum(axis=0) / np.maximum((stays * sums.freedom).sum(axis=0), 1)
    variance = np.maximum(variance, SMALLEST_VARIANCE)
    module.baseline.copy_(torch.as_tensor(baseline))
    module.log_noise.copy_(torch.as_tensor(0.5 * np.log(variance)))
    return np.asarray(variance)


def _along_curves(
    module: PublishedModule,
    sums: Residuals,
    design: Design,
    probability: np.ndarray,
    effect: np.ndarray,
    error: np.ndarray,
) -> tuple[KindFit, Curves]:
    """Targets and effects of the drugs from those of the contexts ``(K, G)``, and the dose curves; values are counted from the controls."""
    value, origin = effect, None
    if module.kind.reads_genes:
        zero = module.loc.double().cpu().numpy() / module.scale.double().cpu().numpy()
        value, origin = effect + zero, design.control_mean(sums.own_mean + zero)
    change = value if origin is None else value - origin
    curves = fit_dose_curves(change, error, probability > 0.5, design)
    odds = np.zeros((len(design.drugs), module.n_genes))
    for d in range(len(odds)):
        if len(rows := design.purest(d)):
            odds[d] = logit(np.clip(probability[rows].mean(axis=0), SURE, 1 - SURE))
    kind = fit_targets(change, error, design, curves, odds, kind=module.kind.name, superpose=False)
    kind = KindFit.shared(kind.kind, kind.of_drug, Effects(probability, change, np.sqrt(error)))
    return (kind if origin is None else kind.counted_from(origin)), curves


@torch.no_grad()
def published_fit(screen: Screen, module: PublishedModule, x: torch.Tensor, rng: np.random.Generator) -> Fit:
    """Thresholded graph, probabilities and effects of the trained module.

    The module is standardised: values, errors and baselines are in standard deviations of a gene until they enter the `Fit`,
    whose effects are in units of the data. `x` ``(n, G)`` holds cells in units of the data.
    """
    module.eval()
    design, G, D = screen.design, module.n_genes, len(screen.design.drugs)
    edge = module.edge_probability().double().cpu().numpy()
    graph = acyclic_graph(edge)
    candidates = module.mechanisms.candidates.cpu().numpy()
    module.mechanisms.mask.copy_(torch.as_tensor(graph[candidates, np.arange(G)[:, None]]).float())
    probability, effect = AmortisedMaps.read(module)
    probability = np.where(design.control[:, None], 0.0, probability)
    targets = (probability > 0.5).astype(float)
    sums = _final_sums(screen.cells, module)
    variance = _set_baselines(module, sums, design, targets, effect)
    error = variance / np.maximum(sums.n, 1)
    kind, curves = _along_curves(module, sums, design, probability, effect, error)
    scale = module.scale.double().cpu().numpy()
    z = ((x.to(module.loc.device) - module.loc) / module.scale).float()
    strength = edge_strength(module, z, rng)
    parents = [tuple(int(i) for i in np.flatnonzero(graph[:, j])) for j in range(G)]
    order = topological(parents, np.argsort(-reachable(graph).sum(axis=1), kind="stable"))
    return Fit(
        genes=tuple(screen.genes),
        drugs=tuple(design.drugs),
        settings={
            "intervention": module.intervention,
            "structure": "gradient",
            **learned_prior(module.prior, curves),
            "effect_sd": curves.effect_sd,
        },
        graph=Graph(strength, edge),
        mechanisms=export_mechanisms(module, order, strength),
        kinds=(kind,),
        curves=DoseCurves.known(curves.ec50, curves.slope, G),
        drift=Drift.none(D, np.zeros(G)),
        support=Support.not_compared(as_log_odds(probability), design.identified),
        levels=Levels.of(design, np.zeros(G)),
        history=[],
        regulators=RegulatorFit.none(D, G),
    ).to_expression(scale)
