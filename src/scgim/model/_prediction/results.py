"""Tables and graphs of a fitted model (layer `model`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from scgim._checks import TABLE, checked, or_none
from scgim._core.effects import Effects
from scgim._core.kinds import KINDS
from scgim.model._prediction.predictor import Predictor
from scgim.model._prediction.request import make_request, read_new_features

if TYPE_CHECKING:
    from scgim._core.fit import Fit


SMALLEST_EDGE = 1e-6  # probabilities below this are not kept in the sparse matrix


def ranks(probability: np.ndarray, effect: np.ndarray) -> np.ndarray:
    """Rank of each gene in its row, 1 for the most probable target; ties go to the larger effect."""
    order = np.lexsort((-np.abs(effect), -probability), axis=1)
    out = np.empty(probability.shape, dtype=np.int64)
    np.put_along_axis(out, order, np.arange(1, probability.shape[1] + 1)[None, :], axis=1)
    return out


def target_table(rows: pd.DataFrame, genes: list[str], effects: Effects, kind: np.ndarray) -> pd.DataFrame:
    """Long table with a line for each row and gene.

    Parameters
    ----------
    rows
        ``m`` rows of registered columns.
    genes
        G names.
    effects, kind
        Targets and effects, and the name of their kind, ``(m, G)`` each.
    """
    m, n_genes = effects.shape
    out = rows.reset_index(drop=True).loc[np.repeat(np.arange(m), n_genes)].reset_index(drop=True)
    out["gene"] = pd.Categorical.from_codes(np.tile(np.arange(n_genes), m), categories=pd.Index(genes))
    out["kind"] = pd.Categorical(np.asarray(kind).ravel(), categories=[k for k in KINDS if k in set(np.ravel(kind))])
    out["probability"], out["effect"], out["effect_sd"] = (
        v.ravel() for v in (effects.probability, effects.mean, effects.sd)
    )
    out["rank"] = ranks(effects.probability, effects.expected).ravel()
    return out


class ResultsMixin:
    """What a trained :class:`scgim.model.GIM` has learned, as tables."""

    @checked(perturbations=or_none(TABLE))
    def get_targets(self, perturbations: pd.DataFrame | None = None, *, features: Any = None) -> pd.DataFrame:
        """Targets and effects, of the fitted contexts or of any perturbations.

        Parameters
        ----------
        perturbations
            DataFrame with the registered columns; new doses, combinations and drugs are allowed, see :meth:`predict`.
            None: every fitted context with a drug.
        features
            Features of unknown drugs, see :meth:`predict`.

        Returns
        -------
        One line for each perturbation and gene: the registered columns, `gene`, `kind` (of intervention), `probability`
        (that the perturbation acts on this gene's mechanism), `effect` (given that, in units of the modelled
        expression), `effect_sd`, and `rank` (1 for the most probable target).

        Raises
        ------
        RuntimeError
            The model is not trained.
        KeyError, TypeError, ValueError
            See :meth:`predict`.

        Examples
        --------
        >>> model.get_targets().query("probability > 0.5")  # doctest: +SKIP
        """
        predictor: Predictor = self._predictor()  # type: ignore[attr-defined]
        data, fit = predictor.data, predictor.fit
        if perturbations is None:
            perturbed = np.flatnonzero(~data.design.control)
            rows = data.table.drop(columns="n_cells").iloc[perturbed]
            return target_table(rows, data.genes, fit.of_context[perturbed], fit.kind_of_context[perturbed])
        request = make_request(perturbations, data, self._adjustment())  # type: ignore[attr-defined]
        components = predictor.components(request, read_new_features(features, data, request))
        return target_table(request.table, data.genes, *components.marginal())

    def get_graph(self) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """The graph over genes.

        Returns
        -------
        Signed weights (change of the column's gene per unit of the row's gene) and probabilities of the edges, both
        ``(G, G)``; entry ``[i, j]`` says that gene i acts on gene j.

        Raises
        ------
        RuntimeError
            The model is not trained.

        Examples
        --------
        >>> weights, probabilities = model.get_graph()  # doctest: +SKIP
        """
        fit: Fit = self.fitted  # type: ignore[attr-defined]
        probability = np.where(fit.graph.probability > SMALLEST_EDGE, fit.graph.probability, 0.0)
        return sparse.csr_matrix(fit.graph.weights), sparse.csr_matrix(probability)
