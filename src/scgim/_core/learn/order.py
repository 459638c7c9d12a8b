"""Order and parents under priors that are learned along the way (layer `_core`; not from the paper)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from scgim._core.design import Design
from scgim._core.kinds import ScoredKind
from scgim._core.kinds.shift import Shift
from scgim._core.learn.regulated import take_out_activities
from scgim._core.moments.moments import Moments
from scgim._core.posterior.evidence import Evidence
from scgim._core.posterior.regulation.network import Network
from scgim._core.structure.elimination import eliminate
from scgim._core.structure.hidden.find_hidden import Found, Graphed, effects_of, find_hidden
from scgim._core.structure.hidden.find_measured import find_measured
from scgim._core.structure.learn_prior import evidence_given, learn_prior
from scgim._core.structure.misfit import START_CELLS, explains_all, total_evidence
from scgim._core.structure.order import FEW_GENES, OrderSearch, search
from scgim._core.structure.parents import Parents
from scgim._core.structure.prior import Prior
from scgim._core.structure.score import ShiftScore
from scgim._core.structure.screening import response_order, screen, widen
from scgim._core.structure.slopes import learn_slopes
from scgim._core.structure.watch import Watch

SHIFT = Shift()
N_ROUNDS = 3  # of searches, each but the first under a prior that was learned before; the last one is thorough
N_CANDIDATES = 60  # parents of a gene that are screened for
FEW_CANDIDATES = 80  # that a prior leaves are taken as it gives them
MOST_ELIMINATED = 6_000  # genes up to which elimination (cubic in genes, 100 s for 5,000) is worth its order


class Searched(NamedTuple):
    """Where a search ended."""

    score: ShiftScore
    chooser: Parents
    state: OrderSearch
    history: list[dict[str, Any]]


class Judged(NamedTuple):
    """A graph, by the prior that was learned from it."""

    prior: Prior
    order: np.ndarray  # (G,)
    evidence: float = 0.0  # log marginal likelihood, where graphs are compared
    cells: float = np.inf  # that its covariance within contexts is worth
    complete: bool = False  # it leaves nothing to hidden causes

    def trusting(self, cells: float | None = None) -> Prior:
        """The prior, with the trust in covariances that suits the graph, or another one."""
        return self.prior.trusting(self.cells if cells is None else cells)


def _report(watch: Watch, stage: str, history: list[dict[str, Any]]) -> Callable[[float], None]:
    """What a search tells of its score, in this stage from now on."""
    watch.stage = stage

    def report(value: float) -> None:
        history.append({"stage": stage, "score": value})
        watch.tell(stage, value)

    return report


def start(score: ShiftScore, watch: Watch) -> tuple[np.ndarray, list[np.ndarray]]:
    """Order ``(G,)`` to start from, and candidate parents of each gene.

    Beyond `MOST_ELIMINATED` genes, those that few drugs move come first. Where the prior leaves few candidates, these are
    taken as they are, for nothing has to be screened.
    """
    G, allowed = score.n_genes, np.isfinite(score.prior.edge_price)
    likely = [np.empty(0, dtype=int)] * G
    if G <= MOST_ELIMINATED:
        order, likely = eliminate(score, watch)
    else:
        order = response_order(score)
    if allowed.sum(axis=0).max() <= min(FEW_CANDIDATES, G - 2):
        return order, [np.setdiff1d(np.flatnonzero(allowed[:, j]), j) for j in range(G)]
    candidates = [np.union1d(*lists) for lists in zip(screen(score, N_CANDIDATES), likely, strict=True)]
    return order, [c[allowed[c, j]] for j, c in enumerate(candidates)]


def _judge(
    kind: ScoredKind,
    design: Design,
    score: ShiftScore,
    state: OrderSearch,
    evidence: Evidence,
    background: float | None,
    *,
    doubts: bool,
    hidden: bool,
) -> Judged:
    """What a graph teaches of the prior, with `doubts` how far its covariances can be trusted, with `hidden` what they leave."""
    learned, order = learn_prior(score, evidence, background=background), np.array(state.order)
    if not doubts:
        return Judged(learned, order)
    slope_sd = learn_slopes(score, evidence, state.parents, learned.background_sd)
    learned, parents = replace(learned, slope_sd=slope_sd), dict(state.parents)
    same = kind.score(score.moments, design, learned.trusting(total_evidence(score, evidence, parents)[1]))
    given = evidence_given(same, parents)
    return Judged(learned, order, *total_evidence(same, given, parents), hidden and explains_all(same, given, parents))


class _Searcher:
    """Searches of `find_hidden`, which hand on the prior that they learn."""

    def __init__(
        self,
        design: Design,
        prior: Prior,
        kind: ScoredKind,
        candidates: list[np.ndarray],
        background: float | None,
        rng: np.random.Generator,
        watch: Watch,
    ) -> None:
        self.design, self.prior, self.learned, self.kind, self.background = design, prior, prior, kind, background
        self.candidates, self.rng, self.watch = candidates, rng, watch

    def __call__(self, moments: Moments, cells: float, order: np.ndarray | None) -> Graphed:
        """From an order, or from none and the prior that nothing is learned of; see `find_hidden.Search`."""
        if order is None:
            self.learned = self.prior
        score = self.kind.score(moments, self.design, self.learned.trusting(cells))
        first = eliminate(score, self.watch)[0] if order is None else order
        state = search(Parents(score, self.candidates), rng=self.rng, order=first, n_kicks=0, watch=self.watch)
        evidence = evidence_given(score, state.parents)
        self.learned = learn_prior(score, evidence, background=self.background)
        return score, dict(state.parents), state.order, evidence

    def find_causes(self, moments: Moments, least: float) -> Found | None:
        """Noise of measurement or hidden causes, by which the graph has more than the `least` evidence."""
        noisy = find_measured(moments, self.design, self, least)
        return find_hidden(moments, self.design, self, least if noisy is None else noisy.evidence) or noisy


def _without_activities(
    moments: Moments, network: Network, state: OrderSearch, evidence: Evidence, best: Judged
) -> tuple[Moments, Judged]:
    """Moments without what regulators add to the covariance; the evidence of other moments is no longer compared with."""
    moments = take_out_activities(moments, network, effects_of(dict(state.parents), evidence))
    return moments, best if moments.hidden is None else best._replace(evidence=-np.inf)


def learn_structure(
    moments: Moments,
    design: Design,
    prior: Prior,
    *,
    rng: np.random.Generator,
    kind: ScoredKind = SHIFT,
    background: float | None = None,
    doubts: bool = False,
    hidden: bool = True,
    dense: bool = False,
    network: Network | None = None,
    n_kicks: int = 20,
    watch: Watch | None = None,
    enough: Callable[[ShiftScore, OrderSearch], bool] | None = None,
) -> Searched:
    """Order and parents under priors that are learned along the way, or what was found when the watch said that it is over.

    With `doubts`, it is learned how far the covariance within contexts can be trusted (`scgim._core.structure.misfit`),
    and systems of few genes that do not fit are tried with hidden causes (`scgim._core.structure.hidden`), unless
    `hidden` is False. Where a `network` is given, what its regulators add to the covariance is taken out after the
    first round (`scgim._core.learn.regulated`). Before the last search, which is the longest, `enough` is asked whether
    it can be left out.
    """
    watch = Watch() if watch is None else watch
    history: list[dict[str, Any]] = []
    few = moments.n_genes <= FEW_GENES
    plain = moments.mechanism.linear and doubts  # mechanisms whose covariance can be trusted less
    hidden = hidden and few and plain
    score = kind.score(moments, design, prior.trusting(START_CELLS if doubts else np.inf))
    order, candidates = start(score, watch)
    best: Judged | None = None
    misfits = False  # covariances of the graph before
    for round_ in range(N_ROUNDS):
        last, chooser = round_ == N_ROUNDS - 1, Parents(score, candidates)
        report, kicks, thorough = _report(watch, f"search {round_ + 1}", history), n_kicks if last else 0, last or few
        state = search(
            chooser, rng=rng, order=order, n_kicks=kicks, thorough=thorough, dense=dense, progress=report, watch=watch
        )
        report(state.total)
        if last:
            break
        evidence = evidence_given(score, state.parents)
        found = _judge(kind, design, score, state, evidence, background, doubts=doubts, hidden=hidden)
        if best is None or not doubts or found.evidence > best.evidence:
            best = found
        if watch.over():
            score = kind.score(moments, design, found.trusting())
            break
        if round_ == 0 and network is not None and plain:
            moments, best = _without_activities(moments, network, state, evidence, best)
        if round_ and hidden and moments.hidden is None and misfits and not best.complete:
            searcher = _Searcher(design, prior, kind, candidates, background, rng, watch)
            if causes := searcher.find_causes(moments, best.evidence):
                moments, best = causes.moments, best._replace(order=causes.order, cells=causes.cells)
        order, misfits = best.order, bool(np.isfinite(found.cells))
        # where mechanisms seem to misfit, the graph may be wrong instead: the second round trusts all cells, unless means misfit, too
        score = kind.score(moments, design, best.trusting(None if round_ or best.prior.slope_sd else np.inf))
        if round_ and enough is not None and enough(score, state):
            break
        if not few:
            candidates = widen(score, candidates, state.parents)
    return Searched(score, chooser, state, history)
