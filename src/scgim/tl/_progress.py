"""One display for both stages of a fit."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Report = Callable[[str, float], None]


@contextmanager
def display(*, show: bool | None) -> Iterator[tuple[Report, list[Any]]]:
    """Show what a fit is doing, on one line that is gone at the end.

    Parameters
    ----------
    show
        ``None`` shows it in terminals and notebooks, and not in files.

    Yields
    ------
    A function that the search calls with its stage and score, and callbacks for the Lightning trainer.
    """
    from rich.console import Console

    console = Console(stderr=not _in_notebook())
    if show is None:
        show = console.is_terminal or _in_notebook()
    if not show:
        yield _silent, []
        return
    with console.status("fitting") as status:

        def report(stage: str, value: float) -> None:
            status.update(f"{stage}: objective {value:.6g}" if value else stage)

        yield report, [_callback(status)]


def _silent(stage: str, value: float) -> None:
    """Shows nothing."""


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    return shell is not None and type(shell.get_ipython()).__name__ == "ZMQInteractiveShell"


def _callback(status: Any) -> Any:
    """A Lightning callback that reports epochs."""
    from lightning.pytorch.callbacks import Callback

    class ReportEpochs(Callback):
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            loss = trainer.callback_metrics.get("train_loss_epoch", trainer.callback_metrics.get("train_loss"))
            text = f"training: epoch {trainer.current_epoch + 1} of {trainer.max_epochs}"
            status.update(text if loss is None else f"{text}, loss {float(loss):.4g}")

    return ReportEpochs()
