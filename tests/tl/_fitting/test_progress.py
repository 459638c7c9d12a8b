"""What is shown of a fit that runs."""

import io
import sys

import scvi
from numba.core import event

from scgim.tl._fitting import progress as _progress
from scgim.tl._fitting.progress import Teller, display


class Clock:
    """Seconds that are set by hand."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(_progress, "perf_counter", lambda: self.now)


def test_share_and_time_left_are_those_of_the_work(monkeypatch):
    clock, seen = Clock(monkeypatch), []
    teller = Teller(seen.append)
    for done in range(1, 11):
        clock.now = 3.0 * (done - 1)
        teller.share("search 1, a sweep over genes", done, 10)
    assert seen[0] == "fitting: search 1, a sweep over genes: 1 of 10 (10%)"
    assert seen[4] == "fitting: search 1, a sweep over genes: 5 of 10 (50%), about 12 s left"
    assert seen[-1].endswith("10 of 10 (100%)")


def test_short_parts_tell_no_time_and_scores_are_told(monkeypatch):
    clock, seen = Clock(monkeypatch), []
    teller = Teller(seen.append)
    teller("search 2", -1234.5)
    for done in (1, 2):
        clock.now += 0.2
        teller.share("first order", done, 4)
    assert seen[0] == "fitting: search 2, objective -1234.5"
    assert seen[-1] == "fitting: first order: 2 of 4 (50%), objective -1234.5"


def test_a_log_gets_a_line_every_ten_seconds(monkeypatch):
    clock, stream = Clock(monkeypatch), io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with display(show=True) as (report, callbacks):
        assert len(callbacks) == 1
        for second in range(31):
            clock.now = float(second)
            report("search 1", -5.0)
    assert stream.getvalue().splitlines() == ["fitting: search 1, objective -5"] * 3


def test_silence_is_kept(monkeypatch):
    clock, stream = Clock(monkeypatch), io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(scvi.settings, "verbosity", 30)
    for show in (False, None):
        with display(show=show) as (report, callbacks):
            clock.now += 1000.0
            report("search 1", -5.0)
            assert callbacks == []
    assert stream.getvalue() == ""


def test_compilation_is_told_at_once_and_once(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with display(show=True):
        for _ in range(2):
            event.start_event("numba:compile")
            event.end_event("numba:compile")
    event.start_event("numba:compile")  # of others, afterwards
    assert stream.getvalue().splitlines() == [_progress.COMPILING]


def test_compilation_is_not_part_of_the_time_left(monkeypatch):
    clock, stream = Clock(monkeypatch), io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with display(show=True) as (report, _):
        report.share("a sweep", 1, 20)
        event.start_event("numba:compile")
        clock.now = 60.0
        event.end_event("numba:compile")
        clock.now = 72.0
        report.share("a sweep", 2, 20)
    assert stream.getvalue().splitlines()[-1].endswith("2 of 20 (10%), about 108 s left")
