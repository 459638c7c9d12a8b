"""Counterfactual cells: abduction of the noise, action, prediction (layer `model`; not from the paper)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from scgim._core.arrays import dense
from scgim._core.kinds.abduct import abduct
from scgim._core.kinds.base import Moved
from scgim._core.kinds.cells import mean_cells, propagate
from scgim._core.mechanisms.total import variance
from scgim.model._prediction.predictor import Predictor
from scgim.model._prediction.request import Request, make_request, read_new_features
from scgim.model._reading.columns import CELLS, read_columns
from scgim.model._reading.expression import gene_names, iterate

if TYPE_CHECKING:
    from scgim._core.mechanisms.additive import Mechanisms
    from scgim._core.mechanisms.neural import NeuralMechanisms
    from scgim.model._reading.cells import Adjustment


def genes_in_order(adata: Any, predictor: Predictor) -> np.ndarray:
    """Columns of the model's genes in the cells given."""
    found = gene_names(adata, predictor.data.spec)
    position = {name: j for j, name in enumerate(found)}
    absent = [name for name in predictor.data.genes if name not in position]
    if absent:
        raise ValueError(f"adata: lacks {len(absent)} gene(s) of the model: {absent[:5]}; expected all of model.genes.")
    return np.array([position[name] for name in predictor.data.genes])


def counterfactual_cells(
    predictor: Predictor,
    adjustment: Adjustment | None,
    adata: Any,
    perturbations: Any,
    features: Any,
    rng: np.random.Generator,
) -> tuple[np.ndarray, Request, np.ndarray]:
    """Cells under other perturbations, with the noise that they had; `rng` is used for counts and zeros alone.

    Returns
    -------
    Cells ``(N, G)`` in units of the data, the encoded request (1 or N rows), and the baseline group ``(N,)`` of each cell.
    """
    data = predictor.data
    if not isinstance(adata, AnnData) and None in data.spec.layers:
        raise TypeError(f"adata: expected AnnData, found {type(adata).__name__}.")
    column = genes_in_order(adata, predictor)
    frame = read_columns(adata, data.spec)
    factual = make_request(frame, data, adjustment, CELLS)
    unknown = factual.drugs[len(predictor.fit.drugs) :]
    if unknown:
        raise ValueError(
            f"adata: cells are under {unknown[0]!r}, which was not in the training data; their noise is hidden."
        )
    request = make_request(perturbations, data, adjustment)
    if len(request.table) not in (1, adata.n_obs):
        raise ValueError(f"perturbations: expected 1 row or {adata.n_obs} (one a cell), found {len(request.table)}.")
    group = factual.group.argmax(axis=1)
    rows, inverse = distinct(factual)
    before = predictor.components(rows, None).expected()
    if before.hides_noise:
        raise ValueError(
            "adata: some cells are under a hard intervention, which hides the noise of its targets; give control cells."
        )
    after = predictor.components(request, read_new_features(features, data, request)).expected()
    asked = np.zeros(adata.n_obs, int) if len(request.table) == 1 else np.arange(adata.n_obs)
    out = np.empty((adata.n_obs, predictor.n_genes))
    for at, block in iterate(adata, data.spec):
        x = dense(block)[:, column]
        held = 0.0 if factual.offset is None else factual.offset[at]  # effect of continuous covariates
        size = None if factual.size is None else factual.size[at]
        change = MovedCells(predictor.fit.mechanisms, before.rows(inverse[at]), after.rows(asked[at]), group[at])
        out[at] = predictor.observation.move(x - held, change, size, rng) + held
    return out, request, group


@dataclass(frozen=True)
class MovedCells:
    """Interventions on given cells before and after, for a noise model to move their data."""

    mechanisms: Mechanisms | NeuralMechanisms  # of the fit
    # interventions on the n cells, in units of the causal layer
    before: Moved
    after: Moved
    group: np.ndarray  # (n,) baseline groups
    # mechanisms afterwards, where these are changed as well; None for the same
    operated: Mechanisms | NeuralMechanisms | None = None

    @property
    def afterwards(self) -> Mechanisms | NeuralMechanisms:
        """Mechanisms of the cells afterwards."""
        return self.mechanisms if self.operated is None else self.operated

    def replay(self, x: np.ndarray) -> np.ndarray:
        """Cells ``(n, G)`` under the new interventions, with the noise that they had; both in units of the causal layer."""
        noise = abduct(self.mechanisms, x, self.before, self.group)
        return propagate(self.afterwards, self.after, self.group, noise)

    def means(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Means before and after ``(n, G)``, in units of the causal layer, and variances around the former ``(G,)``.

        Mechanisms are linear and interventions shifts, so that every cell moves by the difference of its means.
        """
        before = mean_cells(self.mechanisms, self.before, self.group)
        after = mean_cells(self.afterwards, self.after, self.group)
        return before, after, variance(self.mechanisms.weights(), self.mechanisms.noise_sd)


def distinct(request: Request) -> tuple[Request, np.ndarray]:
    """Distinct rows of a request, by drugs, doses and groups."""
    keys = pd.DataFrame(np.column_stack([request.dose, request.group.argmax(axis=1)]))
    inverse = keys.groupby(list(keys.columns), sort=True).ngroup().to_numpy()
    first = np.unique(inverse, return_index=True)[1]
    return request.rows(first), inverse
