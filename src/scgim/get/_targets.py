"""The table of targets."""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.special import ndtr

from scgim import _keys
from scgim._checks import FITTED, TEXT, checked, number, one_of, or_none
from scgim.get._tables import check_names, gene_names, in_targets, perturbation_names

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData

SHARED = ("kind", "identified", "n_agree", "n_strata")
"""Columns that all contexts of a perturbation share."""
OF_RESPONDERS = ("penetrance", "penetrance_low", "penetrance_high", "effect_of_responders")
"""Columns of fits with `penetrance`."""


@checked(
    adata=FITTED,
    level=one_of("context", "drug"),
    key=TEXT,
    min_probability=number(0, 1),
    max_false_sign_rate=or_none(number(0, 1)),
    gene_symbols=or_none(TEXT),
)
def targets(
    adata: "AnnData | MuData",
    *,
    level: Literal["context", "drug"] = "context",
    key: str = _keys.DEFAULT,
    min_probability: float = 0.0,
    max_false_sign_rate: float | None = None,
    gene_symbols: str | None = None,
) -> "pd.DataFrame":
    """Inferred targets, one row for each fitted context or perturbation and gene.

    Parameters
    ----------
    adata
        AnnData or MuData that :func:`scgim.tl.fit` has written to.
    level
        ``"context"``: every fitted context (perturbation, dose, batch and covariates). ``"drug"``: every perturbation once,
        whatever its doses and batches.
    key
        The ``key_added`` of the fit.
    min_probability
        Keep only the genes that are a target with at least this probability.
    max_false_sign_rate
        Keep only the genes whose `false_sign_rate` is at most this.
    gene_symbols
        Column of ``adata.var`` with other names of the genes, added as a column `symbol`.

    Returns
    -------
    The columns are those of :meth:`scgim.model.GIM.get_targets`, with `false_sign_rate`: the probability that the gene is no target, or that
    the effect has the other sign (not from the paper). ``level="context"`` has the order of the contexts. ``level="drug"`` has
    `perturbation` in place of the context's columns and `n_contexts`, their number, and is sorted by perturbation and rank; `effect`
    is that of the highest dose, averaged over batches.

    Raises
    ------
    KeyError
        If ``adata`` has not been fitted with this ``key``, or ``gene_symbols`` is not a column of ``adata.var``.
    ValueError
        If ``level`` is unknown, or a threshold is not between 0 and 1.

    Examples
    --------
    >>> scgim.get.targets(adata, level="drug", max_false_sign_rate=0.05)
    """
    check_names(adata, key)
    table = _keys.TARGETS.find(adata, key).copy()
    if level == "drug":
        table = by_drug(table, _keys.PARAMS.find(adata, key))
    table["false_sign_rate"] = false_sign_rate(
        *(table[c].to_numpy(float) for c in ("probability", "effect", "effect_sd"))
    )
    if gene_symbols is not None:
        symbol = dict(zip(adata.var_names.astype(str), gene_names(adata, gene_symbols), strict=True))
        gene = table["gene"].astype(str)
        table.insert(table.columns.get_loc("gene") + 1, "symbol", gene.map(symbol).fillna(gene))
    keep = table["probability"] >= min_probability
    if max_false_sign_rate is not None:
        keep &= table["false_sign_rate"] <= max_false_sign_rate
    return table[keep].reset_index(drop=True)


def false_sign_rate(probability: np.ndarray, effect: np.ndarray, effect_sd: np.ndarray) -> np.ndarray:
    """Probability that a call "target, with the sign of this effect" is wrong, elementwise.

    ``1 - p + p * Phi(-|effect| / effect_sd)``, for an effect that is Gaussian if the gene is a target.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(effect_sd > 0, np.abs(effect) / effect_sd, np.where(effect == 0, 0.0, np.inf))
    return 1 - probability + probability * ndtr(-ratio)


def by_drug(table: "pd.DataFrame", params: Any) -> "pd.DataFrame":
    """One row for each perturbation and gene, from one for each context and gene.

    Parameters
    ----------
    table
        Targets of the contexts.
    params
        Settings of the fit, which name the columns of perturbations and doses.
    """
    names, dose = perturbation_names(table, *in_targets(params), str(params["control"]))
    table = table.assign(perturbation=names, _dose=np.nan_to_num(dose))
    numbers = [c for c in ("log_odds", "probability", "effect", "effect_sd", *OF_RESPONDERS) if c in table]
    by, node = ["perturbation", "gene"], ["perturbation", "gene", "_node"]
    table["_node"] = (table["kind"] == "regulator") if "kind" in table else False  # which may have the name of a gene
    n_contexts = table.groupby(node, sort=False, observed=True).size().rename("n_contexts")
    top = table[table["_dose"] == table.groupby("perturbation", sort=False)["_dose"].transform("max")]
    groups = top.groupby(node, sort=False, observed=True)
    first = [c for c in SHARED if c in table]
    out = groups[first].first().join(groups[numbers].mean()).join(n_contexts).reset_index()
    score = out["log_odds"] if "log_odds" in out else out["probability"]
    ties = (out["effect"] / out["effect_sd"].where(out["effect_sd"] > 0)).abs().fillna(0.0)
    order = np.lexsort((-ties, -score))
    rank = out.iloc[order].groupby("perturbation", sort=False).cumcount() + 1
    out["rank"] = rank.reindex(out.index)
    place = {name: k for k, name in enumerate(dict.fromkeys(out["perturbation"]))}
    out = out.iloc[np.lexsort((out["rank"], out["perturbation"].map(place)))].reset_index(drop=True)
    return out[[*by, *(c for c in table.columns if c in (*first, *numbers, "rank")), "n_contexts"]]
