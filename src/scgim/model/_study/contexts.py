"""Contexts: the distinct (covariates x perturbation x dose), derived once from the registered columns (layer `model`).

The order of drugs in a row does not matter: "A" at 1 with "B" at 10 is the context of "B" at 10 with "A" at 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from scgim._core.design import Design
from scgim.model._reading.columns import CELLS, SET_UP, Source, read_numbers
from scgim.model._reading.spec import Spec

ABSENT = -1
"""Code of "no drug" in a perturbation column."""


@dataclass(frozen=True)
class CodedRows:
    """Registered columns in canonical form, one row a cell or a requested perturbation."""

    drugs: tuple[str, ...]  # names of the drugs that the codes stand for
    codes: np.ndarray  # (n, P) drugs of each row, sorted, `ABSENT` last
    dose: np.ndarray  # (n, P) their doses in the user's unit, 0 where absent, 1 where no dose was registered

    def matrix(self, n_drugs: int | None = None) -> np.ndarray:
        """Doses as ``(n, D)`` in the user's unit, 0 where a drug is absent."""
        out = np.zeros((len(self.codes), len(self.drugs) if n_drugs is None else n_drugs))
        row, slot = np.nonzero(self.codes != ABSENT)
        out[row, self.codes[row, slot]] = self.dose[row, slot]
        return out


def as_labels(column: pd.Series, argument: str, source: Source = SET_UP, *, drugs: bool = False) -> np.ndarray:
    """Values of a column as an object array of str.

    Parameters
    ----------
    column
        One value a row.
    argument
        Through which the column was registered.
    source
        Where it is from.
    drugs
        Whether it holds drugs, so that the control label may stand where there is none.

    Raises
    ------
    ValueError
        A value is missing or empty text.
    """
    missing = column.isna().to_numpy() | column.isin([""]).to_numpy()
    if missing.any():
        table = source.table
        mend = (
            f"fill it with the control label where no drug was given: {table}[{column.name!r}] = "
            f"{table}[{column.name!r}].astype(object).replace('', None).fillna(control)"
            if drugs
            else "drop those rows or give them a label"
        )
        raise ValueError(
            f"{source.name(argument)}: column {column.name!r} is missing in {missing.sum()} row(s); {mend}."
        )
    codes, levels = pd.factorize(column)
    return np.array([str(level) for level in levels], dtype=object)[codes]


def number_type(column: pd.Series) -> tuple[str, bool] | None:
    """Type of a column of numbers or booleans, and whether they are categories; None for other labels."""
    is_categorical = isinstance(column.dtype, pd.CategoricalDtype)
    dtype: Any = column.cat.categories.dtype if is_categorical else column.dtype
    dtype = getattr(dtype, "numpy_dtype", dtype)  # of extension types, which may hold missing values
    return (str(dtype), is_categorical) if isinstance(dtype, np.dtype) and dtype.kind in "biuf" else None


def as_registered(frame: pd.DataFrame, types: Mapping[str, tuple[str, bool]]) -> pd.DataFrame:
    """Numbers of the columns that were registered as numbers in the type of then, so that 1 is found where 1.0 was registered."""
    out = frame.copy(deep=False)
    for column, (name, _) in types.items():
        if column in frame and number_type(frame[column]) != types[column]:
            values = [_of_kind(value, np.dtype(name)) for value in frame[column]]
            out[column] = pd.Series(values, frame.index, dtype=object)
    return out


def _of_kind(value: Any, dtype: np.dtype) -> Any:
    """A number as one of this type, where it keeps its value; anything else as it is."""
    if (
        not isinstance(value, int | float | np.integer | np.floating)
        or isinstance(value, bool)
        or dtype.kind not in "iuf"
    ):
        return value
    if dtype.kind == "f":
        return dtype.type(value).item()
    return int(value) if float(value).is_integer() else value


