"""From the names that a user gives to the objects that they stand for (layer `model`)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from scgim._core.kinds import INTERVENTIONS
from scgim._core.learn.base import Learner, pick
from scgim._core.learn.learners import SEARCHES
from scgim._core.mechanisms import MECHANISMS
from scgim._core.observation import OBSERVATIONS
from scgim._core.settings import Settings, table
from scgim.model._published.learner import Published

if TYPE_CHECKING:
    from scgim.model._study.study import Study

AnyLearner = Learner | Published
LEARNERS: tuple[AnyLearner, ...] = (*SEARCHES, Published())
NAMES: dict[str, Collection[str]] = {
    "mechanism": tuple(MECHANISMS),
    "intervention": INTERVENTIONS,  # kinds may be added
    "noise": tuple(OBSERVATIONS),
    "structure": tuple(dict.fromkeys(learner.structure for learner in LEARNERS)),
}
"""The names that each argument of `GIM` takes."""
MAX_WEIGHED = 2e7  # second moments of all contexts up to which kinds are weighed: 160 MB


def what_goes_with_what() -> str:
    """All choices as a table in Markdown."""
    return table(LEARNERS, [make() for make in OBSERVATIONS.values()], NAMES)


def read_choices(
    mechanism: str,
    intervention: str | None,
    noise: str,
    structure: str,
    study: Study,
    *,
    effects_by: str | None,
    n_ensemble: int,
    graph_prior: bool,
    known_targets: bool,
) -> Settings[AnyLearner]:
    """The choices as objects.

    Parameters
    ----------
    mechanism, intervention, noise, structure
        Names; an intervention of None is chosen by what was measured, see `weighed_by_default`.
    study
        What was registered.
    effects_by, n_ensemble
        See `GIM`.
    graph_prior, known_targets
        Whether the user knows something of these.

    Raises
    ------
    ValueError
        A name is unknown, or the choices do not go with each other.
    """
    given = {"mechanism": mechanism, "intervention": intervention, "noise": noise, "structure": structure}
    for argument, value in given.items():
        if value not in NAMES[argument] and not (argument == "intervention" and value is None):
            raise ValueError(f"{argument}: expected one of {list(NAMES[argument])}, found {value!r}.")
    if isinstance(n_ensemble, bool) or not isinstance(n_ensemble, (int, np.integer)) or n_ensemble < 0:
        raise ValueError(f"n_ensemble: expected a whole number of at least 0, found {n_ensemble!r}.")

    def settings(kinds: str) -> Settings[AnyLearner]:
        return Settings(
            MECHANISMS[mechanism],
            kinds,
            OBSERVATIONS[noise](),
            pick(LEARNERS, structure, kinds),
            effects_by,
            int(n_ensemble),
            graph_prior,
            known_targets,
        )

    out = settings("shift" if intervention is None else intervention)
    if intervention is None and weighed_by_default(settings("auto"), study):
        out = settings("auto")
    out.check()
    return out


def weighed_by_default(weighed: Settings[AnyLearner], study: Study) -> bool:
    """Whether kinds of intervention are weighed where the user names none; shifts are taken elsewhere.

    With one context a drug the question is where each drug acts, and a shift alone misses drugs that inhibit. With several
    doses, batches or features the model also predicts, and there mechanisms that are only approximately right are
    better met by shifts. To be weighed, kinds also need a closed form, choices that go with them, and second moments of
    all contexts that are not too many numbers.
    """
    known = replace(weighed, graph_prior=False, known_targets=False, n_ensemble=0)  # no reason to weigh, nor not to
    if not weighed.mechanism.closed_form or any(known.problems()):
        return False
    present = study.design.present  # (K, D)
    if study.features is not None or (present.sum(axis=0) > 1).any():
        return False
    return len(present) * float(len(study.genes) * weighed.mechanism.basis.n_functions) ** 2 <= MAX_WEIGHED


def as_saved(settings: Settings[AnyLearner]) -> dict[str, Any]:
    """The choices as plain values, in the order in which they are shown."""
    by = {} if settings.effects_by is None else {"effects_by": settings.effects_by}
    return settings.named() | {"n_ensemble": settings.n_ensemble} | by
