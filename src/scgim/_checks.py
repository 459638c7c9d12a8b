"""Checks of arguments, for every public function, before anything is read or written.

A function says what its arguments may be::

    @checked(adata=FITTED, key=TEXT, min_probability=number(0, 1), rng=SEED)
    def targets(adata, *, key="scgim", min_probability=0.0, rng=0): ...

Every message names the argument, what is expected, what was found, and what to do.
"""

import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from scgim._check_basics import (
    MOST_SEED,
    AbsentError,
    Check,
    ExistsError,
    TooLargeError,
    checked,
    count,
    did_you_mean,
    is_bool,
    is_number,
    is_whole,
    number,
    of_numpy,
    one_of,
    or_none,
    pair,
    shown,
)

__all__ = [
    "ANNDATA",
    "AXES",
    "AbsentError",
    "COLUMNS",
    "Check",
    "DATA",
    "DEVICES",
    "DOSE",
    "ExistsError",
    "FITTED",
    "FLAG",
    "FUNCTION",
    "KEY",
    "LABEL",
    "LAYER",
    "MAPPING",
    "MODALITIES",
    "MODEL",
    "NAMES",
    "PATH",
    "SEED",
    "SOME_NAMES",
    "TABLE",
    "TEXT",
    "POPULATION",
    "TooLargeError",
    "as_declared",
    "checked",
    "count",
    "did_you_mean",
    "number",
    "one_of",
    "or_none",
    "pair",
    "some_of",
]


def DOSE(name: str, value: Any) -> None:
    """A dose of a picture or table."""
    if isinstance(value, str) and value in ("highest", "all"):
        return
    if isinstance(value, bool) or not is_number(value):
        error = ValueError if isinstance(value, str) else TypeError
        raise error(f"{name}: expected 'highest', 'all' or a number, found {shown(value)}.")
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{name}: expected 'highest', 'all' or a number of at least 0, found {value!r}.")