def encode_rows(
    frame: pd.DataFrame, spec: Spec, drugs: tuple[str, ...] | None = None, *, source: Source = SET_UP
) -> CodedRows:
    """Canonical drugs and doses of each row.

    Parameters
    ----------
    frame
        Rows with the registered perturbation (and dose) columns.
    spec
        What was registered.
    drugs
        Known drugs; drugs beyond them are appended, sorted by name. None: all drugs, sorted.
    source
        Where the rows are from, which errors name.

    Raises
    ------
    ValueError, TypeError
        A label or dose is missing, a drug occurs twice in a row, a dose is negative, infinite, or 0 for a drug.
    """
    parts = [as_labels(frame[c], "perturbation_key", source, drugs=True) for c in spec.perturbation]
    labels = np.column_stack(parts)  # (n, P)
    known = drugs or ()
    new = sorted(set(labels.ravel()) - set(known) - {spec.control})
    drugs = (*known, *new)
    code = {name: i for i, name in enumerate(drugs)} | {spec.control: len(drugs)}
    flat, levels = pd.factorize(labels.ravel())
    codes = np.array([code[level] for level in levels], dtype=np.int64)[flat].reshape(labels.shape)
    absent = codes == len(drugs)
    dose = _doses(frame, spec, labels, absent, source)
    rank = np.argsort(np.argsort(np.array(drugs, dtype=object), kind="stable")) if drugs else np.zeros(0, np.int64)
    order = np.argsort(np.append(rank, len(drugs))[codes], axis=1, kind="stable")  # by name, absent last
    codes, dose, absent = (np.take_along_axis(a, order, axis=1) for a in (codes, dose, absent))
    twice = (codes[:, 1:] == codes[:, :-1]) & ~absent[:, 1:]
    if twice.any():
        row, slot = np.argwhere(twice)[0]
        raise ValueError(
            f"{source.name('perturbation_key')}: {drugs[codes[row, slot]]!r} is named twice in one row ({twice.any(axis=1).sum()} row(s)). "
            f"Name it once, with its total dose, and put the control label {spec.control!r} into the other column."
        )
    return CodedRows(drugs, np.where(absent, ABSENT, codes), np.where(absent, 0.0, dose))


def _doses(frame: pd.DataFrame, spec: Spec, labels: np.ndarray, absent: np.ndarray, source: Source) -> np.ndarray:
    """Checked doses ``(n, P)`` in the user's unit; those of absent drugs are not looked at."""
    if not spec.dose:
        return np.ones(labels.shape)
    dose = np.column_stack([read_numbers(frame[c], "dose_key", source, doses=True) for c in spec.dose])
    for p, column in enumerate(spec.dose):
        values, drug = dose[~absent[:, p], p], labels[~absent[:, p], p]
        for wrong, what, mend in (
            (np.isnan(values), "missing", "Give it a dose or drop those rows"),
            (np.isinf(values), "infinite", "Give it a finite dose or drop those rows"),
            (values < 0, "negative", "Doses are amounts, not logarithms: use 10 ** log10_dose"),
            (values == 0, "0", f"Label untreated rows as control: {spec.perturbation[p]!r} = {spec.control!r}"),
        ):
            if wrong.any():
                raise ValueError(
                    f"{source.name('dose_key')}: column {column!r} is {what} in {wrong.sum()} row(s), such as of {drug[wrong][0]!r}, "
                    f"expected a positive dose. {mend}."
                )
    return dose


