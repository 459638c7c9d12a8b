"""A fit from moments in one call, by the names of the choices (layer `_core`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._core.design import Design
from scgim._core.fit import Fit
from scgim._core.learn.base import Task, pick
from scgim._core.learn.learners import SEARCHES
from scgim._core.moments.moments import Moments
from scgim._core.structure.watch import Progress, Watch


def fit_search(
    moments: Moments,
    design: Design,
    *,
    genes: tuple[str, ...] | list[str],
    structure: str = "search",
    rng: np.random.Generator | int = 0,
    progress: Progress | None = None,
    timeout: float | None = None,
    **task: Any,
) -> Fit:
    """Fits graph, mechanisms, targets and effects from moments.

    Parameters
    ----------
    moments, design, genes
        See `scgim._core.learn.base.Task`.
    structure
        ``"search"`` or ``"cyclic"``.
    rng
        Random generator or seed.
    progress
        Called with the stage and its score; see `scgim._core.structure.watch`.
    timeout
        Seconds after which the best so far is taken; None for as long as it needs.
    """
    asked = Task(moments, design, tuple(genes), **task, watch=Watch(timeout, progress))
    learner = pick(SEARCHES, structure, asked.intervention)
    return learner.learn(asked, np.random.default_rng(rng))