def MAPPING(name: str, value: Any) -> None:
    """A dict with names as keys."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name}: expected a dict of settings, found {shown(value)}.")
    wrong = [key for key in value if not isinstance(key, str)]
    if wrong:
        raise TypeError(f"{name}: expected a dict whose keys are names, found the key {shown(wrong[0])}.")


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
    if not is_whole(value):
        raise TypeError(f"{name}: expected 'auto', a number of devices or a list of them, found {shown(value)}.")
    if value < 1 and value != -1:
        raise ValueError(f"{name}: expected at least 1 device, or -1 for all of them, found {value}.")


def LAYER(name: str, value: Any) -> None:
    """A layer, or one of each modality; None is ``.X``."""
    if isinstance(value, str | None):
        return or_none(TEXT)(name, value)
    if not isinstance(value, Mapping):
        raise TypeError(f"{name}: expected the name of a layer, or a dict of names by modality, found {shown(value)}.")
    for key, entry in value.items():
        TEXT(f"{name}: key", key)
        or_none(TEXT)(f"{name}[{key!r}]", entry)
    return None


def MODALITIES(name: str, value: Any) -> None:
    """Which modality holds the column of each argument."""
    MAPPING(name, value)
    for entry in value.values():
        or_none(NAMES)(name, entry)


def LABEL(name: str, value: Any) -> None:
    """A label in a column: text, or a number or boolean that is one there."""
    if not isinstance(value, str) and not is_bool(value) and not is_number(value):
        several = isinstance(value, list | tuple | set)
        mend = "; give these cells one label in the column first" if several else ""
        raise TypeError(f"{name}: expected the label of one value in the column, found {shown(value)}{mend}.")
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
    if not is_bool(value):
        raise TypeError(f"{name}: expected True or False, found {shown(value)}.")


def TEXT(name: str, value: Any) -> None:
    """Text that is not empty."""
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected text, found {shown(value)}; give one name in quotes.")
    if not value:
        raise ValueError(f"{name}: expected text, found empty text; leave it out for the default.")


def KEY(name: str, value: Any) -> None:
    """A key of an object that every format can hold."""
    TEXT(name, value)
    if "/" in value:
        raise ValueError(f"{name}: expected text without '/', which cannot be stored, found {value!r}.")


def _renamed(name: str, value: Any) -> str:
    """What to do where columns are named by numbers."""
    mend = "; name columns by text: adata.obs.columns = adata.obs.columns.astype(str)"
    return mend if is_number(value) and name.endswith(("_key", "_keys")) else ""


def NAMES(name: str, value: Any) -> None:
    """A name, or a list of names."""
    if isinstance(value, str):
        return TEXT(name, value)
    listed = isinstance(value, Iterable) and not isinstance(value, Mapping | bytes | Iterator)
    if not listed or getattr(value, "ndim", 1) != 1 or hasattr(value, "obs_names"):
        raise TypeError(f"{name}: expected a name or a list of names, found {shown(value)}{_renamed(name, value)}.")
    wrong = [entry for entry in value if not isinstance(entry, str)]
    if wrong:
        raise TypeError(
            f"{name}: expected names as text, found {shown(wrong[0])} among them{_renamed(name, wrong[0])}."
        )
    return None


def SOME_NAMES(name: str, value: Any) -> None:
    """A name, or a list of at least one."""
    NAMES(name, value)
    if len(value) == 0:
        raise ValueError(f"{name}: expected at least one name, found an empty list.")


def POPULATION(name: str, value: Any) -> None:
    """Cells or means: a query, columns with their values, a mask, or a Series by gene."""
    if isinstance(value, str | Mapping) or getattr(value, "ndim", 0) == 1 and not hasattr(value, "obs_names"):
        return
    if not isinstance(value, list | tuple) or not all(is_bool(entry) for entry in value):
        raise TypeError(
            f"{name}: expected a query of .obs, a dict of columns, a boolean mask of cells or a Series by gene, found "
            f"{shown(value)}."
        )


def PATH(name: str, value: Any) -> None:
    """A path."""
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name}: expected a path, found {shown(value)}.")
    if not os.fspath(value):
        raise ValueError(f"{name}: expected a path, found empty text.")


def SEED(name: str, value: Any) -> None:
    """A seed, a numpy Generator, or None."""
    if value is None or of_numpy(value, "random.Generator"):
        return
    if of_numpy(value, "random.RandomState"):
        raise TypeError(
            f"{name}: expected a whole number, a numpy Generator or None, found a RandomState; use numpy.random.default_rng(seed)."
        )
    if not is_whole(value):
        raise TypeError(f"{name}: expected a whole number, a numpy Generator or None, found {shown(value)}.")
    if not 0 <= value < MOST_SEED:
        raise ValueError(f"{name}: expected a whole number between 0 and 2**32 - 1, found {value}.")


def TABLE(name: str, value: Any) -> None:
    """A DataFrame."""
    if not (hasattr(value, "columns") and hasattr(value, "iloc")):
        raise TypeError(
            f"{name}: expected a pandas DataFrame, found {shown(value)}; use pandas.DataFrame({{column: values}})."
        )


def FUNCTION(name: str, value: Any) -> None:
    """Something that can be called, and is not a class."""
    if not callable(value) or isinstance(value, type):
        raise TypeError(f"{name}: expected a function, found {shown(value)}.")


def AXES(name: str, value: Any) -> None:
    """Axes of matplotlib."""
    if not (hasattr(value, "plot") and hasattr(value, "transAxes")):
        raise TypeError(
            f"{name}: expected one matplotlib Axes, found {shown(value)}; make one with matplotlib.pyplot.subplots()[1]."
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
        raise TypeError(f"{name}: expected an AnnData, found {shown(value)}; read files with anndata.read_h5ad.")
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
            f"{name}: expected an AnnData or a MuData, found {shown(value)}; read files with anndata.read_h5ad."
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
            f"{name}: expected the AnnData or MuData that scgim.tl.fit has written into, found {shown(value)}."
        )
    check_loaded(name, value)


def check_loaded(name: str, data: Any) -> None:
    """Cells whose table is in memory."""
    if hasattr(data.obs, "to_memory"):
        raise TypeError(
            f"{name}: .obs is lazy, expected a DataFrame; load it with {name} = {name}.to_memory(), or read_h5ad(backed='r')."
        )


def MODEL(name: str, value: Any) -> None:
    """A model."""
    if _is_model(value):
        return
    mend = "use the model that scgim.tl.fit returns, or scgim.model.GIM.load(dir_path)"
    raise TypeError(f"{name}: expected a scgim.model.GIM, found {shown(value)}; {mend}.")


def as_declared(annotation: str, *, positive: bool = False, signed: bool = False) -> Check:
    """What a simple annotation says: a boolean, a whole number or a number; of others nothing is known.

    Numbers are at least zero, above it where `positive`, and any where `signed`.
    """
    least, low = (-math.inf, -sys.maxsize) if signed else (0.0, 1 if positive else 0)

    def check(name: str, value: Any) -> None:
        said = annotation.replace("<class '", "").replace("'>", "")
        if value is None and "None" in said:
            return
        if said.startswith("bool"):
            FLAG(name, value)
        elif said.startswith("int"):
            count(low)(name, value)
        elif said.startswith("tuple[float, float]"):
            pair(name, value)
        elif said.startswith("float") and not ("tuple" in said and isinstance(value, tuple | list)):
            number(least, above=positive and not signed)(name, value)

    return check


def some_of(*allowed: str) -> Check:
    """One of the names, or a list of them."""

    def check(name: str, value: Any) -> None:
        SOME_NAMES(name, value)
        for entry in [value] if isinstance(value, str) else value:
            if entry not in allowed:
                raise ValueError(
                    f"{name}: unknown {entry!r}; expected some of {list(allowed)}{did_you_mean(entry, allowed)}."
                )

    return check
