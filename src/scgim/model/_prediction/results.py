"""Tables and graphs of a fitted model (layer `model`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.special import expit

from scgim._checks import TABLE, checked, or_none
from scgim._core.arrays import LARGEST_ODDS, as_log_odds, log_odds_of_any
from scgim._core.effects import Effects
from scgim._core.kinds import KINDS
from scgim._keys import beside
from scgim.model._prediction.predictor import Predictor
from scgim.model._prediction.request import make_request, read_new_features

if TYPE_CHECKING:
    from scgim._core.design import Design
    from scgim._core.fit import Fit


SMALLEST_EDGE = 1e-6  # probabilities below this are not kept in the sparse matrix
REGULATOR = "regulator"  # kind of targets that are no gene
SMALLEST_SD = 1e-12  # of an effect, below which a ratio to it means nothing


def ranks(log_odds: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """Rank of each gene in its row, 1 for the most probable target; ties go to the larger absolute ratio of effect and sd."""
    order = np.lexsort((-np.abs(ratio), -log_odds), axis=1)
    out = np.empty(log_odds.shape, dtype=np.int64)
    np.put_along_axis(out, order, np.arange(1, log_odds.shape[1] + 1)[None, :], axis=1)
    return out


def target_table(
    rows: pd.DataFrame,
    genes: list[str],
    effects: Effects,
    kind: np.ndarray,
    log_odds: np.ndarray | None = None,
    more: dict[str, np.ndarray] | None = None,
) -> pd.DataFrame:
    """Long table with a line for each row and gene.

    Parameters
    ----------
    rows
        ``m`` rows of registered columns.
    genes
        G names.
    effects, kind
        Targets and effects, and the name of their kind, ``(m, G)`` each.
    log_odds
        ``(m, G)``; of the probability, with all digits; from it where not given.
    more
        Further columns, ``(m, G)`` each.
    """
    m, n_genes = effects.shape
    odds = as_log_odds(effects.probability) if log_odds is None else log_odds
    out = (
        rows.rename(columns=beside).reset_index(drop=True).loc[np.repeat(np.arange(m), n_genes)].reset_index(drop=True)
    )
    out["gene"] = pd.Categorical.from_codes(np.tile(np.arange(n_genes), m), categories=pd.Index(genes))
    kinds = [k for k in KINDS if k in set(np.ravel(kind))]
    named = np.ravel(kind).astype(object)
    named[~np.isin(np.ravel(kind), kinds)] = None  # of regulators
    out["kind"] = pd.Categorical(named, categories=kinds)
    numbers = {"probability": effects.probability, "log_odds": odds, "effect": effects.mean, "effect_sd": effects.sd}
    for name, values in numbers.items():
        out[name] = values.ravel()
    out["rank"] = ranks(odds, effects.mean / np.maximum(effects.sd, SMALLEST_SD)).ravel()
    for name, values in (more or {}).items():
        out[name] = values.ravel()
    return out


def what_contexts_rest_on(fit: Fit, design: Design, contexts: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Log odds of fitted contexts ``(m, G)``, and columns on what they rest on."""
    support = fit.support
    present, G = design.present[contexts], len(fit.genes)  # (m, D)
    more = {"identified": np.repeat([support.identified[drugs].all() for drugs in present], G)}
    if support.n_groups.max(initial=0) > 1:
        more["n_agree"] = np.stack([support.agree[drugs].min(axis=0) for drugs in present]).astype(int)
        more["n_strata"] = np.repeat([int(support.n_groups[drugs].min()) for drugs in present], G)
    return support.log_odds[contexts], more


def with_regulators(
    table: pd.DataFrame, rows: pd.DataFrame, fit: Fit, dose: np.ndarray, genes: list[str]
) -> pd.DataFrame:
    """The table with a line for each row and regulator after the genes of the row, and ranks over both.

    Parameters
    ----------
    table
        Of the genes, m rows after each other.
    rows
        ``m`` rows of registered columns.
    fit
        With regulators, or without, which leaves the table as it is.
    dose
        ``(m, D)``; of the fitted drugs.
    genes
        Names of the G genes.
    """
    found = fit.regulators
    if not found:
        return table
    names, m = list(found.network.names), len(rows)
    effects, odds = _of_regulators(fit, dose)
    own = target_table(rows, names, effects, np.full((m, len(names)), ""), odds).assign(kind=REGULATOR)
    if "identified" in table:
        own["identified"] = np.repeat(table["identified"].to_numpy().reshape(m, -1).all(axis=1), len(names))
    for column in ("n_agree", "n_strata"):
        if column in table:
            own[column] = 0  # regulators are not judged by batch
    both = pd.concat([part.astype({"gene": object, "kind": object}) for part in (table, own)])
    row = np.concatenate([np.repeat(np.arange(m), len(genes)), np.repeat(np.arange(m), len(names))])
    both = both.iloc[np.argsort(row, kind="stable")].reset_index(drop=True)
    nodes = pd.Index([*genes, *(name for name in names if name not in set(genes))])
    kinds = [kind for kind in (*KINDS, REGULATOR) if (both["kind"] == kind).any()]
    both["gene"], both["kind"] = pd.Categorical(both["gene"], nodes), pd.Categorical(both["kind"], kinds)
    ratio = both["effect"].to_numpy() / np.maximum(both["effect_sd"].to_numpy(), SMALLEST_SD)
    both["rank"] = ranks(both["log_odds"].to_numpy().reshape(m, -1), ratio.reshape(m, -1)).ravel()
    return both


