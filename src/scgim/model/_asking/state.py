"""States of cells, between which interventions are sought (layer `model`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scgim._core.kinds.base import Moved
from scgim._core.kinds.cells import sample_cells
from scgim._core.mechanisms.additive import Mechanisms
from scgim._core.mechanisms.total import covariance
from scgim.model._asking.operated import KnownLayer
from scgim.model._asking.population import ask_for, choose_cells, read_cells

if TYPE_CHECKING:
    from scgim._core.mechanisms.neural import NeuralMechanisms
    from scgim.model._prediction.predictor import Predictor
    from scgim.model._reading.cells import Adjustment

DRAWN = 2000
"""Cells from which the spread within a state is taken where mechanisms are not lines."""
RIDGE = 0.05
"""Share of a covariance of drawn cells that is replaced by its diagonal."""


@dataclass(frozen=True)
class State:
    """Mean expression of cells."""

    # (G,) in units of the causal layer, at the mean of continuous covariates; NaN for genes of which nothing is said
    mean: np.ndarray
    # what drugs do to the cells, where they are known: one row for each distinct combination, or None
    rows: Moved | None
    # (r,) baseline groups of the rows, and their shares
    group: np.ndarray
    weight: np.ndarray

    def shares(self, n_groups: int) -> np.ndarray:
        """Of the baseline groups ``(C,)``."""
        return np.bincount(self.group, weights=self.weight, minlength=n_groups)


def read_state(
    argument: str, who: Any, adata: Any, own: Any, predictor: Predictor, adjustment: Adjustment | None
) -> State:
    """From what a user names: the controls, a context, cells, or means.

    Parameters
    ----------
    argument
        Name, for messages.
    who
        None, a dict of registered columns, a query or mask of cells, or a Series of means by gene.
    adata, own
        Cells that were passed, and those of the model; None where there are none.
    predictor, adjustment
        Of the model.

    Raises
    ------
    KeyError, TypeError, ValueError
        It fits neither genes nor cells.
    """
    if isinstance(who, pd.Series) and who.dtype != bool:
        return State(_by_gene(argument, who, predictor.data.genes), None, np.zeros(0, int), np.zeros(0))
    mechanisms = predictor.fit.mechanisms
    if who is None or (adata is None and isinstance(who, Mapping)):
        request = ask_for(who, predictor, adjustment, argument)
        group = np.flatnonzero(request.group[0])
        weight, expected = request.group[0, group], predictor.components(request, None).expected()
        moved = expected.rows(np.zeros(len(group), int)).keeping_noise()
        return State(weight @ KnownLayer(mechanisms, moved, group).mean(), moved, group, weight)
    cells = own if adata is None else adata
    if cells is None:
        raise ValueError(f"{argument}: the model was loaded without data; pass the cells that it describes as adata.")
    given = read_cells(predictor, adjustment, cells, choose_cells(cells, who, predictor.data.spec, argument))
    weight = np.bincount(given.row, minlength=len(given.request.table)) / len(given.row)
    group = given.request.group.argmax(axis=1)
    moved = predictor.components(given.request, None).expected().keeping_noise()
    layer = KnownLayer(mechanisms, moved, group)
    mean = (given.x - given.held).mean(axis=0) if predictor.observation.direct else weight @ layer.mean()
    return State(mean, moved, group, weight)


def _by_gene(argument: str, means: pd.Series, genes: list[str]) -> np.ndarray:
    """Means ``(G,)``, NaN for genes that are not named."""
    unknown = [str(gene) for gene in means.index if gene not in genes]
    if unknown:
        raise KeyError(f"{argument}: gene {unknown[0]!r} is not in the model; expected some of {genes[:10]}.")
    if means.index.has_duplicates:
        raise ValueError(
            f"{argument}: expected each gene once, found {means.index[means.index.duplicated()][0]!r} twice."
        )
    if not pd.api.types.is_numeric_dtype(means) or not np.isfinite(means.to_numpy(dtype=float)).any():
        raise TypeError(f"{argument}: expected means of genes, found a Series of type {means.dtype}.")
    return means.astype(float).reindex(genes).to_numpy()


def within_state(state: State, mechanisms: Mechanisms | NeuralMechanisms, rng: np.random.Generator) -> np.ndarray:
    """Covariance ``(G, G)`` of the causal layer among cells of a state: that of the mechanisms for lines, else that of drawn cells."""
    if isinstance(mechanisms, Mechanisms) and mechanisms.mechanism.linear:
        return covariance(mechanisms.weights(), mechanisms.noise_sd)
    from_row = rng.choice(len(state.weight), DRAWN, p=state.weight) if state.rows is not None else np.zeros(DRAWN, int)
    moved = Moved.nothing(1, mechanisms.n_genes) if state.rows is None else state.rows
    group = state.group if state.rows is not None else np.zeros(1, int)
    x = sample_cells(mechanisms, moved.rows(from_row), group[from_row], rng)
    drawn = np.cov(x.T).reshape(mechanisms.n_genes, -1)
    return np.asarray((1 - RIDGE) * drawn + RIDGE * np.diag(np.diag(drawn)))


def metric(within: np.ndarray, known: np.ndarray, *, standardised: bool) -> np.ndarray:
    """``L`` ``(G, Q)`` such that states that differ by d are ``|d L|`` apart.

    Parameters
    ----------
    within
        ``(G, G)``; covariance within a state.
    known
        ``(G,)`` bool; genes that count, Q of them.
    standardised
        In standard deviations, gene by gene; else by the precision of the genes that count, ``L L' = Cov^-1``.
    """
    at = np.flatnonzero(known)
    out = np.zeros((len(known), len(at)))
    block = within[np.ix_(at, at)]
    out[at] = np.diag(1 / np.sqrt(np.diag(block))) if standardised else np.linalg.cholesky(np.linalg.inv(block))
    return out