@dataclass(frozen=True)
class Contexts:
    """The contexts of a data set."""

    table: pd.DataFrame  # one row a context: registered columns (canonical) and `n_cells`
    design: Design  # drugs, doses and baseline groups of the contexts
    groups: pd.DataFrame  # (C, covariates) covariate values of each baseline group, as str
    index: np.ndarray  # (N,) context of each cell; empty where the data are not at hand
    # columns of labels that were numbers or booleans: their type, and whether they were categories
    types: dict[str, tuple[str, bool]] = field(default_factory=dict)

    def to_state(self) -> dict[str, Any]:
        """Plain lists and arrays for the registry; without the cells."""
        return {
            "table": {str(c): self.table[c].tolist() for c in self.table},
            "groups": {str(c): self.groups[c].tolist() for c in self.groups},
            "design": self.design.to_dict(),
            "types": {name: list(of) for name, of in self.types.items()},
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Contexts:
        """Inverse of `to_state`."""
        table = pd.DataFrame(state["table"])
        design = Design.from_dict(state["design"])
        groups = pd.DataFrame(state["groups"], index=range(len(design.group_names)))
        types = {name: (str(dtype), bool(of)) for name, (dtype, of) in state.get("types", {}).items()}
        return cls(table, design, groups, np.zeros(0, np.int64), types)

    def keys(self) -> list[tuple]:
        """One hashable key a context: its columns' values without `n_cells`."""
        return list(self.table.drop(columns="n_cells").itertuples(index=False, name=None))


def _group(frame: pd.DataFrame, spec: Spec, source: Source) -> tuple[np.ndarray, pd.DataFrame, tuple[str, ...]]:
    """Baseline group of each cell, the groups' covariate values, and names to show."""
    if not spec.covariates:
        return np.zeros(len(frame), np.int64), pd.DataFrame(index=[0]), ("all",)
    labels = pd.DataFrame({c: as_labels(frame[c], spec.arguments[c], source) for c in spec.covariates})
    grouped = labels.groupby(list(spec.covariates), sort=True)
    index = grouped.ngroup().to_numpy()
    groups = labels.iloc[np.unique(index, return_index=True)[1]].reset_index(drop=True)
    names = tuple(", ".join(f"{c}={v}" for c, v in zip(groups, row, strict=True)) for row in groups.to_numpy())
    return index, groups, names


def derive_contexts(frame: pd.DataFrame, spec: Spec, source: Source = SET_UP) -> Contexts:
    """Contexts of the cells described by `frame`; independent of the order of cells and of drugs in a row.

    Contexts are sorted: controls first, then by drug, dose and covariates.

    Raises
    ------
    ValueError, TypeError
        See `encode_rows`; or a covariate is missing.
    """
    rows = encode_rows(frame, spec, source=source)
    group, groups, names = _group(frame, spec, source)
    # combinations come after the single drugs, by the number of drugs
    keys = pd.DataFrame(np.column_stack([(rows.codes != ABSENT).sum(axis=1), rows.codes, rows.dose, group]))
    grouped = keys.groupby(list(keys.columns), sort=True)
    index = grouped.ngroup().to_numpy()
    first = np.unique(index, return_index=True)[1]  # a cell of each context
    n_cells = np.bincount(index, minlength=len(first))
    codes, dose = rows.codes[first], rows.dose[first]
    label = np.array([*rows.drugs, spec.control], dtype=object)  # ABSENT = -1 reads the last
    table = pd.DataFrame({c: label[codes[:, p]] for p, c in enumerate(spec.perturbation)})
    for p, c in enumerate(spec.dose):
        table[c] = dose[:, p]
    for c in spec.covariates:
        table[c] = groups[c].to_numpy()[group[first]]
    table["n_cells"] = n_cells
    of_context = CodedRows(rows.drugs, codes, dose)
    design = Design(rows.drugs, of_context.matrix(), group[first], names, n_cells, has_dose=bool(spec.dose))
    found = {c: number_type(frame[c]) for c in (*spec.perturbation, *spec.covariates)}
    return Contexts(table, design, groups, index, {c: of for c, of in found.items() if of})


def match_contexts(frame: pd.DataFrame, spec: Spec, source: Contexts) -> np.ndarray:
    """Index ``(N,)`` into the contexts of `source` for other cells with the same columns.

    Raises
    ------
    ValueError
        A context of the cells is not among those of `source`.
    """
    new = derive_contexts(as_registered(frame, source.types), spec, CELLS)
    position = {key: k for k, key in enumerate(source.keys())}
    unknown = [key for key in new.keys() if key not in position]
    if unknown:
        raise ValueError(
            f"adata: {len(unknown)} context(s) were not in the data that the model was set up with, such as "
            f"{dict(zip(spec.columns, unknown[0], strict=True))}. Keep the cells of known contexts, or ask "
            "model.predict for new ones."
        )
    return np.array([position[key] for key in new.keys()], dtype=np.int64)[new.index]
