"""`scgim.pp.encode_doses`: doses as numbers in one unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scgim._checks import ANNDATA, FLAG, KEY, TEXT, checked, or_none
from scgim.pp import _units
from scgim.pp._columns import column, names, target

if TYPE_CHECKING:
    import anndata


@checked(
    adata=ANNDATA,
    dose_key=TEXT,
    unit=or_none(TEXT),
    perturbation_key=or_none(TEXT),
    control=TEXT,
    key_added=or_none(KEY),
    copy=FLAG,
)
def encode_doses(
    adata: anndata.AnnData,
    dose_key: str,
    *,
    unit: str | None = None,
    perturbation_key: str | None = None,
    control: str = "control",
    key_added: str | None = None,
    copy: bool = False,
) -> anndata.AnnData | None:
    """Turn doses such as ``"10 nM"`` and ``"1 µM"`` into numbers of one unit.

    Parameters
    ----------
    adata
        Annotated data.
    dose_key
        Column of ``.obs`` with numbers, or with text: a number with or without a unit. Units are M, mM, uM, nM, pM, fM and
        g/mL to pg/mL.
    unit
        Unit of the result. If None, that of the values, which must then be the same in all of them.
    perturbation_key
        Column of ``.obs`` with the drug. If given, cells of the control get dose 0, whatever their value, even a missing
        one.
    control
        Its label.
    key_added
        Column to write; the dose column itself by default.
    copy
        Return a copy instead of writing into `adata`.

    Returns
    -------
    None, or the copy if `copy`. Sets:

    `adata.obs[key_added]` : float
        Doses.
    `adata.uns[f"{key_added}_unit"]` : str
        Their unit, where there is one.

    Raises
    ------
    KeyError
        If a column is not there.
    ValueError
        If a value cannot be read, is negative or missing, or units are mixed in a way that cannot be converted.

    Examples
    --------
    >>> scgim.pp.encode_doses(adata, "dose", unit="nM")
    """
    values = column(adata, "dose_key", dose_key)
    if unit is not None:
        unit = _units.standard(unit)
    is_control = np.zeros(adata.n_obs, bool)
    if perturbation_key is not None:
        is_control = names(adata, "perturbation_key", perturbation_key) == control
        if not is_control.any():
            raise ValueError(
                f"control={control!r} does not occur in perturbation_key={perturbation_key!r}; expected the label of untreated cells."
            )
    number, unit = _convert(values, is_control, dose_key, unit)
    adata = target(adata, copy=copy)
    key = dose_key if key_added is None else key_added
    adata.obs[key] = number
    if unit is not None:
        adata.uns[f"{key}_unit"] = unit
    return adata if copy else None


def _convert(
    values: pd.Series, is_control: np.ndarray, dose_key: str, unit: str | None
) -> tuple[np.ndarray, str | None]:
    """Doses (n,) and their unit."""
    if bool((values.isna().to_numpy() & ~is_control).any()):
        raise ValueError(
            f"dose_key={dose_key!r}: {int((values.isna().to_numpy() & ~is_control).sum())} cells have no dose. Drop them, "
            "or pass `perturbation_key` if they are controls."
        )
    codes, levels = pd.factorize(values.where(~is_control, None), use_na_sentinel=True)
    read, wrong = [], []
    for level in levels:
        try:
            read.append(_units.read(level))
        except (TypeError, ValueError) as error:
            wrong.append(str(error))
    if wrong:
        mend = (
            "" if is_control.any() else " Doses of controls are not read where perturbation_key and control name them."
        )
        raise ValueError(f"dose_key={dose_key!r}: {' '.join(wrong[:10])}{mend}")
    found = {u for number, u in read if number > 0}  # a zero needs no unit
    if None in found and len(found) > 1:
        raise ValueError(f"dose_key={dose_key!r} mixes doses with and without a unit; the units are {_sorted(found)}.")
    found.discard(None)
    if unit is None and len(found) > 1:
        raise ValueError(
            f"dose_key={dose_key!r} mixes the units {_sorted(found)}; choose the one to convert to with `unit`."
        )
    unit = next(iter(found), None) if unit is None else unit
    numbers = [number if u is None or number == 0 else _units.convert(number, u, str(unit)) for number, u in read]
    table = np.array([*numbers, 0.0])  # the last is for controls, whose code is -1
    return table[codes], unit


def _sorted(units: Any) -> list[str]:
    return sorted(u for u in units if u is not None)
