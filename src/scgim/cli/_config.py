"""Options of commands from a file."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cyclopts import App, CycloptsError

from scgim.cli._console import InputError

OPTION = "--config"


@contextmanager
def configured(app: App, arguments: list[str]) -> Iterator[None]:
    """The application with the options of the file that the command line names, if it names one.

    A file has one table for each command (``[fit]``), whose keys are the options without the dashes in front, so that one file serves a whole
    analysis. What stands on the command line comes first; an option that a command does not have is an error.

    Parameters
    ----------
    app
        The application.
    arguments
        What was typed.
    """
    path = _named(arguments)
    before = app.config
    if path is not None:
        app.config = (_reader(path),)
    try:
        yield
    except CycloptsError as error:
        text = str(error)
        if path is None or str(path) not in text:
            raise
        raise InputError(f"{OPTION}: {text}") from error
    finally:
        app.config = before


def _named(arguments: list[str]) -> Path | None:
    """The file that is named, after the option or after an equals sign."""
    for k, word in enumerate(arguments):
        if word.startswith(OPTION + "="):
            return Path(word.partition("=")[2])
        if word == OPTION and k + 1 < len(arguments):
            return Path(arguments[k + 1])
    return None


def _reader(path: Path) -> Any:
    from cyclopts.config import Toml, Yaml

    if not path.is_file():
        raise InputError(f"{OPTION} {path}: no such file.")
    kinds: dict[str, Any] = {".toml": Toml, ".yaml": Yaml, ".yml": Yaml}
    if path.suffix not in kinds:
        raise InputError(f"{OPTION} {path}: expected a file that ends in {', '.join(kinds)}.")
    _check(path)
    return kinds[path.suffix](path, must_exist=True)


def _check(path: Path) -> None:
    """A sentence where the file cannot be read."""
    text = path.read_text(encoding="utf-8")
    try:
        if path.suffix == ".toml":
            import tomllib

            tomllib.loads(text)
        elif "yaml" in sys.modules or _has_yaml():
            import yaml

            yaml.safe_load(text)
    except Exception as error:
        raise InputError(f"{OPTION} {path}: cannot be read ({str(error).splitlines()[0]}).") from error


def _has_yaml() -> bool:
    from importlib.util import find_spec

    if find_spec("yaml") is None:
        raise InputError(f"{OPTION}: reading YAML needs PyYAML (pip install pyyaml); TOML needs nothing.")
    return True
