"""Columns of ``.obs`` as the functions here need them, checked before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from scgim._checks import did_you_mean


def target(adata: Any, *, copy: bool) -> Any:
    """The object to write into: `adata` itself, or a copy of it."""
    if copy:
        return adata.copy()
    if getattr(adata, "is_view", False):
        raise ValueError("adata: found a view of another object; pass adata.copy(), or use copy=True.")
    return adata


def column(adata: Any, argument: str, key: str) -> pd.Series:
    """One column of ``.obs``."""
    if key not in adata.obs:
        found = list(adata.obs.columns)
        raise KeyError(f"{argument}={key!r} is not a column of adata.obs, found {found}{did_you_mean(key, found)}.")
    return adata.obs[key]


def names(adata: Any, argument: str, key: str) -> np.ndarray:
    """A column of labels as strings, (n,) object; missing values are refused."""
    values = column(adata, argument, key)
    if values.isna().any():
        raise ValueError(
            f"{argument}={key!r}: {int(values.isna().sum())} cells have no value. Drop or label them first."
        )
    return values.astype(str).to_numpy(dtype=object)


def doses(adata: Any, argument: str, key: str, untreated: np.ndarray) -> np.ndarray:
    """A column of doses, (n,) float; text is refused, and what stands where nothing was given is 0."""
    values = column(adata, argument, key)
    try:
        number = values.astype(object).mask(untreated, 0.0).astype(float).to_numpy()
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{argument}={key!r}: expected numbers, found values such as {values[~untreated].iloc[0]!r}. "
            f"Use scgim.pp.encode_doses(adata, {key!r}) first."
        ) from error
    if not np.all(np.isfinite(number) & (number >= 0)):
        raise ValueError(
            f"{argument}={key!r}: expected finite doses of at least 0, found negative or missing ones where a drug was given."
        )
    return number


def as_list(argument: str, key: str | Sequence[str]) -> list[str]:
    """One key or several, as a list without repetition."""
    keys = [key] if isinstance(key, str) else list(key)
    if not keys or len(set(keys)) < len(keys):
        raise ValueError(f"{argument}: expected one column or several distinct ones, found {key!r}.")
    return keys


def perturbations(
    adata: Any, perturbation_key: str | Sequence[str], control: str, dose_key: str | Sequence[str] | None
) -> list[frozenset[tuple[str, float]]]:
    """What each cell was given: its drugs with their doses, whatever their order; empty for the control."""
    drug_keys = as_list("perturbation_key", perturbation_key)
    drugs = np.column_stack([names(adata, "perturbation_key", key) for key in drug_keys])
    if not (drugs == control).all(1).any():
        raise ValueError(
            f"control={control!r} does not occur in {drug_keys}; expected the label of untreated cells, found "
            f"{sorted(set(drugs.ravel()))[:10]}{did_you_mean(control, set(drugs.ravel()))}."
        )
    amount = np.ones(drugs.shape)
    if dose_key is not None:
        dose_keys = as_list("dose_key", dose_key)
        if len(dose_keys) != len(drug_keys):
            raise ValueError(
                f"dose_key: expected {len(drug_keys)} columns as perturbation_key does, found {dose_keys}."
            )
        given = zip(dose_keys, drugs.T, strict=True)
        amount = np.column_stack([doses(adata, "dose_key", key, drug == control) for key, drug in given])
    table = pd.DataFrame(np.column_stack([drugs, amount]))
    group = table.groupby(list(table.columns), sort=False, dropna=False).ngroup().to_numpy()
    first = np.unique(group, return_index=True)[1]
    kinds = [
        frozenset((str(d), float(c)) for d, c in zip(drugs[i], amount[i], strict=True) if d != control) for i in first
    ]
    return [kinds[g] for g in group]
