"""One display for both stages of a fit, in place of the messages of several libraries."""

import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

Report = Callable[[str, float], None]

LOGGERS = (
    "lightning.pytorch",
    "lightning.fabric",
    "lightning.pytorch.utilities.rank_zero",
    "lightning.fabric.utilities.seed",
)
"""Loggers that announce seeds, devices and products."""


@contextmanager
def display(*, show: bool | None) -> Iterator[tuple[Report, list[Any]]]:
    """Show what a fit is doing, on one line.

    Parameters
    ----------
    show
        ``None`` shows it in terminals and notebooks, and not in files.

    Yields
    ------
    A function that the search calls with its stage and score, and callbacks for the Lightning trainer.
    """
    notebook = _in_notebook()
    with _quiet():
        if show is False or (show is None and not notebook and not sys.stderr.isatty()):
            yield _silent, []
        elif notebook:
            yield from _in_cell()
        else:
            yield from _in_terminal()


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
        yield _report(status.update), [_callback(status.update)]


def _in_cell() -> Iterator[tuple[Report, list[Any]]]:
    """A line of output of a notebook cell."""
    from IPython.display import display as show

    start = perf_counter()
    handle = show({"text/plain": "fitting"}, raw=True, display_id=True)

    def update(text: str) -> None:
        handle.update({"text/plain": text}, raw=True)

    yield _report(update), [_callback(update)]
    update(f"fitted in {perf_counter() - start:.0f} s")


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    return shell is not None and type(shell.get_ipython()).__name__ == "ZMQInteractiveShell"


def _report(update: Callable[[str], Any]) -> Report:
    """Passes on the stage and score of the search, some ten times a second at most."""
    last = [0.0]

    def report(stage: str, value: float) -> None:
        now = perf_counter()
        if now - last[0] > 0.1:
            last[0] = now
            update(f"fitting: {stage}, objective {value:.6g}" if value else f"fitting: {stage}")

    return report


def _callback(update: Callable[[str], Any]) -> Any:
    """A Lightning callback that reports epochs."""
    from lightning.pytorch.callbacks import Callback

    class ReportEpochs(Callback):
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            loss = trainer.callback_metrics.get("train_loss_epoch", trainer.callback_metrics.get("train_loss"))
            text = f"fitting: epoch {trainer.current_epoch + 1} of {trainer.max_epochs}"
            update(text if loss is None else f"{text}, loss {float(loss):.4g}")

    return ReportEpochs()
