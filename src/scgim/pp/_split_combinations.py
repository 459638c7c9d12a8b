"""`scgim.pp.split_combinations`: one column a drug from names such as "A+B"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scgim._checks import ANNDATA, FLAG, TEXT, checked, or_none
from scgim._warnings import warn_of_controls, warn_user
from scgim.pp import _units
from scgim.pp._columns import column, names, target

if TYPE_CHECKING:
    import anndata


@checked(adata=ANNDATA, perturbation_key=TEXT, dose_key=or_none(TEXT), separator=TEXT, control=TEXT, copy=FLAG)
def split_combinations(
    adata: anndata.AnnData,
    perturbation_key: str,
    *,
    dose_key: str | None = None,
    separator: str = "+",
    control: str = "control",
    copy: bool = False,
) -> anndata.AnnData | None:
    """Split combinations such as ``"A+B"`` at ``"1+10"`` into one column a drug and one a dose, paired by position.

    A separator inside brackets does not split: ``"(+)-JQ1"`` is one drug.

    Parameters
    ----------
    adata
        Annotated data.
    perturbation_key
        Column of ``.obs`` with drugs and combinations.
    dose_key
        Column of ``.obs`` with their doses, as many as there are drugs. The control may have one dose, any or none.
    separator
        What stands between drugs, and between doses.
    control
        Label of the control. As part of a combination it means that there is no drug in this place.
    copy
        Return a copy instead of writing into `adata`.

    Returns
    -------
    None, or the copy if `copy`. Sets, for p from 1 to the largest number of drugs in a combination:

    `adata.obs[f"{perturbation_key}_{p}"]` : categorical
        The p-th drug; the control label where there is none.
    `adata.obs[f"{dose_key}_{p}"]` : float
        Its dose; 0 where there is none. If doses have units, make them one with `encode_doses` first.

    Raises
    ------
    KeyError
        If a column is not there.
    ValueError
        If the numbers of drugs and doses differ, a name is empty, a drug occurs twice in a combination, or a dose is not a
        number; the message names the values.

    Examples
    --------
    >>> scgim.pp.split_combinations(adata, "drug", dose_key="dose")
    >>> model = scgim.tl.fit(
    ...     adata, perturbation_key=["drug_1", "drug_2"], dose_key=["dose_1", "dose_2"], control="control"
    ... )
    """
    if not separator:
        raise ValueError("separator: expected text, found none.")
    drugs = names(adata, "perturbation_key", perturbation_key)
    dose = np.full(adata.n_obs, "0", dtype=object)
    if dose_key is not None:
        dose = column(adata, "dose_key", dose_key).astype(object).to_numpy()
    table = pd.DataFrame({"drug": drugs, "dose": dose})
    group = table.groupby(["drug", "dose"], sort=False, dropna=False).ngroup().to_numpy()
    first = np.unique(group, return_index=True)[1]
    parts = [_parts(str(drugs[i]), dose[i], separator, control, has_dose=dose_key is not None) for i in first]
    most = max(len(p) for p in parts)
    padded = [p + [(control, 0.0)] * (most - len(p)) for p in parts]
    if not any(separator in str(drugs[i]) for i in first):
        warn_user(
            f"separator: no label in {perturbation_key!r} holds {separator!r}, found such as {max(map(str, drugs[first]), key=len)!r}; pass the text that stands "
            "between drugs, if there are combinations."
        )
    warn_of_controls({name for part in parts for name, _ in part}, control)
    adata = target(adata, copy=copy)
    for place in range(most):
        found = [p[place][0] for p in padded]
        levels = sorted(set(found), key=lambda name: (name != control, name))
        adata.obs[f"{perturbation_key}_{place + 1}"] = pd.Categorical([found[g] for g in group], categories=levels)
        if dose_key is not None:
            adata.obs[f"{dose_key}_{place + 1}"] = np.array([p[place][1] for p in padded])[group]
    return adata if copy else None


def _parts(drug: str, dose: Any, separator: str, control: str, *, has_dose: bool) -> list[tuple[str, float]]:
    """Drugs of one combination with their doses, places without a drug left out; at least one part."""
    names_ = [part.strip() for part in split_outside_brackets(drug, separator)]
    if not all(names_):
        raise ValueError(f"perturbation_key: {drug!r} has an empty part between separators {separator!r}.")
    if all(name == control for name in names_):
        return [(control, 0.0)]
    present = [name for name in names_ if name != control]
    if len(set(present)) < len(present):
        raise ValueError(f"perturbation_key: {drug!r} names a drug twice. Add up its doses and name it once.")
    if not has_dose:
        return [(name, 0.0) for name in present]
    texts = dose.split(separator) if isinstance(dose, str) else [dose]
    if len(texts) != len(names_):
        raise ValueError(
            f"dose_key: perturbation {drug!r} has {len(names_)} part(s) but its dose {dose!r} has {len(texts)}. "
            f"Write one dose a part, separated by {separator!r}."
        )
    amounts = []
    for name, text in zip(names_, texts, strict=True):
        if name == control:
            continue
        try:
            number, unit = _units.read(text)
        except (TypeError, ValueError) as error:
            raise ValueError(f"dose_key: dose {dose!r} of perturbation {drug!r}: {error}") from error
        if unit is not None:
            raise ValueError(
                f"dose_key: dose {dose!r} of perturbation {drug!r} has a unit. Write numbers of one unit, without it."
            )
        amounts.append((name, number))
    return amounts


def split_outside_brackets(text: str, separator: str) -> list[str]:
    """Parts of a text between separators that are not inside round, square or curly brackets."""
    parts, depth, start, i = [], 0, 0, 0
    while i < len(text):
        if text[i] in "([{":
            depth += 1
        elif text[i] in ")]}":
            depth = max(depth - 1, 0)
        if depth == 0 and text.startswith(separator, i):
            parts.append(text[start:i])
            i += len(separator)
            start = i
            continue
        i += 1
    return [*parts, text[start:]]
