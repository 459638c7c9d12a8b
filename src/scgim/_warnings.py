"""Warnings that point at the line of the user, however many functions of the package lie between."""

import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGE = str(Path(__file__).parent)
BETWEEN = tuple(f"{part}site-packages{part}{name}{part}" for part in ("/", "\\") for name in ("scvi", "lightning"))
"""Parts of the paths of packages that call functions of this one."""
UNTREATED = frozenset(
    "control controls ctrl ctl dmso vehicle veh untreated unperturbed mock pbs nt ntc nontargeting nontarget negctrl negativecontrol "
    "scramble scrambled safetargeting unstim unstimulated nan none null na nodrug".split()
)
"""Names of controls, and of nothing, of their letters and digits alone."""


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


OF_MUDATA = r"From 0\.4 \.update"
"""How mudata announces that later versions do not pull columns up: they are read either way."""


@contextmanager
def quiet_mudata() -> Iterator[None]:
    """Without the notice of `OF_MUDATA`."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", OF_MUDATA, FutureWarning)
        yield


def reads_like_control(label: str) -> bool:
    """Whether a label is a usual name of untreated cells."""
    return "".join(filter(str.isalnum, label)).casefold() in UNTREATED


def warn_of_controls(drugs: Iterable[str], control: str) -> None:
    """Labels beside the control that are names of controls."""
    like = {drug.strip() for drug in drugs if reads_like_control(drug)}
    like = {drug for drug in like if drug.casefold() != control.strip().casefold()}
    if like:
        warn_user(
            f"control: {sorted(like)[:3]} read like controls, but are taken for drugs beside control={control!r}; if such cells are "
            f"untreated, give them the label {control!r}."
        )
