"""The first stage of training: from the cells to a fit by moments (layer `model`)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from scgim._core.fit import Fit
from scgim._core.learn.base import Learner, Task
from scgim._core.observation import to_state
from scgim._core.posterior.responders.penetrance import learn_penetrance
from scgim._core.structure.watch import Progress, Watch
from scgim.model._reading.keys import SIZE_FACTOR_KEY
from scgim.model._study.observation import ObservedCells
from scgim.model._study.screen import Screen
from scgim.model._training.ensemble import average, resamples
from scgim.model._training.limits import check_memory, pools_of, warn_stopped

if TYPE_CHECKING:
    from scgim.model._gim import GIM


def search(
    model: GIM,
    screen: Screen,
    learner: Learner,
    rng: np.random.Generator,
    progress: Progress | None,
    timeout: float | None,
) -> Fit:
    """Moments of the causal layer, and what the learner makes of them and of bootstrap samples of them.

    The model's `observation_` is set.
    """
    choices, design = model._choices, screen.design
    basis = choices.mechanism.basis
    pool = pools_of(choices.intervention, design)
    check_memory(choices.intervention, pool, len(design.dose), len(screen.genes) * basis.n_functions)
    if progress is not None:
        progress("moments", 0.0)
    size = model.adata_manager.get_from_registry(SIZE_FACTOR_KEY) if model.study.spec.size_factor else None
    observed = ObservedCells(screen.cells, len(design.dose), basis, pool, size)
    moments, observation = choices.observation.learn(observed, design)
    model.observation_ = to_state(observation)
    known = screen.knowledge
    watch = Watch(timeout, progress)
    task = Task(
        moments, design, screen.genes, choices.intervention, known.edges, known.targets, known.network, watch=watch
    )
    samples = resamples(moments, choices.n_ensemble, rng)
    with threadpool_limits(limits=1):  # matrices this small are slower with several threads, much so on busy cores
        with watch.catching():
            fits = [learner.learn(task.on(each), s) for n, (each, s) in enumerate(samples) if not n or not watch.over()]
        fit = average(fits[0], fits[1:])
        if model.settings_.get("penetrance"):
            fit = replace(fit, penetrance=learn_penetrance(moments, design, fit.of_context, fit.graph.weights))
    warn_stopped(watch.stopped, timeout)
    return fit
