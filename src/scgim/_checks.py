"""Checks of arguments, for every public function, before anything is read or written.

A function says what its arguments may be::

    @checked(adata=FITTED, key=TEXT, min_probability=number(0, 1), rng=SEED)
    def targets(adata, *, key="scgim", min_probability=0.0, rng=0): ...

Every message names the argument, what is expected, what was found, and what to do.
"""

import functools
import inspect
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from numbers import Integral
from operator import attrgetter
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
Check = Callable[[str, Any], None]
MOST_SEED = 2**32


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
        shown = [k for k in by_place if k in known]
        return f"{name}(): only {shown} may be given without a name, found {len(args)} values; name the others, such as {rest}."
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


def _found(value: Any) -> str:
    """The value where it is short, else its type."""
    text = (
        repr(value) if isinstance(value, str | int | float | None | tuple | list) or _of_numpy(value, "generic") else ""
    )
    return text if 0 < len(text) <= 60 else type(value).__name__


def or_none(check: Check) -> Check:
    """The same, or None."""

    def maybe(name: str, value: Any) -> None:
        if value is not None:
            check(name, value)

    return maybe


def _of_numpy(value: Any, *names: str) -> bool:
    """Whether a value is of these classes of numpy, which is not imported for this: the command line starts without it."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, tuple(attrgetter(name)(numpy) for name in names))


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool) or _of_numpy(value, "bool_")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or _of_numpy(value, "integer", "floating")


def _is_whole(value: Any) -> bool:
    return _is_number(value) and isinstance(value, Integral) and not isinstance(value, bool)


def count(low: int = 1, high: int | None = None) -> Check:
    """A whole number of at least `low`."""
    limits = f"of at least {low}" if high is None else f"between {low} and {high}"

    def check(name: str, value: Any) -> None:
        if not _is_whole(value):
            error = ValueError if _is_number(value) and not isinstance(value, Integral) else TypeError
            raise error(f"{name}: expected a whole number {limits}, found {_found(value)}.")
        if value < low or (high is not None and value > high):
            raise ValueError(f"{name}: expected a whole number {limits}, found {value}.")

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
        if _is_bool(value) or not _is_number(value):
            raise TypeError(f"{name}: expected a number{limits}, found {_found(value)}.")
        if not math.isfinite(value) or value < low or value > high or (above and value <= low):
            raise ValueError(f"{name}: expected a number{limits}, found {value!r}.")

    return check


def pair(name: str, value: Any) -> None:
    """Two finite numbers."""
    if isinstance(value, str | bytes | Mapping) or not hasattr(value, "__len__") or len(value) != 2:
        raise TypeError(f"{name}: expected two numbers, found {_found(value)}.")
    for entry in value:
        number()(name, entry)


def as_declared(annotation: str, *, positive: bool = False) -> Check:
    """What a simple annotation says: a boolean, a whole number or a number, at least zero; of others nothing is known."""

    def check(name: str, value: Any) -> None:
        said = annotation.replace("<class '", "").replace("'>", "")
        if value is None and "None" in said:
            return
        if said.startswith("bool"):
            FLAG(name, value)
        elif said.startswith("int"):
            count(1 if positive else 0)(name, value)
        elif said.startswith("tuple[float, float]") or (
            "tuple[float, float]" in said and isinstance(value, tuple | list)
        ):
            pair(name, value)
        elif said.startswith("float"):
            number(0, above=positive)(name, value)

    return check


def one_of(*allowed: Any, or_type: type | tuple[type, ...] | None = None) -> Check:
    """One of the values, or something of a type."""

    def check(name: str, value: Any) -> None:
        if or_type is not None and isinstance(value, or_type) and not isinstance(value, bool):
            return
        if not isinstance(value, str) and (or_type is None or not isinstance(value, or_type)):
            raise TypeError(f"{name}: expected one of {list(allowed)}, found {_found(value)}.")
        if value not in allowed:
            raise ValueError(
                f"{name}: expected one of {list(allowed)}, found {_found(value)}{did_you_mean(value, allowed)}."
            )

    return check


def some_of(*allowed: str) -> Check:
    """One of the names, or a list of them."""

    def check(name: str, value: Any) -> None:
        NAMES(name, value)
        for entry in [value] if isinstance(value, str) else value:
            if entry not in allowed:
                raise ValueError(
                    f"{name}: unknown {entry!r}; expected some of {list(allowed)}{did_you_mean(entry, allowed)}."
                )

    return check


def DOSE(name: str, value: Any) -> None:
    """A dose of a picture or table."""
    if isinstance(value, str) and value in ("highest", "all"):
        return
    if isinstance(value, bool) or not _is_number(value):
        error = ValueError if isinstance(value, str) else TypeError
        raise error(f"{name}: expected 'highest', 'all' or a number, found {_found(value)}.")
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{name}: expected 'highest', 'all' or a number of at least 0, found {value!r}.")


def MAPPING(name: str, value: Any) -> None:
    """A dict with names as keys."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name}: expected a dict of settings, found {_found(value)}.")
    wrong = [key for key in value if not isinstance(key, str)]
    if wrong:
        raise TypeError(f"{name}: expected a dict whose keys are names, found the key {_found(wrong[0])}.")


