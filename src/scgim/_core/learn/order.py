"""Order and parents under priors that are learned along the way (layer `_core`; not from the paper)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from scgim._core.design import Design
from scgim._core.kinds import ScoredKind
from scgim._core.kinds.shift import Shift
from scgim._core.learn.regulated import take_out_activities
from scgim._core.moments.moments import Moments
from scgim._core.posterior.evidence import Evidence
from scgim._core.posterior.regulation.network import Network
from scgim._core.structure.elimination import eliminate
from scgim._core.structure.hidden.find_hidden import Search, effects_of, find_hidden
from scgim._core.structure.hidden.find_measured import find_measured
from scgim._core.structure.learn_prior import evidence_given, learn_prior
from scgim._core.structure.misfit import START_CELLS, total_evidence
from scgim._core.structure.order import OrderSearch, search
from scgim._core.structure.parents import Parents
from scgim._core.structure.prior import Prior
from scgim._core.structure.score import ShiftScore
from scgim._core.structure.screening import response_order, screen, widen
from scgim._core.structure.slopes import learn_slopes
from scgim._core.structure.watch import Watch

SHIFT = Shift()
MOST_ELIMINATED = (
    2_000  # genes up to which elimination, whose time grows with their cube, is worth the order that it gives
)
FEW_CANDIDATES = 2  # times those that are screened for: so many are taken as the prior gives them


def _report(watch: Watch, stage: str, history: list[dict[str, Any]]) -> Callable[[float], None]:
    def report(value: float) -> None:
        history.append({"stage": stage, "score": value})
        watch.tell(stage, value)

    return report


def start(score: ShiftScore, n_candidates: int, watch: Watch) -> tuple[np.ndarray, list[np.ndarray]]:
    """Order ``(G,)`` to start from, and candidate parents of each gene.

    Beyond `MOST_ELIMINATED` genes, those that few drugs move come first, and where the prior leaves few candidates these are taken as
    they are, for nothing has to be screened.
    """
    G, allowed = score.n_genes, np.isfinite(score.prior.edge_price)
    likely = [np.empty(0, dtype=int)] * G
    if G <= MOST_ELIMINATED:
        order, likely = eliminate(score, watch)
    else:
        order = response_order(score)
        if (allowed.sum(axis=0) <= FEW_CANDIDATES * n_candidates).all():
            return order, [np.setdiff1d(np.flatnonzero(allowed[:, j]), j) for j in range(G)]
    candidates = [np.union1d(*lists) for lists in zip(screen(score, n_candidates), likely, strict=True)]
    return order, [c[allowed[c, j]] for j, c in enumerate(candidates)]


def _judged(
    kind: ScoredKind, score: ShiftScore, design: Design, learned: Prior, found: Evidence, state: OrderSearch
) -> tuple[float, float]:
    """Log evidence of a graph, and the cells that suit it, under the prior that was learned from it."""
    parents = dict(state.parents)
    same = kind.score(score.moments, design, learned.trusting(total_evidence(score, found, parents)[1]))
    return total_evidence(same, evidence_given(same, parents), parents)


def _searching(
    design: Design,
    prior: Prior,
    kind: ScoredKind,
    candidates: list[np.ndarray],
    background: float | str,
    rng: np.random.Generator,
    watch: Watch,
) -> Search:
    """Searches of `find_hidden`, which hand on the prior that they learn."""
    learned = [prior]

    def run(moments: Moments, cells: float, order: np.ndarray | None) -> Any:
        if order is None:
            learned[0] = prior
        score = kind.score(moments, design, learned[0].trusting(cells))
        first = eliminate(score, watch)[0] if order is None else order
        state = search(Parents(score, candidates), rng=rng, order=first, n_kicks=0, watch=watch)
        evidence = evidence_given(score, state.parents)
        learned[0] = learn_prior(score, evidence, background=background)
        return score, dict(state.parents), state.order, evidence

    return run


def learn_structure(
    moments: Moments,
    design: Design,
    prior: Prior,
    *,
    rng: np.random.Generator,
    kind: ScoredKind = SHIFT,
    background: float | str = "auto",
    doubts: bool = False,
    hidden: bool = True,
    network: Network | None = None,
    n_kicks: int = 20,
    n_candidates: int = 40,
    max_parents: int = 20,
    watch: Watch | None = None,
    enough: Callable[[ShiftScore, OrderSearch], bool] | None = None,
) -> tuple[ShiftScore, Parents, OrderSearch, list[dict[str, Any]]]:
    """Order and parents under priors that are learned along the way, or what was found when the watch said that it is over.

    With `doubts`, it is learned how far the covariance within contexts can be trusted (`scgim._core.structure.misfit`), and
    systems of few genes that do not fit are tried with hidden causes (`scgim._core.structure.hidden`), unless `hidden` is False. Where a
    `network` is given, what its regulators add to the covariance is taken out after the first round (`scgim._core.learn.regulated`).
    Before the last search, which is the longest, `enough` is asked whether it can be left out.
    """
    watch = Watch() if watch is None else watch
    history: list[dict[str, Any]] = []
    few = moments.n_genes <= 50
    score = kind.score(moments, design, prior.trusting(START_CELLS if doubts else np.inf))
    order, candidates = start(score, n_candidates, watch)
    best, total, cells, first = -np.inf, 0.0, np.inf, np.inf
    for round_ in range(3):
        chooser = Parents(score, candidates, max_parents)
        watch.stage = f"search {round_ + 1}"
        report = _report(watch, watch.stage, history)
        last = round_ == 2
        kicks = n_kicks if last else 0
        state = search(chooser, rng=rng, order=order, n_kicks=kicks, thorough=last or few, progress=report, watch=watch)
        report(state.total)
        if last:
            break
        found = evidence_given(score, state.parents)
        learned = learn_prior(score, found, background=background)
        if doubts:
            learned = replace(learned, slope_sd=learn_slopes(score, found, state.parents, learned.background_sd))
            total, cells = _judged(kind, score, design, learned, found, state)
        if not doubts or total > best:
            best, best_cells, best_prior, order = total, cells, learned, np.array(state.order)
        if watch.over():
            score = kind.score(moments, design, learned.trusting(cells))
            break
        if doubts and not round_ and network is not None and moments.mechanism.linear:
            moments = take_out_activities(moments, network, effects_of(dict(state.parents), found))
            best = -np.inf if moments.hidden is not None else best  # of other moments
        if round_ and few and hidden and moments.hidden is None and moments.mechanism.linear and np.isfinite(first):
            again = _searching(design, prior, kind, candidates, background, rng, watch)
            noisy = find_measured(moments, design, again, best)
            causes = find_hidden(moments, design, again, best if noisy is None else noisy.evidence) or noisy
            if causes is not None:
                moments, order, best_cells = causes.moments, causes.order, causes.cells
        first = cells
        # where mechanisms seem to misfit, the graph may be wrong instead: the second round trusts all cells, unless means misfit, too
        trusted = best_cells if round_ or best_prior.slope_sd else np.inf
        score = kind.score(moments, design, best_prior.trusting(trusted))
        if round_ and enough is not None and enough(score, state):
            break
        if not few:
            candidates = widen(score, candidates, state.parents)
    return score, chooser, state, history
