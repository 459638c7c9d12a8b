"""Graphs of several checkouts under one score: that of the present code, with the prior that its own fit learned."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np

N_ROUNDS = 3  # in which activities are learned given a graph


class LastScore:
    """Keeps what a fit of the present code ended with: its score, and where activities were weighed their state."""

    def __init__(self) -> None:
        self.score: Any = None
        self.run: Any = None  # state of the activities
        for name in ("learners", "alternate"):
            module = sys.modules.get(f"scgim._core.learn.{name}")
            if module is not None:
                module.learn_structure = self.keep(module.learn_structure)  # type: ignore[attr-defined]
        module = sys.modules.get("scgim._core.learn.alternate")
        if module is not None:
            active, shifts = module.assemble_active, module.assemble_shifts

            def assemble_active(task: Any, ended: Any, rng: Any) -> Any:
                self.run = ended.run
                return active(task, ended, rng)

            def assemble_shifts(task: Any, found: Any, evidence: Any, beside: Any, rng: Any) -> Any:
                self.run = beside
                return shifts(task, found, evidence, beside, rng)

            module.assemble_active = assemble_active  # type: ignore[attr-defined]
            module.assemble_shifts = assemble_shifts  # type: ignore[attr-defined]

    def keep(self, learn: Any) -> Any:
        """The function that learns a structure, whose score is kept."""

        def call(*given: Any, **named: Any) -> Any:
            out = learn(*given, **named)
            self.score = out[0]
            return out

        return call

    def of(self, graph: np.ndarray) -> float:
        """Score of a graph ``(G, G)``; not a number where no score was kept.

        Activities are learned anew for each graph, which else would be judged by those that suit another: from none and from those that the
        present fit ended with, and whatever scores highest counts, these and none at all among it. Their price is taken off.
        """
        if self.score is None:
            return float("nan")
        parents = {j: tuple(np.flatnonzero(graph[:, j]).tolist()) for j in range(len(graph))}
        if self.run is None:
            return sum(float(self.score.score_sets(j, np.array([parents[j]], dtype=int))[0]) for j in parents)
        return max(value for from_end in (False, True) for value in active_scores(self.run, parents, from_end=from_end))


def active_scores(run: Any, parents: dict[int, tuple[int, ...]], *, from_end: bool) -> list[float]:
    """Scores under the prior of an alternation that is over, as activities are learned that suit these parents."""
    from scgim._core.kinds.activity import ActiveScore
    from scgim._core.learn.active_fit import ActiveFit
    from scgim._core.structure.learn_prior import evidence_given

    m, design, rng = run.moments, run.design, np.random.default_rng(0)
    new = ActiveFit(m, design, run.prior, shifts=run.shifts, background=run.background, known=run.known)
    new.parents = parents
    if from_end:
        new.psi, new.active, new.shifted, new.off = run.psi.copy(), run.active.copy(), run.shifted.copy(), run.off
        new.activity, new.shift = replace(run.activity), replace(run.shift)
        new.kinds = (new.activity, new.shift)
    evidence = evidence_given(ActiveScore(m, design.drug_set, design.group, new.prior), parents)
    found = [float(evidence.score.sum())]  # of no activities
    if from_end:
        evidence = evidence_given(
            ActiveScore(m, design.drug_set, design.group, new.prior, new.psi, new.where_off), parents
        )
        found.append(float(evidence.score.sum()) - run.price)
    for _ in range(N_ROUNDS):
        new.update(evidence, rng, strict=True)
        new.find_off(evidence)
        score = ActiveScore(m, design.drug_set, design.group, new.prior, new.psi, new.where_off)
        evidence = evidence_given(score, parents)
        found.append(float(evidence.score.sum()) - new.price)
    return found
