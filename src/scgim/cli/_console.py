"""Output of the commands: everything goes through one rich console."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from scgim._warnings import OF_MUDATA


class InputError(Exception):
    """What the user gave cannot be used; the message says why and what to do."""


AS_JSON: ContextVar[bool] = ContextVar("AS_JSON", default=False)
"""Whether standard output holds one JSON object, and what is for people goes to the standard error."""


def console() -> Any:
    """Where lines for people go."""
    return _console(stderr=AS_JSON.get())


@lru_cache(maxsize=2)
def _console(*, stderr: bool) -> Any:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


@lru_cache(maxsize=1)
def error_console() -> Any:
    """The console for errors."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(summary: Mapping[str, Any]) -> None:
    """One JSON object on standard output, if it was asked for."""
    import json
    import sys

    if AS_JSON.get():
        sys.stdout.write(json.dumps(summary, ensure_ascii=False, default=str) + "\n")


@contextmanager
def step(text: str, *, shows: bool = False) -> Iterator[None]:
    """A spinner with the text while something runs, then the text with the seconds it took; lines alone where there is no terminal.

    Parameters
    ----------
    text
        What runs.
    shows
        Whether it shows itself how far it is, so that a spinner would be in its way.
    """
    from time import perf_counter

    start = perf_counter()
    if console().is_terminal and not shows:
        with console().status(text):
            yield
    else:
        console().print(f"{text} ...", markup=False)
        yield
    console().print(f"[green]done[/] {text} [dim]({perf_counter() - start:.1f} s)[/]")


def load() -> None:
    """Import what all commands need, which takes some seconds, with a line that says so."""
    with step("importing scgim"):
        from scgim import tl  # noqa: F401
        from scgim.model import GIM  # noqa: F401

        _quiet()


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Warnings as one line of the standard error, without the line of code that they point at."""
    import warnings

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        error_console().print(f"warning: {' '.join(str(message).split())}", style="yellow", markup=False)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _quiet() -> None:
    """No log lines and adverts of the libraries between our lines."""
    import logging
    import warnings

    import scvi

    scvi.settings.verbosity = logging.ERROR
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    for text in (".*zarr v2.*", ".*LeafSpec.*", OF_MUDATA):
        warnings.filterwarnings("ignore", message=text)


def table(title: str, columns: list[str], rows: list[list[str]], *, left: int = 1) -> None:
    """Print a table; the first ``left`` columns are aligned left, the others right."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    result = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for k, name in enumerate(columns):
        result.add_column(name, justify="left" if k < left else "right", overflow="fold")
    for row in rows:
        result.add_row(*[escape(cell) for cell in row])
    console().print(result)
