"""When a search has to end before it is done, and how far it is (layer `_core`)."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

Progress = Callable[[str, float], None]
"""Called with a stage and its score. One that also has a method ``share(stage, done, total)`` is told how far a stage is."""
TIMEOUT, INTERRUPT = "timeout", "interrupt"


class Watch:
    """Ends a search at a time or at Ctrl-C, between two moves, so that what was found until then stands.

    Parameters
    ----------
    seconds
        That the search may take from now on; None for as long as it needs.
    progress
        Told of stages.

    Attributes
    ----------
    stopped
        Why the search ended early: ``"timeout"`` or ``"interrupt"``; None as long as it did not.
    """

    def __init__(self, seconds: float | None = None, progress: Progress | None = None) -> None:
        self.ends = None if seconds is None else monotonic() + seconds
        self.progress, self.stage = progress, "search"
        self.stopped: str | None = None
        self._share: Any = getattr(progress, "share", None)

    def over(self) -> bool:
        """Whether the search has to end now."""
        if self.stopped is None and self.ends is not None and monotonic() >= self.ends:
            self.stopped = TIMEOUT
        return self.stopped is not None

    def tell(self, stage: str, score: float) -> None:
        """Reports the score of a stage."""
        self.stage = stage
        if self.progress is not None:
            self.progress(stage, score)

    def share(self, what: str, done: int, total: int) -> None:
        """Reports how much of a part of the present stage, whose length is known, is done."""
        if self._share is not None:
            self._share(f"{self.stage}, {what}", done, total)

    @property
    def mark(self) -> dict[str, str]:
        """What the settings of a fit say of a search that ended early; nothing of one that is done."""
        return {} if self.stopped is None else {"stopped": self.stopped}

    @contextmanager
    def catching(self) -> Iterator[None]:
        """Takes the first Ctrl-C as the wish to end; the second one is a KeyboardInterrupt, as usual.

        Signals reach the main thread alone: in other threads nothing is changed.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGINT)

        def interrupt(number: int, frame: Any) -> None:
            if self.stopped is not None and callable(before):
                before(number, frame)
            self.stopped = INTERRUPT

        signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler if before is None else before)
