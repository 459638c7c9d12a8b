"""Order and parents under priors that are learned along the way (layer `_core`; not from the paper)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scgim._core.design import Design
from scgim._core.kinds import ScoredKind
from scgim._core.kinds.shift import Shift
from scgim._core.moments.moments import Moments
from scgim._core.structure.elimination import eliminate
from scgim._core.structure.learn_prior import evidence_given, learn_prior
from scgim._core.structure.order import OrderSearch, Parents, search
from scgim._core.structure.prior import Prior
from scgim._core.structure.score import ShiftScore
from scgim._core.structure.screening import screen, widen
from scgim._core.structure.watch import Watch

SHIFT = Shift()


def _report(watch: Watch, stage: str, history: list[dict[str, Any]]) -> Callable[[float], None]:
    def report(value: float) -> None:
        history.append({"stage": stage, "score": value})
        watch.tell(stage, value)

    return report


def learn_structure(
    moments: Moments,
    design: Design,
    prior: Prior,
    *,
    rng: np.random.Generator,
    kind: ScoredKind = SHIFT,
    background: float | str = "auto",
    n_kicks: int = 20,
    n_candidates: int = 40,
    max_parents: int = 20,
    watch: Watch | None = None,
) -> tuple[ShiftScore, Parents, OrderSearch, list[dict[str, Any]]]:
    """Order and parents under priors that are learned along the way, or what was found when the watch said that it is over."""
    watch = Watch() if watch is None else watch
    history: list[dict[str, Any]] = []
    few = moments.n_genes <= 50
    score = kind.score(moments, design, prior)
    order, likely = eliminate(score, watch)
    candidates = [np.union1d(*lists) for lists in zip(screen(score, n_candidates), likely, strict=True)]
    candidates = [c[np.isfinite(prior.edge_price[c, j])] for j, c in enumerate(candidates)]
    for round_ in range(3):
        chooser = Parents(score, candidates, max_parents)
        watch.stage = f"search {round_ + 1}"
        report = _report(watch, watch.stage, history)
        last = round_ == 2
        kicks = n_kicks if last else 0
        state = search(chooser, rng=rng, order=order, n_kicks=kicks, thorough=last or few, progress=report, watch=watch)
        report(state.total)
        order = np.array(state.order)
        if round_ < 2:
            new = learn_prior(score, evidence_given(score, state.parents), background=background)
            score = kind.score(moments, design, new)
            if watch.over():
                break
            if not few:
                candidates = widen(score, candidates, state.parents)
    return score, chooser, state, history
