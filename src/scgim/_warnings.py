"""Warnings that point at the line of the user, however many functions of the package lie between."""

import sys
import warnings
from pathlib import Path

PACKAGE = str(Path(__file__).parent)
BETWEEN = tuple(f"{part}site-packages{part}{name}{part}" for part in ("/", "\\") for name in ("scvi", "lightning"))
"""Parts of the paths of packages that call functions of this one."""


def warn_user(message: str) -> None:
    """Warn at the first line of the call stack that is neither of this package nor of one that calls it.

    Parameters
    ----------
    message
        What is to be known, with the argument that it is about at the start.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _ours(frame.f_code.co_filename):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)


def _ours(path: str) -> bool:
    return path.startswith(PACKAGE) or any(part in path for part in BETWEEN)