def DEVICES(name: str, value: Any) -> None:
    """How many devices, or which."""
    if isinstance(value, str):
        if value == "auto" or all(part.strip().lstrip("-").isdecimal() for part in value.split(",")):
            return
        raise ValueError(f"{name}: expected 'auto', a number of devices or a list of them, found {value!r}.")
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError(f"{name}: expected 'auto', a number of devices or a list of them, found an empty list.")
        for entry in value:
            count(0)(name, entry)
        return
    if not _is_whole(value):
        raise TypeError(f"{name}: expected 'auto', a number of devices or a list of them, found {_found(value)}.")
    if value < 1 and value != -1:
        raise ValueError(f"{name}: expected at least 1 device, or -1 for all of them, found {value}.")


def LABEL(name: str, value: Any) -> None:
    """A label in a column: text, or a number or boolean that is one there."""
    if not isinstance(value, str) and not _is_bool(value) and not _is_number(value):
        raise TypeError(f"{name}: expected the label of one value in the column, found {_found(value)}.")
    if isinstance(value, str) and not value:
        raise ValueError(f"{name}: expected a label, found empty text; give those cells a name.")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name}: expected a label, found {value!r}; give cells without a label a name.")


def COLUMNS(name: str, value: Any) -> None:
    """One column or several, all named differently."""
    NAMES(name, value)
    if isinstance(value, str):
        return
    names = list(value)
    if not names:
        raise ValueError(f"{name}: expected the name of a column, or a list of them, found an empty list.")
    twice = sorted({entry for entry in names if names.count(entry) > 1})
    if twice:
        raise ValueError(f"{name}: expected every column once, found {twice} more than once.")


def FLAG(name: str, value: Any) -> None:
    """True or False."""
    if not _is_bool(value):
        raise TypeError(f"{name}: expected True or False, found {_found(value)}.")


def TEXT(name: str, value: Any) -> None:
    """Text that is not empty."""
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected text, found {_found(value)}; give one name in quotes.")
    if not value:
        raise ValueError(f"{name}: expected text, found empty text; leave it out for the default.")


def KEY(name: str, value: Any) -> None:
    """A key of an object that every format can hold."""
    TEXT(name, value)
    if "/" in value:
        raise ValueError(f"{name}: expected text without '/', which cannot be stored, found {value!r}.")


def NAMES(name: str, value: Any) -> None:
    """A name, or a list of names."""
    if isinstance(value, str):
        return TEXT(name, value)
    if isinstance(value, Mapping | bytes | Iterator) or not isinstance(value, Iterable):
        raise TypeError(f"{name}: expected a name or a list of names, found {_found(value)}.")
    wrong = [entry for entry in value if not isinstance(entry, str)]
    if wrong:
        mend = (
            "; columns are named by text: adata.obs.columns = adata.obs.columns.astype(str)"
            if name.endswith(("_key", "_keys"))
            else ""
        )
        raise TypeError(f"{name}: expected names as text, found {_found(wrong[0])} among them{mend}.")
    return None


