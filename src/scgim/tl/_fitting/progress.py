"""One display for both stages of a fit, in place of the messages of several libraries."""

import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from numba.core import event

Report = Callable[[str, float], None]

LOG_EVERY = 10.0  # seconds between two lines of a log
SHORTEST = 2.0  # seconds that a part takes whose time left is told
COMPILING = "fitting: compiling for the first fit of this kind, about a minute; kept for later ones"

LOGGERS = (
    "lightning.pytorch",
    "lightning.fabric",
    "lightning.pytorch.utilities.rank_zero",
    "lightning.fabric.utilities.seed",
)
"""Loggers that announce seeds, devices and products."""


@contextmanager
def display(*, show: bool | None) -> Iterator[tuple[Report, list[Any]]]:
    """Show what a fit is doing, on one line, or in lines of a log where there is no terminal.

    Parameters
    ----------
    show
        ``None`` shows it unless ``scvi.settings.verbosity`` is above that of information.

    Yields
    ------
    A function that the search calls with its stage and score, and callbacks for the Lightning trainer.
    """
    with _quiet():
        if show is False or (show is None and _is_silenced()):
            yield _silent, []
        elif _in_notebook():
            yield from _in_cell()
        elif sys.stderr.isatty():
            yield from _in_terminal()
        else:
            yield from _in_log()


def _is_silenced() -> bool:
    """Whether scvi-tools was told to be silent."""
    import scvi

    return int(scvi.settings.verbosity) > logging.INFO


@contextmanager
def _quiet() -> Iterator[None]:
    """Only warnings of Lightning, and none about its own internals."""
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    try:
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*LeafSpec.*")
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _silent(stage: str, value: float) -> None:
    """Shows nothing."""


def _in_terminal() -> Iterator[tuple[Report, list[Any]]]:
    """A spinner that is gone at the end."""
    from rich.console import Console

    with Console(stderr=True).status("fitting") as status:
        teller = Teller(status.update)
        with _telling_of_compilation(teller):
            yield teller, [_callback(teller)]


def _in_log() -> Iterator[tuple[Report, list[Any]]]:
    """A line of the error stream every ten seconds; none of what is over sooner, unless something is compiled."""
    teller = Teller(lambda text: sys.stderr.write(f"{text}\n"), every=LOG_EVERY, first=LOG_EVERY)
    with _telling_of_compilation(teller):
        yield teller, [_callback(teller)]


def _in_cell() -> Iterator[tuple[Report, list[Any]]]:
    """A line of output of a notebook cell."""
    from IPython.display import display as show

    start = perf_counter()
    handle = show({"text/plain": "fitting"}, raw=True, display_id=True)

    def update(text: str) -> None:
        handle.update({"text/plain": text}, raw=True)

    teller = Teller(update)
    with _telling_of_compilation(teller):
        yield teller, [_callback(teller)]
    update(f"fitted in {perf_counter() - start:.0f} s")


@contextmanager
def _telling_of_compilation(teller: "Teller") -> Iterator[None]:
    """Say so while numba compiles what it has not on the disk: the first fit seems to stand still."""

    class Listener(event.Listener):
        depth, since = 0, 0.0  # compiling a function compiles those that it calls

        def on_start(self, event: Any) -> None:
            self.depth += 1
            if self.depth == 1:
                self.since = perf_counter()
                teller.compiles()

        def on_end(self, event: Any) -> None:
            self.depth -= 1
            if self.depth == 0:
                teller.leave_out(perf_counter() - self.since)

    with event.install_listener("numba:compile", Listener()):
        yield


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    return shell is not None and type(shell.get_ipython()).__name__ == "ZMQInteractiveShell"


class Teller:
    """What a fit is doing: its stage, the share that is done of a part whose length is known, and the time left for that.

    Parameters
    ----------
    update
        Shows a text.
    every
        Seconds between two texts, at the least.
    first
        Seconds before the first one.
    """

    def __init__(self, update: Callable[[str], Any], *, every: float = 0.1, first: float = 0.0) -> None:
        self.update, self.every = update, every
        self.next = perf_counter() + first
        self.began: dict[str, float] = {}  # parts, and when their present run began
        self.objective = ""
        self.told_of_compilation = False

    def compiles(self) -> None:
        """Code is being compiled: shown at once, and once."""
        if not self.told_of_compilation:
            self.told_of_compilation = True
            self.next = perf_counter() + self.every
            self.update(COMPILING)

    def leave_out(self, seconds: float) -> None:
        """Seconds of the present parts that say nothing of the time left."""
        self.began = {stage: began + seconds for stage, began in self.began.items()}

    def __call__(self, stage: str, value: float) -> None:
        """A stage and its score, zero where it has none."""
        self.objective = f", objective {value:.6g}" if value else ""
        self.tell(f"fitting: {stage}{self.objective}")

    def share(self, stage: str, done: int, total: int) -> None:
        """So much of a part of a stage is done."""
        now = perf_counter()
        if done <= 1 or stage not in self.began:
            self.began[stage] = now
        text = f"fitting: {stage}: {done} of {total} ({done / max(total, 1):.0%})"
        spent = now - self.began[stage]
        if 0 < done < total and spent * total / done > SHORTEST:
            text += f", about {spent * (total - done) / done:.0f} s left"
        self.tell(text + self.objective)

    def tell(self, text: str) -> None:
        """Shows a text where it is time."""
        now = perf_counter()
        if now >= self.next:
            self.next = now + self.every
            self.update(text)


def _callback(teller: Teller) -> Any:
    """A Lightning callback that reports epochs."""
    from lightning.pytorch.callbacks import Callback

    class ReportEpochs(Callback):
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            loss = trainer.callback_metrics.get("train_loss_epoch", trainer.callback_metrics.get("train_loss"))
            teller.objective = "" if loss is None else f", loss {float(loss):.4g}"
            teller.share("epochs", trainer.current_epoch + 1, trainer.max_epochs)

    return ReportEpochs()
