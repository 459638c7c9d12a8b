"""Second stage of a fit: the torch module trained by Lightning from the exact engine's start (layer `model`).

`GIM.train` calls `refine` with the `Fit` of the search. `refine` runs scvi-tools' `TrainRunner`, so that the model's
``history_``, ``is_trained_`` and ``trainer`` are set as in every scvi-tools model, and returns the refreshed `Fit`, or the
given one where the trained module describes held-out cells no better. ``max_epochs=0`` skips the training. Either way the
module holds the mechanisms that were trained or found.
"""

from __future__ import annotations

import copy
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from scgim._core.fit import Fit
from scgim._core.structure.prior import Prior
from scgim.model._module.closed_form import closed_form, prepare
from scgim.model._module.export import STRENGTH_CELLS, assemble
from scgim.model._module.kinds import TRAINED
from scgim.model._module.mechanisms.base import as_array
from scgim.model._module.module import GIMModule
from scgim.model._module.residuals import Expectation
from scgim.model._module.runner import Training
from scgim.model._neural.activity import fit_active_networks
from scgim.model._neural.parents import NeuralStart
from scgim.model._neural.start import edge_probability, neural_cells, start_networks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scvi.model.base import BaseModelClass

    from scgim.model._module.options import TrainOptions
    from scgim.model._study.screen import Screen


@contextmanager
def seeded_torch(rng: np.random.Generator) -> Iterator[None]:
    """Torch's global state, which decides weights and minibatches, from a generator; afterwards it is as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        yield


def refine(
    screen: Screen,
    fit: Fit,
    host: BaseModelClass,
    options: TrainOptions,
    rng: np.random.Generator,
    progress: Callable[[str, float], None] | None = None,
    *,
    stands: bool = False,
) -> Fit:
    """Trains the module of a model from a fit, and returns the refreshed fit.

    Parameters
    ----------
    screen
        Training data.
    fit
        Of the search.
    host
        The scvi-tools model, whose module is trained.
    options
        What the user asked for.
    rng
        Random generator.
    progress
        Called with a stage and its score.
    stands
        Whether the fit is exact in a way that no training by minibatches knows, as with cycles, counts and zeros. The module
        takes the fit over as it is.
    """
    module: GIMModule = host.module
    cells = screen.cells
    prepare(cells, module)
    n_epochs = module.mechanisms.n_epochs(cells.n_cells) if options.max_epochs is None else options.max_epochs
    trains = all(kind.kind in TRAINED for kind in fit.kinds)  # else closed forms know these kinds better, too
    if stands or not (trains or module.scaled) or (n_epochs == 0 and module.mechanisms.mechanism.closed_form):
        module.load_fit(fit)
        return fit
    training = Training.of(host, cells, options, module, rng)
    if module.scaled and not trains:
        return fit_active_networks(screen, module, fit, training, n_epochs, rng, progress)
    held = training.held if n_epochs else np.array([], dtype=int)
    start: NeuralStart | None = None
    if not module.mechanisms.mechanism.closed_form:
        prior = Prior.default(module.n_genes, screen.knowledge.edges)
        sample, graph = neural_cells(screen, module, fit, held, rng), fit.mechanisms
        start = start_networks(prior, module, sample, graph.order, graph.parents, rng, progress)
    else:
        module.load_mechanisms(fit.mechanisms)
    before = copy.deepcopy(module.state_dict())
    state = closed_form(cells, module, None if start is None else start.batch.state)
    initial = copy.deepcopy(module.state_dict())
    if n_epochs > 0:
        training.run(module, n_epochs, rng)
        trained = copy.deepcopy(module.state_dict())
        if len(held) and not training.better(module, initial, trained):
            module.load_state_dict(before)
        state = closed_form(cells, module, state)
    if start is None and torch.equal(before["mechanisms.coef"], module.state_dict()["mechanisms.coef"].cpu()):
        module.load_fit(fit)
        return fit
    return finish(screen, module, state, fit, start, rng)


def finish(
    screen: Screen, module: GIMModule, state: Expectation, fit: Fit, start: NeuralStart | None, rng: np.random.Generator
) -> Fit:
    """The refreshed fit."""
    probability, order, history = fit.graph.probability, fit.mechanisms.order, []
    if start is not None:
        order, history = start.order, start.history
        probability = edge_probability(fit, start, module.mechanisms.parents())
    x, _ = screen.cells.sample(STRENGTH_CELLS, rng)
    z = ((torch.as_tensor(x, device=module.loc.device) - module.loc) / module.scale).float()
    out = assemble(
        module,
        state,
        screen.design,
        fit,
        order=order,
        edge_probability=probability,
        z=z,
        reach=(_extremes(screen) - as_array(module.loc)) / as_array(module.scale),
        rng=rng,
        known=screen.knowledge.targets,
        history=history,
    )
    return replace(out, settings={**out.settings, "trained": True})


def _extremes(screen: Screen) -> np.ndarray:
    """Smallest and largest value ``(2, G)`` of each gene in all cells: those of one context may be far out, and few."""
    ends = [(x.min(axis=0), x.max(axis=0)) for x, _ in screen.cells.dense()]
    low, high = zip(*ends, strict=True)
    return np.stack([np.min(low, axis=0), np.max(high, axis=0)])
