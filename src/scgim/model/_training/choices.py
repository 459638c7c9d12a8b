"""From the names that a user gives to the objects that they stand for (layer `model`)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from scgim._checks import one_of
from scgim._core.kinds import INTERVENTIONS
from scgim._core.learn.base import Learner, pick
from scgim._core.learn.learners import SEARCHES
from scgim._core.mechanisms import MECHANISMS
from scgim._core.observation import OBSERVATIONS
from scgim._core.settings import Settings, table
from scgim.model._published.learner import Published

AnyLearner = Learner | Published
LEARNERS: tuple[AnyLearner, ...] = (*SEARCHES, Published())
AUTO = "auto"
"""Name of the mechanism that is chosen by evidence."""
COMPARED = ("linear", "additive")
"""Mechanisms among which it is chosen; the first one stands unless another has more evidence."""
NAMES: dict[str, Collection[str]] = {
    "mechanism": tuple(MECHANISMS),
    "intervention": INTERVENTIONS,  # kinds may be added
    "noise": tuple(OBSERVATIONS),
    "structure": tuple(dict.fromkeys(learner.structure for learner in LEARNERS)),
}
"""The names that each argument of `GIM` takes."""


def what_goes_with_what() -> str:
    """All choices as a table in Markdown."""
    return table(LEARNERS, [make() for make in OBSERVATIONS.values()], NAMES)


def read_choices(
    mechanism: str,
    intervention: str | None,
    noise: str,
    structure: str,
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
        Names; an intervention of None is a shift.
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
        if not (argument == "intervention" and value is None):
            one_of(*NAMES[argument], *([AUTO] if argument == "mechanism" else []))(argument, value)
    kinds = "shift" if intervention is None else intervention
    out = Settings(
        MECHANISMS[mechanism],
        kinds,
        OBSERVATIONS[noise](),
        pick(LEARNERS, structure, kinds),
        effects_by,
        int(n_ensemble),
        graph_prior,
        known_targets,
    )
    out.check()
    return out


def read_candidates(
    mechanism: str, intervention: str | None, noise: str, structure: str, **further: Any
) -> tuple[Settings[AnyLearner], ...]:
    """The choices, once for each mechanism that is to be compared; see `read_choices`."""
    if mechanism != AUTO:
        return (read_choices(mechanism, intervention, noise, structure, **further),)
    out = tuple(read_choices(name, intervention, noise, structure, **further) for name in COMPARED)
    for argument, needed in (("structure", "search"), ("intervention", "shift")):
        found = out[0].named()[argument]
        if found != needed:
            raise ValueError(f"mechanism: {AUTO!r} needs {argument}={needed!r}, found {found!r}; use {COMPARED[0]!r}.")
    return out


def as_saved(settings: Settings[AnyLearner]) -> dict[str, Any]:
    """The choices as plain values, in the order in which they are shown."""
    by = {} if settings.effects_by is None else {"effects_by": settings.effects_by}
    return settings.named() | {"n_ensemble": settings.n_ensemble} | by
