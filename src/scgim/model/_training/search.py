"""The first stage of training: from the cells to a fit by moments (layer `model`)."""

import copy
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from scgim._core.fit import Fit
from scgim._core.learn.base import Learner, Task
from scgim._core.moments.moments import Moments
from scgim._core.observation import Observation
from scgim._core.posterior.responders.penetrance import learn_penetrance
from scgim._core.settings import Settings
from scgim._core.structure.watch import Progress, Watch
from scgim.model._study.observation import ObservedCells
from scgim.model._study.screen import Screen
from scgim.model._training.copies import warn_copies
from scgim.model._training.ensemble import average, resamples
from scgim.model._training.limits import check_memory, pools_of, warn_stopped

logger = logging.getLogger(__name__)
WORTH = 10.0
"""Nats by which another mechanism than the first has to be better."""
LEAST_TIME = 1e-3


@dataclass(frozen=True)
class MomentSearch:
    """A search by moments."""

    screen: Screen  # what was measured, and what is known
    size: Any  # (N,) size factors of the cells, or None
    penetrance: bool  # whether the share of cells that respond is learned
    # see `GIM.train`
    progress: Progress | None
    timeout: float | None

    def run(
        self, choices: Settings[Any], learner: Learner, rng: np.random.Generator
    ) -> tuple[Fit, Observation, Moments]:
        """What the learner makes of moments of the causal layer and of bootstrap samples of them; how cells are observed; the moments."""
        screen, design, basis = self.screen, self.screen.design, choices.mechanism.basis
        pool = pools_of(choices.intervention, design)
        check_memory(choices.intervention, pool, len(design.dose), len(screen.genes) * basis.n_functions)
        if self.progress is not None:
            self.progress("moments", 0.0)
        observed = ObservedCells(screen.cells, len(design.dose), basis, pool, self.size)
        moments, observation = choices.observation.learn(observed, design)
        known, watch = screen.knowledge, Watch(self.timeout, self.progress)
        task = Task(
            moments, design, screen.genes, choices.intervention, known.edges, known.targets, known.network, watch=watch
        )
        samples = resamples(moments, choices.n_ensemble, rng)
        with threadpool_limits(limits=1):  # matrices this small are slower with several threads, much so on busy cores
            with watch.catching():
                fits = [
                    learner.learn(task.on(each), s) for n, (each, s) in enumerate(samples) if not n or not watch.over()
                ]
            fit = average(fits[0], fits[1:])
            if self.penetrance:
                fit = replace(fit, penetrance=learn_penetrance(moments, design, fit.of_context, fit.graph.weights))
        warn_stopped(watch.stopped, self.timeout)
        return fit, observation, moments

    def best(
        self, candidates: Sequence[Settings[Any]], rng: np.random.Generator
    ) -> tuple[Settings[Any], Fit, Observation]:
        """The choices with most evidence, and what they find, as if these had been made at once; later ones have to gain `WORTH`."""
        if len(candidates) == 1:
            fit, observation, moments = self.run(candidates[0], candidates[0].learner, rng)
            warn_copies(fit, moments)
            return candidates[0], fit, observation
        found, start = [], time.monotonic()
        for choices in candidates:
            left = None if self.timeout is None else max(self.timeout - (time.monotonic() - start), LEAST_TIME)
            found.append((choices, *replace(self, timeout=left).run(choices, choices.learner, copy.deepcopy(rng))))
            if "stopped" in found[-1][1].settings:
                break
        evidence = [float(fit.settings["log_evidence"]) - WORTH * (n > 0) for n, (_, fit, *_) in enumerate(found)]
        choices, fit, observation, moments = found[int(np.argmax(evidence))]
        each = {f"log_evidence_{c.mechanism.name}": float(f.settings["log_evidence"]) for c, f, *_ in found}
        told = ", ".join(f"{value:.0f} under {name.rpartition('_')[2]}" for name, value in each.items())
        logger.info("mechanism: %s; log evidence is %s mechanisms", choices.mechanism.name, told)
        warn_copies(fit, moments)  # once, of what is kept
        return choices, replace(fit, settings=fit.settings | each), observation
