"""Features of drugs (`.uns` table) or of contexts (`.obsm`), read and checked once (layer `model`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from scgim.model._study.contexts import Contexts

ARGUMENT = "features_key"


@dataclass(frozen=True)
class Features:
    """Registered features."""

    rows_are: str  # `"drug"` (rows are drugs) or `"context"` (rows are contexts)
    rows: tuple[str, ...]  # names of the drugs; empty for contexts, whose order is that of the contexts table
    names: tuple[str, ...]  # names of the Q features
    values: np.ndarray  # (rows, Q) float64, in the user's units; 0 in control contexts

    def to_state(self) -> dict[str, Any]:
        """Plain lists and arrays."""
        return {"rows_are": self.rows_are, "rows": list(self.rows), "names": list(self.names), "values": self.values}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Features:
        """Inverse of `to_state`."""
        return cls(state["rows_are"], tuple(state["rows"]), tuple(state["names"]), np.asarray(state["values"], float))

    def of_drugs(self, drugs: tuple[str, ...]) -> np.ndarray:
        """Rows of the named drugs, ``(D, Q)``; a KeyError names the drug that has none."""
        position = {name: i for i, name in enumerate(self.rows)}
        for name in drugs:
            if name not in position:
                raise KeyError(f"features: no row for {name!r}; add it to the table of features.")
        return self.values[[position[name] for name in drugs]]


def numeric_table(table: pd.DataFrame, argument: str) -> np.ndarray:
    """Values of a table of features as float64.

    Raises
    ------
    TypeError, ValueError
        A column is not numeric, or a value is missing or infinite.
    """
    wrong = [str(c) for c in table if not (pd.api.types.is_numeric_dtype(table[c]) or table[c].dtype == bool)]
    if wrong:
        raise TypeError(
            f"{argument}: expected numbers, found text in column(s) {wrong[:5]}. "
            "Drop them or encode them (pandas.get_dummies; scgim.pp.fingerprints for SMILES)."
        )
    values = table.to_numpy(dtype="float64", na_value=np.nan)
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        raise ValueError(
            f"{argument}: features are missing or infinite for {[str(i) for i in table.index[bad][:5]]}; "
            "impute them or drop those columns."
        )
    return values


def drug_table(table: Any, argument: str) -> Features:
    """Features by drug from a DataFrame indexed by drug.

    Raises
    ------
    TypeError, ValueError
        Not a DataFrame, no columns, a drug twice, or values that are not finite numbers.
    """
    if not isinstance(table, pd.DataFrame):
        raise TypeError(
            f"{argument}: expected a pandas DataFrame with one row a drug (index: drug names), "
            f"found {type(table).__name__}."
        )
    index = table.index.astype(str)
    if index.has_duplicates:
        raise ValueError(
            f"{argument}: drug(s) {index[index.duplicated()][:5].tolist()} have more than one row; keep one."
        )
    if table.shape[1] == 0:
        raise ValueError(f"{argument}: the table has no columns; expected one column a feature.")
    return Features("drug", tuple(index), tuple(map(str, table.columns)), numeric_table(table, argument))


def _constant_rows(values: np.ndarray, contexts: Contexts) -> np.ndarray:
    """The one row ``(K, Q)`` of each perturbed context; controls get 0."""
    K, perturbed = len(contexts.table), ~contexts.design.control
    first = np.unique(contexts.index, return_index=True)[1]
    cells = perturbed[contexts.index]
    if not np.isfinite(values[cells]).all():
        raise ValueError(f"{ARGUMENT}: .obsm features hold NaN or infinite values in treated cells; impute them.")
    reference = values[first]  # (K, Q)
    scale = np.abs(values[cells]).max(initial=1e-300)
    differs = cells & (np.abs(values - reference[contexts.index]) > 1e-5 * scale).any(axis=1)
    if differs.any():
        k = int(contexts.index[np.flatnonzero(differs)[0]])
        row = contexts.table.drop(columns="n_cells").iloc[k].to_dict()
        raise ValueError(
            f"{ARGUMENT}: expected .obsm features that are constant within a context, found different rows in {row} "
            f"({len(np.unique(contexts.index[differs]))} of {K} contexts). Average them within contexts, or register "
            "the column that they depend on as a covariate."
        )
    return np.where(perturbed[:, None], reference, 0.0)


def read_features(data: Any, key: str | None, contexts: Contexts) -> Features | None:
    """Features under `key` in `.uns` (by drug) or `.obsm` (by cell).

    Raises
    ------
    KeyError
        The key is in neither place, or a drug has no row.
    TypeError, ValueError
        Wrong type, not constant within a context, or not finite.
    """
    if key is None:
        return None
    if key in data.uns:
        argument = f"{ARGUMENT}: adata.uns[{key!r}]"
        features = drug_table(data.uns[key], argument)
        absent = sorted(set(contexts.design.drugs) - set(features.rows))
        if absent:
            raise KeyError(
                f"{argument} has no row for {len(absent)} drug(s): {absent[:5]}; found {list(features.rows[:5])} ... "
                "Add their rows, or drop the cells of those drugs."
            )
        return features
    if key not in data.obsm:
        found = [k for k in [*data.uns, *data.obsm] if not str(k).startswith(("_scvi", "log1p"))]
        raise KeyError(
            f"{ARGUMENT}: {key!r} is neither in adata.uns (DataFrame by drug) nor in adata.obsm (one row a cell); "
            f"found {found}."
        )
    array = data.obsm[key]
    argument = f"{ARGUMENT}: adata.obsm[{key!r}]"
    names: tuple[str, ...] = ()
    if isinstance(array, pd.DataFrame):
        names = tuple(map(str, array.columns))
        array = array.to_numpy(dtype="float64", na_value=np.nan)
    elif sparse.issparse(array):
        array = array.toarray()
    values = np.asarray(array)
    if values.ndim != 2 or values.dtype.kind not in "fiub":
        raise TypeError(
            f"{argument}: expected numbers of shape (cells, features), found {values.dtype} {values.shape}."
        )
    names = names or tuple(f"{key}_{q}" for q in range(values.shape[1]))
    return Features("context", (), names, _constant_rows(values.astype(float), contexts))
