"""What checks of arguments are made of: the decorator, numbers, choices, and what messages say (see `scgim._checks`)."""

import functools
import inspect
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from numbers import Integral
from operator import attrgetter
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
Check = Callable[[str, Any], None]
MOST_SEED = 2**32
MOST_COUNT = 2**53  # beyond, neither numpy nor files hold every whole number


class TooLargeError(MemoryError, ValueError):
    """What is asked for would need more memory than is allowed."""


class ExistsError(FileExistsError, ValueError):
    """A file or folder that would be written is there."""


class AbsentError(FileNotFoundError, ValueError):
    """A file or folder that an argument names is not there."""


def checked(**checks: Check) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator: check the arguments of a call by name, and name the near one where an argument is unknown.

    Parameters
    ----------
    **checks
        For each argument, a function of its name and value that raises if it is not as it should be.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        absent = set(checks) - set(signature.parameters)
        if absent:
            raise TypeError(f"checks: {function.__qualname__} has no arguments {sorted(absent)}.")

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                given = signature.bind(*args, **kwargs).arguments
            except TypeError as error:
                raise TypeError(_why_not_bound(function.__name__, signature, args, kwargs) or str(error)) from None
            for name, check in checks.items():
                if name in given:
                    check(name, given[name])
            return function(*args, **kwargs)

        return call

    return decorate


def _why_not_bound(
    name: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> str | None:
    """One sentence on a call whose arguments do not fit the signature."""
    known = {k: p for k, p in signature.parameters.items() if k not in ("self", "cls")}
    strange = [k for k in kwargs if k not in known]
    if strange:
        near = did_you_mean(strange[0], known)
        return f"{strange[0]}: is not an argument of {name}(){near or f'; expected some of {list(known)}'}."
    by_place = [k for k, p in signature.parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    if len(args) > len(by_place):
        rest = [k for k in known if k not in by_place][:3]
        allowed = [k for k in by_place if k in known]
        return f"{name}(): only {allowed} may be given without a name, found {len(args)} values; name the others, such as {rest}."
    missing = [k for k, p in known.items() if p.default is p.empty and k not in kwargs and p.kind not in (2, 4)]
    missing = [k for k in missing if k not in by_place[: len(args)]]
    return f"{missing[0]}: is missing; {name}() needs {missing}." if missing else None


def did_you_mean(value: Any, allowed: Iterable[Any]) -> str:
    """``"; did you mean 'x'?"`` without the question mark's sentence, or empty text where nothing is near."""
    names = [str(name) for name in allowed]
    near = get_close_matches(str(value), names, n=1, cutoff=0.6)
    if not near:
        folded = {name.casefold().strip(): name for name in names}
        near = [folded[k] for k in [str(value).casefold().strip()] if k in folded]
    return f"; did you mean {near[0]!r}" if near else ""


def shown(value: Any) -> str:
    """The value where it is short, else its type."""
    text = (
        repr(value) if isinstance(value, str | int | float | None | tuple | list) or of_numpy(value, "generic") else ""
    )
    return text if 0 < len(text) <= 60 else type(value).__name__


def or_none(check: Check) -> Check:
    """The same, or None."""

    def maybe(name: str, value: Any) -> None:
        if value is not None:
            check(name, value)

    return maybe


def of_numpy(value: Any, *names: str) -> bool:
    """Whether a value is of these classes of numpy, which is not imported for this: the command line starts without it."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, tuple(attrgetter(name)(numpy) for name in names))


def is_bool(value: Any) -> bool:
    return isinstance(value, bool) or of_numpy(value, "bool_")


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) or of_numpy(value, "integer", "floating")


def is_whole(value: Any) -> bool:
    return is_number(value) and isinstance(value, Integral) and not isinstance(value, bool)


def count(low: int = 1, high: int | None = None) -> Check:
    """A whole number of at least `low`."""
    limits = ("" if low < -MOST_SEED else f" of at least {low}") if high is None else f" between {low} and {high}"

    def check(name: str, value: Any) -> None:
        if not is_whole(value):
            error = ValueError if is_number(value) and not isinstance(value, Integral) else TypeError
            raise error(f"{name}: expected a whole number{limits}, found {shown(value)}.")
        if value < low or (high is not None and value > high):
            raise ValueError(f"{name}: expected a whole number{limits}, found {value}.")
        if abs(value) > MOST_COUNT:
            raise ValueError(f"{name}: expected a whole number{limits} that is not above 2**53, found {value}.")

    return check


def number(low: float = -math.inf, high: float = math.inf, *, above: bool = False) -> Check:
    """A finite number from `low` to `high`; `above`: more than `low`."""
    limits = {
        (False, False): "",
        (True, False): f" {'above' if above else 'of at least'} {low:g}",
        (True, True): f" {'above' if above else 'between'} {low:g} {'and at most' if above else 'and'} {high:g}",
        (False, True): f" of at most {high:g}",
    }[math.isfinite(low), math.isfinite(high)]

    def check(name: str, value: Any) -> None:
        if is_bool(value) or not is_number(value):
            raise TypeError(f"{name}: expected a number{limits}, found {shown(value)}.")
        if not math.isfinite(value) or value < low or value > high or (above and value <= low):
            raise ValueError(f"{name}: expected a number{limits}, found {value!r}.")

    return check


def pair(name: str, value: Any) -> None:
    """Two finite numbers."""
    listed = isinstance(value, list | tuple) or getattr(value, "ndim", 0) == 1
    if not listed or len(value) != 2:
        raise TypeError(f"{name}: expected two numbers, found {shown(value)}.")
    for entry in value:
        number()(name, entry)


def one_of(*allowed: Any, or_type: type | tuple[type, ...] | None = None) -> Check:
    """One of the values, or something of a type."""

    def check(name: str, value: Any) -> None:
        if or_type is not None and isinstance(value, or_type) and not isinstance(value, bool):
            return
        if not isinstance(value, str) and (or_type is None or not isinstance(value, or_type)):
            raise TypeError(f"{name}: expected one of {list(allowed)}, found {shown(value)}.")
        if value not in allowed:
            raise ValueError(
                f"{name}: expected one of {list(allowed)}, found {shown(value)}{did_you_mean(value, allowed)}."
            )

    return check