def PATH(name: str, value: Any) -> None:
    """A path."""
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name}: expected a path, found {_found(value)}.")
    if not os.fspath(value):
        raise ValueError(f"{name}: expected a path, found empty text.")


def SEED(name: str, value: Any) -> None:
    """A seed, a numpy Generator, or None."""
    if value is None or _of_numpy(value, "random.Generator"):
        return
    if _of_numpy(value, "random.RandomState"):
        raise TypeError(
            f"{name}: expected a whole number, a numpy Generator or None, found a RandomState; use numpy.random.default_rng(seed)."
        )
    if not _is_whole(value):
        raise TypeError(f"{name}: expected a whole number, a numpy Generator or None, found {_found(value)}.")
    if not 0 <= value < MOST_SEED:
        raise ValueError(f"{name}: expected a whole number between 0 and 2**32 - 1, found {value}.")


def TABLE(name: str, value: Any) -> None:
    """A DataFrame."""
    if not (hasattr(value, "columns") and hasattr(value, "iloc")):
        raise TypeError(
            f"{name}: expected a pandas DataFrame, found {_found(value)}; use pandas.DataFrame({{column: values}})."
        )


def FUNCTION(name: str, value: Any) -> None:
    """Something that can be called."""
    if not callable(value):
        raise TypeError(f"{name}: expected a function, found {_found(value)}.")


def AXES(name: str, value: Any) -> None:
    """Axes of matplotlib."""
    if not (hasattr(value, "plot") and hasattr(value, "transAxes")):
        raise TypeError(
            f"{name}: expected one matplotlib Axes, found {_found(value)}; make one with matplotlib.pyplot.subplots()[1]."
        )


def _is_model(value: Any) -> bool:
    return hasattr(value, "get_targets") and hasattr(value, "module")


def ANNDATA(name: str, value: Any) -> None:
    """An AnnData with cells and genes."""
    if _is_model(value):
        raise TypeError(f"{name}: expected an AnnData, found a model; pass its data, model.adata.")
    if hasattr(value, "mod"):
        raise TypeError(
            f"{name}: expected an AnnData, found a MuData; pass one of its modalities, such as mdata.mod[name]."
        )
    if not all(hasattr(value, part) for part in ("obs", "var", "uns", "obs_names")):
        raise TypeError(f"{name}: expected an AnnData, found {_found(value)}; read files with anndata.read_h5ad.")
    if value.n_obs == 0 or value.n_vars == 0:
        raise ValueError(
            f"{name}: expected cells and genes, found shape {tuple(value.shape)}; check how it was subset."
        )


def DATA(name: str, value: Any) -> None:
    """An AnnData or MuData with cells and genes."""
    if _is_model(value):
        raise TypeError(f"{name}: expected an AnnData or a MuData, found a model; pass its data, model.adata.")
    if not all(hasattr(value, part) for part in ("obs", "var", "uns", "obs_names")):
        raise TypeError(
            f"{name}: expected an AnnData or a MuData, found {_found(value)}; read files with anndata.read_h5ad."
        )
    if value.n_obs == 0 or value.n_vars == 0:
        raise ValueError(
            f"{name}: expected cells and genes, found shape {tuple(value.shape)}; check how it was subset."
        )


def FITTED(name: str, value: Any) -> None:
    """An AnnData or MuData that a fit has written into."""
    if _is_model(value):
        raise TypeError(
            f"{name}: expected the AnnData or MuData that scgim.tl.fit has written into, found a model; pass that object, or "
            "use the methods of the model."
        )
    if not all(hasattr(value, part) for part in ("obs", "var", "uns", "obs_names")):
        raise TypeError(
            f"{name}: expected the AnnData or MuData that scgim.tl.fit has written into, found {_found(value)}."
        )


def MODEL(name: str, value: Any) -> None:
    """A model."""
    if _is_model(value):
        return
    mend = "use the model that scgim.tl.fit returns, or scgim.model.GIM.load(path)"
    raise TypeError(f"{name}: expected a scgim.model.GIM, found {_found(value)}; {mend}.")
