"""Searches that end early, with the best so far."""

import os
import signal
import threading
from itertools import count

import numpy as np
import pytest

from scgim._core.learn import fit_search as door
from scgim._core.learn.fit_search import fit_search
from scgim._core.moments.moments import compute_moments
from scgim._core.structure import watch as module
from scgim._core.structure.order import search
from scgim._core.structure.parents import Parents
from scgim._core.structure.prior import Prior
from scgim._core.structure.score import ShiftScore
from scgim._core.structure.screening import screen
from scgim._core.structure.watch import INTERRUPT, TIMEOUT, Watch


def make_score(study) -> ShiftScore:
    moments = study.moments()
    return ShiftScore(moments, study.design.drug_set, study.design.group, Prior.default(moments.n_genes))


class Bounded(Watch):
    """Over after being asked so often, without a clock."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.left = most

    def over(self) -> bool:
        self.left -= 1
        if self.left < 0:
            self.stopped = TIMEOUT
        return super().over()


def test_the_clock_decides(monkeypatch):
    now = count(100.0)
    monkeypatch.setattr(module, "monotonic", lambda: next(now))
    watch = Watch(2.5)  # made at 100
    assert [watch.over() for _ in range(4)] == [False, False, True, True]
    assert watch.mark == {"stopped": TIMEOUT}
    assert not Watch().over() and Watch().mark == {}


def test_every_end_leaves_a_state_that_is_consistent_and_later_ones_are_better(make_study):
    study = make_study(n_genes=12, n_drugs=6, seed=2)
    score, totals = make_score(study), []
    for most in (0, 5, 15, 40, 100, 10**9):
        chooser = Parents(score, screen(score, 40))
        state = search(chooser, rng=np.random.default_rng(0), n_kicks=3, watch=Bounded(most))
        place = np.argsort(state.order)
        for g, parents in state.parents.items():
            assert all(place[x] < place[g] for x in parents)
            assert state.value[g] == pytest.approx(
                score.score_sets(g, np.array([parents], dtype=int).reshape(1, -1))[0]
            )
        totals.append(state.total)
    assert totals == sorted(totals) and totals[0] < totals[-1]


@pytest.mark.parametrize("intervention", ["shift", "activity", "auto", "cyclic"])
@pytest.mark.parametrize("most", [0, 30])
def test_a_fit_that_ended_early_is_whole_and_marked(make_study, intervention, most, monkeypatch):
    monkeypatch.setattr(door, "Watch", lambda *_: Bounded(most))
    study, G = make_study(n_genes=8, n_drugs=4, seed=1), 8
    pool = None if intervention in ("shift", "cyclic") else np.arange(len(study.design.dose))
    asked = {"structure": "cyclic"} if intervention == "cyclic" else {"intervention": intervention}
    moments = compute_moments(lambda: iter([(study.cells, study.context)]), len(study.design.dose), pool=pool)
    fit = fit_search(moments, study.design, genes=[f"g{j}" for j in range(G)], **asked)
    assert fit.settings["stopped"] == TIMEOUT
    assert np.isfinite(fit.graph.weights).all() and np.isfinite(fit.of_context.mean).all()
    assert ((fit.graph.probability >= 0) & (fit.graph.probability <= 1)).all()


def test_a_fit_that_is_done_is_not_marked(study):
    fit = fit_search(study.moments(), study.design, genes=study.genes, timeout=1e6)
    assert "stopped" not in fit.settings


def test_the_first_interrupt_ends_and_the_second_one_breaks_off():
    before, watch = (
        signal.signal(signal.SIGINT, signal.default_int_handler),
        Watch(),
    )  # a shell in the background ignores it
    try:
        with pytest.raises(KeyboardInterrupt), watch.catching():
            os.kill(os.getpid(), signal.SIGINT)
            assert watch.over() and watch.stopped == INTERRUPT
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_leave_signals_alone():
    before, seen = signal.getsignal(signal.SIGINT), []

    def run():
        with Watch().catching():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [before]


def test_shares_reach_their_whole(study):
    class Shown:
        def __init__(self):
            self.parts = {}

        def __call__(self, stage, score):
            assert np.isfinite(score)

        def share(self, stage, done, total):
            assert 0 <= done <= total
            self.parts[stage] = done / total

    shown = Shown()
    fit_search(study.moments(), study.design, genes=study.genes, progress=shown)
    assert shown.parts["search, first order"] == 1
    assert shown.parts["search 3, a sweep over genes"] == 1
    assert shown.parts["search 3, orders drawn for edges"] == 1
