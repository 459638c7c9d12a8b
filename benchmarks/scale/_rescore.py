"""Graphs of several checkouts under one score: that of the present code, with the prior that its own fit learned."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

N_ROUNDS = 3  # in which activities are learned given a graph


class LastScore:
    """Keeps the score that a fit of the present code ended with, wherever it was made; None for older layouts."""

    def __init__(self) -> None:
        self.score: Any = None
        self.run: Any = None  # an alternation that found changes of activity
        for name in ("learners", "alternate"):
            module = sys.modules.get(f"scgim._core.learn.{name}")
            if module is not None:
                module.learn_structure = self.keep(module.learn_structure)  # type: ignore[attr-defined]
        module = sys.modules.get("scgim._core.learn.active_fit")
        if module is not None:
            turn = module.ActiveFit.round

            def round_(run: Any, *given: Any, **named: Any) -> Any:
                out = turn(run, *given, **named)
                self.score, self.run = out[0], run
                return out

            module.ActiveFit.round = round_  # type: ignore[attr-defined]

    def keep(self, learn: Any) -> Any:
        """The function that learns a structure, whose score is kept."""

        def call(*given: Any, **named: Any) -> Any:
            out = learn(*given, **named)
            self.score, self.run = out[0], None
            return out

        return call

    def of(self, graph: np.ndarray) -> float:
        """Score of a graph ``(G, G)``; not a number where no score was kept.

        Changes of activity are learned anew for each graph, which else would be judged by those that suit another.
        """
        if self.score is None:
            return float("nan")
        parents = {j: tuple(np.flatnonzero(graph[:, j]).tolist()) for j in range(len(graph))}
        score = self.score if self.run is None else active_score(self.run, parents)
        return sum(float(score.score_sets(j, np.array([parents[j]], dtype=int))[0]) for j in parents)


def active_score(run: Any, parents: dict[int, tuple[int, ...]]) -> Any:
    """Score under the prior of an alternation that is over, with the shifts and activities that suit these parents."""
    from scgim._core.kinds.activity import ActiveScore
    from scgim._core.learn.active_fit import ActiveFit
    from scgim._core.structure.learn_prior import evidence_given

    m, design, rng = run.moments, run.design, np.random.default_rng(0)
    new = ActiveFit(m, design, run.prior, shifts=run.shifts, background=run.background, known=run.known)
    new.parents = parents
    score = ActiveScore(m, design.drug_set, design.group, new.prior)
    for _ in range(N_ROUNDS):
        evidence = evidence_given(score, parents)
        new.update(evidence, rng)
        new.find_off(evidence)
        score = ActiveScore(m, design.drug_set, design.group, new.prior, new.psi, new.where_off)
    return score
