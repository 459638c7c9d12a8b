"""The choices that make a model, as objects, and what goes with what (layer `_core`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic

from scgim._core.allowed import Allowed
from scgim._core.learn.base import L, Option
from scgim._core.mechanisms.base import Mechanism
from scgim._core.observation.base import Observation


@dataclass(frozen=True)
class Settings(Generic[L]):
    """What a user has chosen."""

    mechanism: Mechanism  # how genes follow from their parents
    intervention: str  # name of the kinds of intervention that drugs may make
    observation: Observation  # how cells are observed
    learner: L  # how all of it is learned
    effects_by: str | None = None  # covariate between whose levels effects differ, or None
    n_ensemble: int = 0  # bootstrap fits
    # whether the user knows something of these
    graph_prior: bool = False
    known_targets: bool = False

    def named(self) -> dict[str, str]:
        """The names of the choices, by the argument of ``GIM``."""
        return {
            "mechanism": self.mechanism.name,
            "intervention": self.intervention,
            "noise": self.observation.name,
            "structure": self.learner.structure,
        }

    def problems(self) -> Iterator[str]:
        """What does not go with what, each with a way out."""
        named = self.named()
        for argument, allowed in ((self.learner.argument, self.learner.allows), ("noise", self.observation.allows)):
            for other, names in allowed.names().items():
                if names is not None and named[other] not in names:
                    needed = " or ".join(map(repr, names))
                    yield (
                        f"{argument}: {named[argument]!r} needs {other}={needed}, found {named[other]!r}; use "
                        f"{allowed.instead}."
                    )
            for other, used in allowed.uses().items():
                if getattr(self, other) and not used:
                    yield (
                        f"{other}: {argument}={named[argument]!r} does not use it; leave it out, or use "
                        f"{allowed.instead}."
                    )

    def check(self) -> None:
        """Raises a ValueError with all that does not go with what."""
        problems = list(self.problems())
        if problems:
            raise ValueError("\n".join(problems))


def together(learner: Option, observation: Observation, everything: Mapping[str, Collection[str]]) -> Allowed | None:
    """What goes with a learner and a noise model both, in names; None where they do not go with each other."""
    ours, theirs = learner.allows, observation.allows
    names = {}
    for argument in ours.names():
        limits = [limit for limit in (ours.names()[argument], theirs.names()[argument]) if limit is not None]
        names[argument] = tuple(name for name in everything[argument] if all(name in limit for limit in limits))
    if observation.name not in names["noise"] or not all(names.values()):
        return None
    return Allowed(
        names["mechanism"],
        names["intervention"],
        (observation.name,),
        ours.effects_by and theirs.effects_by,
        ours.knowledge and theirs.knowledge,
        ours.ensembles and theirs.ensembles,
    )


def table(
    learners: Iterable[Option], observations: Iterable[Observation], everything: Mapping[str, Collection[str]]
) -> str:
    """What goes with what, as a table in Markdown.

    Parameters
    ----------
    everything
        All names of mechanisms, interventions and noise models, by the argument of ``GIM``.
    """
    columns = (
        "structure",
        "intervention",
        "mechanism",
        "noise",
        "effects_by",
        "graph_prior, known_targets",
        "n_ensemble",
    )
    rows: dict[tuple[str, ...], list[str]] = {}
    observations = list(observations)
    for learner in learners:
        for observation in observations:
            allowed = together(learner, observation, everything)
            if allowed is None:
                continue
            uses = ["yes" if used else "no" for used in (allowed.effects_by, allowed.knowledge, allowed.ensembles)]
            row = (_code([learner.structure]), _code(allowed.interventions), _code(allowed.mechanisms), *uses)
            rows.setdefault(row, []).append(observation.name)
    lines = ["| " + " | ".join(f"`{c}`" if "," not in c else "`graph_prior`, `known_targets`" for c in columns) + " |"]
    lines.append("|" + "---|" * len(columns))
    for (structure, interventions, mechanisms, *uses), noises in rows.items():
        lines.append("| " + " | ".join([structure, interventions, mechanisms, _code(noises), *uses]) + " |")
    return "\n".join(lines)


def _code(names: Iterable[str] | None) -> str:
    return ", ".join(f'`"{name}"`' for name in names or ())
