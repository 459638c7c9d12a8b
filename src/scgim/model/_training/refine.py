"""Second stage of a fit: the torch module trained by Lightning from the exact engine's start (layer `model`).

`GIM.train` calls `refine` with the `Fit` of the search. `refine` runs scvi-tools' `TrainRunner`, so that the model's
``history_``, ``is_trained_`` and ``trainer`` are set as in every scvi-tools model, and returns the refreshed `Fit`, or the
given one where the trained module describes held-out cells no better. ``max_epochs=0`` skips the training.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from scgim._core.learn.fit import Fit
from scgim.model._module.closed_form import closed_form, prepare
from scgim.model._module.expectation import Expectation
from scgim.model._module.export import assemble
from scgim.model._module.module import GIMModule
from scgim.model._module.runner import better, loader_settings, run_training
from scgim.model._neural.activity import fit_active_networks
from scgim.model._neural.parents import NeuralStart
from scgim.model._neural.start import edge_probability, neural_cells, start_networks
from scgim.model._published.fit import fit_published
from scgim.model._reading.sample import sample_cells
from scgim.model._study.knowledge import known_targets_matrix

if TYPE_CHECKING:
    from collections.abc import Callable


def refine(
    model: Any,
    fit: Fit | None,
    *,
    max_epochs: int | None = None,
    accelerator: str = "auto",
    devices: int | list[int] | str = "auto",
    rng: int | np.random.Generator | None = 0,
    plan_kwargs: dict[str, Any] | None = None,
    progress: Callable[[str, float], None] | None = None,
    **kwargs: Any,
) -> Fit:
    """Trains ``model.module`` from a fit, and returns the refreshed fit.

    Parameters
    ----------
    model
        A `GIM`.
    fit
        Of the search; None for ``structure="gradient"``.
    max_epochs
        Of the training; None for what the mechanisms need, 0 for none.
    accelerator, devices
        See :class:`lightning.pytorch.Trainer`.
    rng
        Seed or generator.
    plan_kwargs
        Of :class:`GIMTrainingPlan`.
    progress
        Called with a stage and its score.
    kwargs
        `batch_size`, `train_size`, `balance`, `window` and `datasplitter_kwargs` for the splitter, everything else for
        :class:`scvi.train.Trainer`.
    """
    rng = np.random.default_rng(rng)
    with torch.random.fork_rng(devices=[]):  # torch's global state decides the minibatches; it is left as it was
        torch.manual_seed(int(rng.integers(2**31)))
        return _refine(
            model,
            fit,
            max_epochs=max_epochs,
            accelerator=accelerator,
            devices=devices,
            rng=rng,
            plan_kwargs=plan_kwargs,
            progress=progress,
            **kwargs,
        )


def _refine(
    model: Any,
    fit: Fit | None,
    *,
    max_epochs: int | None,
    accelerator: str,
    devices: int | list[int] | str,
    rng: np.random.Generator,
    plan_kwargs: dict[str, Any] | None,
    progress: Callable[[str, float], None] | None,
    **kwargs: Any,
) -> Fit:
    """See `refine`."""
    if fit is None:
        return fit_published(
            model,
            max_epochs=max_epochs,
            rng=rng,
            plan_kwargs=plan_kwargs,
            accelerator=accelerator,
            devices=devices,
            **kwargs,
        )
    module: GIMModule = model.module
    active = bool((fit.kind == "activity").any()) and not module.scaled
    exact = active or module.structure == "cyclic" or module.noise != "gaussian"
    if exact or (max_epochs == 0 and module.mechanisms.mechanism.closed_form):
        return fit  # closed forms stand: activities that change, cycles, and counts and zeros by moments are exact in the engine
    prepare(model, module)
    loader = loader_settings(model, module, rng, kwargs)
    n_epochs = module.mechanisms.n_epochs(model.adata.n_obs) if max_epochs is None else max_epochs
    held = loader["external_indexing"][1] if n_epochs else np.array([], dtype=int)
    start: NeuralStart | None = None
    if module.scaled and (fit.kind == "activity").any():
        held, runs = loader["external_indexing"][1], (plan_kwargs, accelerator, devices, loader, kwargs)
        train = partial(run_training, model, module, n_epochs, rng, *runs) if n_epochs else None
        return fit_active_networks(model, module, fit, held, rng, train, progress)
    if not module.mechanisms.mechanism.closed_form:
        cells, graph = neural_cells(model, module, fit, held, rng), fit.mechanisms
        start = start_networks(model, module, cells, graph.order, graph.parents, rng, progress)
    else:
        module.load_mechanisms(fit.mechanisms)
    before = copy.deepcopy(module.state_dict())
    state = closed_form(model, module, None if start is None else start.batch.state)
    initial = copy.deepcopy(module.state_dict())
    if n_epochs > 0:
        run_training(model, module, n_epochs, rng, plan_kwargs, accelerator, devices, loader, kwargs)
        trained = copy.deepcopy(module.state_dict())
        if len(held) and not better(model, module, held, initial, trained):
            module.load_state_dict(before)
        state = closed_form(model, module, state)
    if start is None and torch.equal(before["mechanisms.coef"], module.mechanisms.coef.detach().cpu()):
        return fit
    return finish(model, module, state, fit, start, rng)


def finish(
    model: Any, module: GIMModule, state: Expectation, fit: Fit, start: NeuralStart | None, rng: np.random.Generator
) -> Fit:
    """The refreshed fit."""
    probability, order, history = fit.graph_probability, fit.mechanisms.order, []
    if start is not None:
        order, history = start.order, start.history
        probability = edge_probability(fit, start, module.mechanisms.parents())
    x, _ = sample_cells(model, 4000, rng)
    z = ((torch.as_tensor(x, device=module.loc.device) - module.loc) / module.scale).float()
    known = known_targets_matrix(model._known_targets, model.drugs, model.genes)
    known = None if known is None else np.where(known, 1.0, np.nan)
    out = assemble(
        module,
        state,
        model.design,
        fit,
        order=order,
        edge_probability=probability,
        z=z,
        rng=rng,
        known=known,
        history=history,
    )
    return replace(out, settings={**out.settings, "trained": True})