def _of_regulators(fit: Fit, dose: np.ndarray) -> tuple[Effects, np.ndarray]:
    """Changes of activity of T regulators in m rows of doses ``(m, D)``, with the log odds of these ``(m, T)``."""
    found = fit.regulators
    fraction = np.stack([fit.curves.fraction(d, np.maximum(dose[:, d], 0.0)) for d in range(len(fit.drugs))], axis=1)
    share = np.where(dose > 0, fraction, 0.0)[:, :, None]  # (m, D, 1)
    weight = share * found.probability  # (m, D, T)
    chance = np.maximum(weight.sum(axis=1), SMALLEST_SD)
    odds = np.stack([log_odds_of_any(found.log_odds[on]) for on in dose > 0])
    mean = (weight * found.activity * share).sum(axis=1) / chance
    sd = np.sqrt((weight * (found.activity_sd * share) ** 2).sum(axis=1) / chance)
    return Effects(expit(odds), mean, sd), np.clip(odds, -LARGEST_ODDS, LARGEST_ODDS)


def with_responders(table: pd.DataFrame, fit: Fit, dose: np.ndarray) -> pd.DataFrame:
    """The table of m rows with doses ``(m, D')`` of the fitted and new drugs, with columns on the cells that respond, where these were learned."""
    if not fit.penetrance or not len(dose):
        return table
    share, low, high = (np.repeat(v, len(table) // len(dose)) for v in fit.penetrance.at(dose))
    more = {"penetrance": share, "penetrance_low": low, "penetrance_high": high}
    return table.assign(**more, effect_of_responders=table["effect"] / share)


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
        One line for each perturbation and gene: the registered columns (with ``obs_`` before a name that is one of the following), `gene`, `kind` (of intervention), `probability`
        (that the perturbation acts on this gene's mechanism), `log_odds` (of that, which tells genes apart whose
        probabilities are all 1), `effect` (given that, in units of the modelled expression), `effect_sd`, and `rank` (1
        for the largest log odds). Where regulators were given, each has a line of its own: `kind` "regulator", its name under
        `gene`, and as `effect` the change of its activity, in units of what its average target moves by. Fitted contexts also have
        `identified` (False for drugs that were measured only
        together, or otherwise cannot be told apart; shifts share the probability), and, with several batches, those of
        shifts `n_agree` (batches and other strata whose own estimate has the sign of the drug's) of `n_strata`. Models with
        `penetrance` have the share of the cells that respond to the drugs as `penetrance`, the ends of its 90 % interval as
        `penetrance_low` and `penetrance_high`, and the effect in these cells as `effect_of_responders`; `effect` is the mean over
        all cells.

        Raises
        ------
        RuntimeError
            The model is not trained.
        KeyError, TypeError, ValueError
            See :meth:`predict`.

        Examples
        --------
        >>> model.get_targets().query("probability > 0.5")
        """
        predictor: Predictor = self._predictor()  # type: ignore[attr-defined]
        data, fit = predictor.data, predictor.fit
        if perturbations is None and features is not None:
            raise ValueError(
                "features: are of `perturbations`, found None there; leave them out, or name the perturbations."
            )
        if perturbations is None:
            perturbed = np.flatnonzero(~data.design.control)
            rows = data.table.drop(columns="n_cells").iloc[perturbed]
            rests = what_contexts_rest_on(fit, data.design, perturbed)
            table = target_table(rows, data.genes, fit.of_context[perturbed], fit.kind_of_context[perturbed], *rests)
            table = with_regulators(table, rows, fit, data.design.dose[perturbed], data.genes)
            return with_responders(table, fit, data.design.dose[perturbed])
        request = make_request(perturbations, data, self.adjustment_)  # type: ignore[attr-defined]
        components = predictor.components(request, read_new_features(features, data, request))
        table = target_table(request.table, data.genes, *components.marginal())
        table = with_regulators(table, request.table, fit, request.dose[:, : len(fit.drugs)], data.genes)
        return with_responders(table, fit, request.dose)

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
        >>> weights, probabilities = model.get_graph()
        """
        fit: Fit = self.fitted  # type: ignore[attr-defined]
        probability = np.where(fit.graph.probability > SMALLEST_EDGE, fit.graph.probability, 0.0)
        return sparse.csr_matrix(fit.graph.weights), sparse.csr_matrix(probability)
