"""What a learner is: from moments of the cells to a fit (layer `_core`; not from the paper)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol, TypeGuard, TypeVar

import numpy as np

from scgim._core.allowed import Allowed
from scgim._core.design import Design
from scgim._core.fit import Fit
from scgim._core.kinds import INTERVENTIONS, Kind
from scgim._core.moments.moments import Moments
from scgim._core.posterior.regulation.network import Network
from scgim._core.structure.prior import Prior
from scgim._core.structure.watch import Watch

KICKS = ((50, 60), (150, 3))
"""Number of genes up to which the search restarts so often without success; once beyond these."""


@dataclass(frozen=True)
class Task:
    """What is to be learned."""

    # of the cells; with the scatter of each drug set for hard interventions, of each context for activities
    moments: Moments
    # drugs and doses of the contexts; with levels of a covariate, effects of shifts and hard interventions may differ
    # between these
    design: Design
    genes: tuple[str, ...]  # names of the G genes
    intervention: str = "shift"  # kinds of intervention that drugs may make, by the name of the setting
    graph_prior: np.ndarray | None = None  # (G, G) prior probability of each edge, 0 where it is forbidden
    # (D, G) 1 for known targets, 0 for known others, NaN where nothing is known
    known_targets: np.ndarray | None = None
    network: Network | None = None  # of regulators whose activity drugs may change, or None
    # standard deviation, in standard deviations of the gene, of differences between contexts that no drug made;
    # None learns it
    background: float | None = None
    # restarts that must bring nothing before the search stops; None for what suits the number of genes
    n_kicks: int | None = None
    watch: Watch = field(default_factory=Watch)  # ends the search early, and is told how far it is

    def on(self, moments: Moments) -> Task:
        """The same on other moments."""
        return replace(self, moments=moments)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Kinds of intervention that are weighed."""
        return INTERVENTIONS[self.intervention]

    @property
    def asked(self) -> dict[str, str]:
        """What the settings of a fit say of the task, and why the search ended early where it did."""
        return {"intervention": self.intervention} | self.watch.mark

    @property
    def prior(self) -> Prior:
        """Prior of graph and interventions, before anything is learned."""
        return Prior.default(self.moments.n_genes, self.graph_prior)

    @property
    def kicks(self) -> int:
        """Restarts that must bring nothing before the search stops."""
        if self.n_kicks is not None:
            return self.n_kicks
        return next((kicks for most, kicks in KICKS if self.moments.n_genes <= most), 1)


class Option(Protocol):
    """A choice that limits other choices.

    Attributes
    ----------
    structure
        As in ``GIM(structure=...)``.
    argument
        Argument of ``GIM`` that chooses it, for messages: `structure`, or `intervention` among learners of one
        structure.
    searches
        Whether it learns from moments; else from minibatches.
    exact
        Whether what it finds stands as it is, for no training by minibatches knows its models.
    allows
        What goes with it.
    """

    structure: ClassVar[str]
    argument: ClassVar[str]
    searches: ClassVar[bool]
    exact: ClassVar[bool]

    @property
    def allows(self) -> Allowed:
        """What goes with it."""


class Learner(Option, Protocol):
    """Learns graph, mechanisms, targets and effects from moments."""

    def learn(self, task: Task, rng: np.random.Generator) -> Fit:
        """The fit, or the best so far where the watch of the task says that it is over."""


def learns_from_moments(learner: Option) -> TypeGuard[Learner]:
    """Whether a learner searches, so that it takes a `Task`."""
    return learner.searches


L = TypeVar("L", bound=Option)


def pick(learners: Iterable[L], structure: str, intervention: str) -> L:
    """The learner of a structure for these interventions; where none takes them, one whose limits say so."""
    found = [learner for learner in learners if learner.structure == structure]
    return next((one for one in found if intervention in (one.allows.interventions or (intervention,))), found[0])
