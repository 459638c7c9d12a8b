"""Whose genes are acted on: cells that the model draws, or cells that are given (layer `model`)."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scgim._core.arrays import dense
from scgim.model._prediction.counterfactual import distinct, genes_in_order
from scgim.model._prediction.request import Request, make_request
from scgim.model._reading.columns import CELLS, read_columns, table_of
from scgim.model._reading.expression import iterate
from scgim.model._reading.spec import Spec

if TYPE_CHECKING:
    from scgim.model._prediction.predictor import Predictor
    from scgim.model._reading.cells import Adjustment

BY_GENE = ("start", "goal")
"""Arguments that take means by gene, too."""


@dataclass(frozen=True)
class Given:
    """Cells that are given, n of them."""

    x: np.ndarray  # (n, G) in units of the data
    held: np.ndarray  # (n, G) effect of continuous covariates
    request: Request  # distinct rows of what the cells are under
    # (n,) row and baseline group of each cell
    row: np.ndarray
    group: np.ndarray
    size: np.ndarray | None  # (n,) size factors, or None
    obs: pd.DataFrame  # table of the cells


def ask_for(
    who: Mapping[str, Any] | None, predictor: Predictor, adjustment: Adjustment | None, argument: str = "population"
) -> Request:
    """One row: the controls, or what the columns say.

    Raises
    ------
    KeyError, TypeError, ValueError
        A column or value is not one of the model's.
    """
    spec = predictor.data.spec
    row = dict.fromkeys(spec.perturbation, spec.control) | dict(who or {})
    known = [*spec.columns, *spec.continuous, *([spec.size_factor] if spec.size_factor else [])]
    for column, value in row.items():
        if column not in known:
            gene = _gene_as_column(argument, column, value, predictor.data.genes)
            raise KeyError(f"{argument}: column {column!r} is not registered; expected some of {known}{gene}.")
        if not np.isscalar(value):
            raise TypeError(f"{argument}: expected one value of {column!r}, found {type(value).__name__}.")
    for column, drug in zip(spec.dose, spec.perturbation, strict=False):
        if column not in row and row[drug] != spec.control:
            raise KeyError(f"{argument}: {column!r} is missing; name the dose of {row[drug]!r}.")
        row.setdefault(column, 0.0)
    request = make_request(pd.DataFrame([row]), predictor.data, adjustment, table_of(argument))
    unknown = request.drugs[len(predictor.fit.drugs) :]
    if unknown:
        raise KeyError(
            f"{argument}: drug {unknown[0]!r} was not in the training data; expected one of {list(predictor.fit.drugs)[:10]}, "
            "or pass cells as adata."
        )
    return request


def _gene_as_column(argument: str, column: Any, value: Any, genes: Container[Any]) -> str:
    """How genes are named, where one stands for a column."""
    if column not in genes:
        return ""
    if argument in BY_GENE:
        return f". {column!r} is a gene: give means that genes should have as a Series, {argument}=pandas.Series({ {column: value} })"
    return f". {column!r} is a gene: act on it with set=, shift=, scale= or knockout="


def choose_cells(adata: Any, who: Any, spec: Spec, argument: str = "population") -> np.ndarray:
    """Which cells are meant, ``(N,)`` bool.

    Raises
    ------
    KeyError, TypeError, ValueError
        The query or mask does not fit the cells, or there are none.
    """
    if who is None:
        return np.ones(adata.n_obs, dtype=bool)
    if isinstance(who, str):
        chosen = _by_query(adata, who, spec, argument)
    elif isinstance(who, Mapping):
        table = _table(adata, spec)
        chosen = np.ones(adata.n_obs, dtype=bool)
        for column, value in who.items():
            if column not in table:
                gene = _gene_as_column(argument, column, value, adata.var_names)
                raise KeyError(f"{argument}: column {column!r} is not in adata.obs; found {list(table.columns)}{gene}.")
            chosen &= (table[column] == value).to_numpy(dtype=bool) | (
                table[column].astype(str) == str(value)
            ).to_numpy()
    else:
        chosen = np.asarray(who)
        if chosen.dtype != bool or chosen.shape != (adata.n_obs,):
            raise TypeError(
                f"{argument}: expected a query of .obs, a dict of columns or a boolean mask of {adata.n_obs} cells, found "
                f"{type(who).__name__} of shape {chosen.shape} and type {chosen.dtype}."
            )
    if not chosen.any():
        raise ValueError(f"{argument}: expected some cells, found none that it describes.")
    return np.asarray(chosen)


def _table(adata: Any, spec: Spec) -> pd.DataFrame:
    """All columns of the cells: those of `.obs`, and registered ones of modalities."""
    registered = read_columns(adata, spec).set_index(adata.obs_names)
    return pd.concat([adata.obs, registered.drop(columns=[c for c in registered if c in adata.obs])], axis=1)


def _by_query(adata: Any, query: str, spec: Spec, argument: str) -> np.ndarray:
    """Cells ``(N,)`` bool for which a query of `.obs` holds."""
    table = _table(adata, spec).reset_index(drop=True)
    try:
        found = table.query(query).index
    except Exception as error:  # noqa: BLE001 - whatever the parser of queries says of the text
        meant = next((column for column in spec.columns if (table[column].astype(str) == query).any()), None)
        hint = "" if meant is None else f" Cells of {query!r}: {argument}={ {meant: query} }."
        raise ValueError(
            f"{argument}: expected a query of .obs, such as \"{table.columns[0]} == 'a'\", found {query!r} ({error}).{hint}"
        ) from None
    return np.isin(np.arange(adata.n_obs), found)


def read_cells(predictor: Predictor, adjustment: Adjustment | None, adata: Any, chosen: np.ndarray) -> Given:
    """The chosen cells ``(N,)`` bool, with what they are under.

    Raises
    ------
    ValueError
        Genes are missing, or a drug was not in the training data.
    KeyError
        A registered column is missing.
    """
    data = predictor.data
    column = genes_in_order(adata, predictor)
    frame = read_columns(adata, data.spec)[chosen].reset_index(drop=True)
    factual = make_request(frame, data, adjustment, CELLS)
    unknown = factual.drugs[len(predictor.fit.drugs) :]
    if unknown:
        raise ValueError(
            f"adata: cells are under {unknown[0]!r}, which was not in the training data; leave them out with population."
        )
    rows, inverse = distinct(factual)
    blocks = [dense(block[np.flatnonzero(chosen[at])])[:, column] for at, block in iterate(adata, data.spec)]
    x = np.concatenate(blocks).astype(float)
    held = np.zeros_like(x) if factual.offset is None else factual.offset
    obs = _table(adata, data.spec)[chosen].copy()
    return Given(x, held, rows, inverse, factual.group.argmax(axis=1), factual.size, obs)


def describe(who: Any, n_cells: int, *, given: bool) -> str:
    """A population in words."""
    if isinstance(who, str):
        return who
    if isinstance(who, Mapping):
        return ", ".join(f"{column} = {value}" for column, value in who.items())
    if who is not None:
        return f"{n_cells} cells of a mask"
    return f"{n_cells} cells given" if given else "control"
