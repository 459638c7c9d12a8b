"""Registered columns of `.obs`, from AnnData or from MuData whose columns may live in a modality (layer `model`)."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from scgim.model._reading.spec import Spec

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Source:
    """Where rows with the registered columns come from, as errors name it."""

    argument: str | None  # what the user passed; None: that through which each column was registered
    table: str  # what holds the columns
    units: str  # what mends doses that are text, of `{column}`

    def name(self, registered: str) -> str:
        """What errors name of a column that was registered through this argument."""
        return self.argument or registered


SET_UP = Source(None, "adata.obs", "Doses with units are read by scgim.pp.encode_doses(adata, {column!r}, unit=...).")
"""Cells that are registered."""
CELLS = Source("adata", SET_UP.table, SET_UP.units)
"""Cells that are given to a model."""


def table_of(argument: str) -> Source:
    """A table of what a model is asked for."""
    return Source(argument, argument, "Write doses as numbers of the unit of the fit.")


def _missing(argument: str, key: str, place: str, found: Iterable[str]) -> KeyError:
    found = list(found)
    if any(not isinstance(name, str) and str(name) == key for name in found):
        return KeyError(
            f"{argument}: column {key!r} is not in {place}, where the number {key} names a column; name columns by text: "
            "adata.obs.columns = adata.obs.columns.astype(str)."
        )
    names = [str(name) for name in found if not str(name).startswith("_scvi")]
    close = difflib.get_close_matches(key, names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return KeyError(f"{argument}: column {key!r} is not in {place}; found {names}.{hint}")


def _mudata_column(mdata: Any, argument: str, key: str, modality: str | None) -> pd.Series:
    """A column of the object itself, of the named modality, or of the modalities that hold it."""
    if modality is not None:
        obs = mdata.mod[modality].obs
        if key not in obs:
            raise _missing(argument, key, f"mdata[{modality!r}].obs", obs.columns)
        return obs[key]
    if key in mdata.obs:
        return mdata.obs[key]
    holders = [name for name in mdata.mod if key in mdata.mod[name].obs]
    if not holders:
        found = list(mdata.obs.columns) + [c for name in mdata.mod for c in mdata.mod[name].obs.columns]
        raise _missing(argument, key, "mdata.obs or the .obs of a modality", dict.fromkeys(found))
    first = mdata.mod[holders[0]].obs[key]
    for other in holders[1:]:
        if not np.array_equal(first.astype(str), mdata.mod[other].obs[key].astype(str)):
            raise ValueError(
                f"{argument}: column {key!r} differs between the modalities {holders}. "
                f"Say which one counts: modalities={{{argument!r}: {holders[0]!r}}}."
            )
    return first


def _loaded(column: Any) -> pd.Series:
    """A column of a lazily read object, in memory."""
    return column if isinstance(column, pd.Series) else column.to_series()


def read_columns(data: Any, spec: Spec) -> pd.DataFrame:
    """All registered columns, one row a cell, in the order of the cells.

    Parameters
    ----------
    data
        AnnData, or MuData whose modalities hold the same cells in the same order.
    spec
        What was registered.

    Raises
    ------
    KeyError
        A column is missing; the message names the argument and the columns that are there.
    """
    columns = {}
    for key, argument in spec.arguments.items():
        if isinstance(data, AnnData):
            if key not in data.obs:
                raise _missing(argument, key, "adata.obs", data.obs.columns)
            if (data.obs.columns == key).sum() > 1:
                raise ValueError(
                    f"{argument}: {int((data.obs.columns == key).sum())} columns of adata.obs are called {key!r}; give each a "
                    "name of its own, or drop one: adata.obs = adata.obs.loc[:, ~adata.obs.columns.duplicated()]."
                )
            columns[key] = _loaded(data.obs[key])
        else:
            columns[key] = _mudata_column(data, argument, key, spec.modalities.get(argument))
    return pd.DataFrame({key: column.array for key, column in columns.items()}, index=range(data.n_obs))


def read_numbers(
    column: pd.Series, argument: str = "dose_key", source: Source = SET_UP, *, doses: bool = False
) -> np.ndarray:
    """Numbers as float64 ``(N,)``, NaN where missing; categories of numbers are read as numbers.

    Parameters
    ----------
    column
        One value a row.
    argument
        Through which the column was registered.
    source
        Where it is from.
    doses
        Whether they are doses, which errors say how to read.

    Raises
    ------
    TypeError
        The column does not hold numbers.
    """
    values: Any = column
    if isinstance(values.dtype, pd.CategoricalDtype):
        levels = values.cat.categories
        numeric = pd.api.types.is_numeric_dtype(levels) and not pd.api.types.is_bool_dtype(levels)
        if numeric:
            values = values.astype(levels.dtype if not values.isna().any() else "float64")
    elif values.dtype == object:
        present = values.dropna()
        numeric = all(isinstance(v, (int, float, np.number)) and not isinstance(v, bool) for v in present)
    else:
        numeric = pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype)
    if not numeric:
        example = next((v for v in column if isinstance(v, str)), column.iloc[0] if len(column) else None)
        named = f"{source.table}[{column.name!r}]"
        as_number = f"{named}.astype(float)" if isinstance(example, bool | np.bool_) else f"pandas.to_numeric({named})"
        convert = f"Convert it first: {named} = {as_number}."
        if doses and pd.to_numeric(column.astype(object), errors="coerce").isna().any():  # text such as "10 nM"
            convert = source.units.format(column=column.name)
        raise TypeError(
            f"{source.name(argument)}: expected numbers in column {column.name!r}, found {example!r} (dtype {column.dtype}). {convert}"
        )
    dose = np.asarray(values.to_numpy(dtype="float64", na_value=np.nan))
    if values.dtype in (np.float32, np.float16):  # 0.1 stored as float32 is meant as 0.1
        levels, inverse = np.unique(values.to_numpy(), return_inverse=True)
        dose = np.array([float(str(level)) for level in levels])[inverse]
    return dose
