"""The learners from moments, and what goes with each (layer `_core`; not from the paper)."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, cast

import numpy as np

from scgim._core.allowed import Allowed
from scgim._core.fit import Fit
from scgim._core.kinds import INTERVENTIONS, ScoredKind
from scgim._core.learn.alternate import fit_active
from scgim._core.learn.assemble import Structure, assemble
from scgim._core.learn.base import Learner, Task
from scgim._core.learn.cyclic import fit_cyclic
from scgim._core.learn.order import learn_structure
from scgim._core.learn.plates import find_plates
from scgim._core.learn.responses import find_responses
from scgim._core.structure.edges import edge_probabilities
from scgim._core.structure.hidden.find_hidden import effects_of, evidence_beside_factors
from scgim._core.structure.hidden.find_measured import evidence_beside_noise
from scgim._core.structure.learn_prior import evidence_given
from scgim._core.structure.misfit import total_evidence


def one_kind() -> tuple[str, ...]:
    """Settings of ``intervention`` that weigh one kind, which is scored."""
    return tuple(name for name, kinds in INTERVENTIONS.items() if len(kinds) == 1 and kinds[0].scored)


class SearchOrders:
    """Exact scores of parents, with interventions integrated out, and a search over causal orders."""

    structure: ClassVar[str] = "search"
    argument: ClassVar[str] = "structure"
    searches: ClassVar[bool] = True
    exact: ClassVar[bool] = False

    @property
    def allows(self) -> Allowed:
        """Interventions of one kind that is scored."""
        return Allowed(interventions=one_kind())

    def learn(self, task: Task, rng: np.random.Generator) -> Fit:
        """Order and parents, then targets and effects given these."""
        kind = cast("ScoredKind", task.kinds[0])
        if kind.scatter == "none":
            moments = find_plates(task.moments, task.design)
            task = task.on(find_responses(moments, task.design))
        score, chooser, state, history = learn_structure(
            task.moments,
            task.design,
            task.prior,
            kind=kind,
            background=task.background,
            doubts=kind.scatter == "none" and task.moments.spread is None,
            network=task.network,
            n_kicks=task.kicks,
            rng=rng,
            watch=task.watch,
        )
        evidence = evidence_given(score, state.parents)
        probability = edge_probabilities(chooser, state, rng=rng)
        structure = Structure(score, state.order, state.parents, evidence, probability, history)
        fit = assemble(structure, kind, task, network=task.network)
        found = {"log_evidence": state.total}
        if kind.scatter == "none":  # whatever the covariance within contexts was trusted
            prices = state.total - float(evidence.score.sum())
            parents, hidden = dict(state.parents), score.moments.hidden
            if score.moments.measured is not None:
                graph = evidence_beside_noise(score, evidence, effects_of(parents, evidence))[0]
            elif hidden is not None:
                graph = evidence_beside_factors(score, evidence, effects_of(parents, evidence), hidden)[0]
            else:
                graph = total_evidence(score, evidence, parents)[0]
            found["log_evidence"] = graph + prices
        return replace(fit, settings=task.asked | fit.settings | found)


class AlternateKinds:
    """Graph and interventions in turn, where drugs change activities; shifts and activities are weighed by likelihood."""

    structure: ClassVar[str] = "search"
    argument: ClassVar[str] = "intervention"
    searches: ClassVar[bool] = True
    exact: ClassVar[bool] = False

    @property
    def allows(self) -> Allowed:
        """All other interventions."""
        return Allowed(
            interventions=tuple(name for name in INTERVENTIONS if name not in one_kind()),
            noises=("gaussian",),
            effects_by=False,
            instead=f"intervention={' or '.join(map(repr, one_kind()))}",
        )

    def learn(self, task: Task, rng: np.random.Generator) -> Fit:
        """Rounds of a search over orders and a choice of interventions."""
        fit = fit_active(task, rng)
        return replace(fit, settings=task.asked | fit.settings)


class LetCyclesIn:
    """A search over orders, after which edges that close cycles enter where the likelihood pays for them."""

    structure: ClassVar[str] = "cyclic"
    argument: ClassVar[str] = "structure"
    searches: ClassVar[bool] = True
    exact: ClassVar[bool] = True
    allows: ClassVar[Allowed] = Allowed(
        mechanisms=("linear",), interventions=("shift",), noises=("gaussian",), instead="structure='search'"
    )

    def learn(self, task: Task, rng: np.random.Generator) -> Fit:
        """From the graph without cycles."""
        fit = fit_cyclic(task, rng)
        return replace(fit, settings=task.asked | fit.settings)


SEARCHES: tuple[Learner, ...] = (SearchOrders(), AlternateKinds(), LetCyclesIn())
