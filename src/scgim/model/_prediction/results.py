"""Tables and graphs of a fitted model (layer `model`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from scgim.model._prediction.components import KINDS
from scgim.model._prediction.predictor import Predictor
from scgim.model._prediction.request import make_request, read_new_features

if TYPE_CHECKING:
    from scgim._core.learn.fit import Fit


def ranks(probability: np.ndarray, effect: np.ndarray) -> np.ndarray:
    """Rank of each gene in its row, 1 for the most probable target; ties go to the larger effect."""
    order = np.lexsort((-np.abs(effect), -probability), axis=1)
    out = np.empty(probability.shape, dtype=np.int64)
    np.put_along_axis(out, order, np.arange(1, probability.shape[1] + 1)[None, :], axis=1)
    return out


def target_table(rows: pd.DataFrame, genes: list[str], values: tuple[np.ndarray, ...]) -> pd.DataFrame:
    """Long table with a line for each row and gene.

    Parameters
    ----------
    rows
        ``m`` rows of registered columns.
    genes
        G names.
    values
        Probability, effect, standard deviation and kind, ``(m, G)`` each.
    """
    probability, effect, effect_sd, kind = values
    m, n_genes = probability.shape
    out = rows.reset_index(drop=True).loc[np.repeat(np.arange(m), n_genes)].reset_index(drop=True)
    out["gene"] = pd.Categorical.from_codes(np.tile(np.arange(n_genes), m), categories=pd.Index(genes))
    out["kind"] = pd.Categorical(np.asarray(kind).ravel(), categories=[k for k in KINDS if k in set(np.ravel(kind))])
    out["probability"], out["effect"], out["effect_sd"] = probability.ravel(), effect.ravel(), effect_sd.ravel()
    out["rank"] = ranks(probability, probability * effect).ravel()
    return out


class ResultsMixin:
    """What a trained :class:`scgim.model.GIM` has learned, as tables."""

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
        data = predictor.data
        if perturbations is None:
            perturbed = np.flatnonzero(~data.design.control)
            rows = data.table.drop(columns="n_cells").iloc[perturbed]
            return target_table(rows, data.genes, self._of_contexts(predictor, perturbed))
        request = make_request(perturbations, data, self._adjustment())  # type: ignore[attr-defined]
        components = predictor.components(request, read_new_features(features, data, request))
        return target_table(request.table, data.genes, predictor.marginal(components, len(request.table)))

    @staticmethod
    def _of_contexts(predictor: Predictor, perturbed: np.ndarray) -> tuple[np.ndarray, ...]:
        fit, design = predictor.fit, predictor.data.design
        kind = np.empty((len(perturbed), len(fit.genes)), dtype=object)
        for i, k in enumerate(perturbed):
            drugs = np.flatnonzero(design.dose[k])
            kind[i] = np.asarray(fit.kind)[drugs[fit.probability[drugs].argmax(axis=0)], np.arange(len(fit.genes))]
        return (
            fit.context_probability[perturbed],
            fit.context_effect[perturbed],
            fit.context_effect_sd[perturbed],
            kind,
        )

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
        fit: Fit = self.fit  # type: ignore[attr-defined]
        probability = np.where(np.asarray(fit.graph_probability) > 1e-6, fit.graph_probability, 0.0)
        return sparse.csr_matrix(np.asarray(fit.graph, float)), sparse.csr_matrix(probability)
