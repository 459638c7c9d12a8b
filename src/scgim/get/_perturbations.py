"""Targets as an AnnData with one row a perturbation."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scgim import _keys
from scgim._checks import DOSE, FITTED, TEXT, checked
from scgim.get._tables import (
    as_list,
    as_log_odds,
    check_names,
    measured,
    perturbation_names,
    regulators_of,
    warn_of_absent,
)

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@checked(adata=FITTED, key=TEXT, dose=DOSE)
def perturbations(adata: "AnnData | MuData", *, key: str = _keys.DEFAULT, dose: str | float = "highest") -> "AnnData":
    """Perturbations as rows, genes as columns, for clustering and for the perturbation spaces of pertpy.

    Parameters
    ----------
    adata
        AnnData or MuData that :func:`scgim.tl.fit` has written to.
    key
        The ``key_added`` of the fit.
    dose
        ``"highest"`` for the highest dose of each perturbation, ``"all"`` for one row a dose, or a dose.

    Returns
    -------
    AnnData (P, G), pooled over batches:

    `.X` : float32
        Expected effect: probability of a target times the effect if it is one, in units of the modelled expression.
    `.layers['effect']`, `.layers['probability']` : float32
        The two apart.
    `.layers['log_odds']` : float32
        Log odds of a target, which tell genes apart whose probabilities are all 1.
    `.obs` : DataFrame
        `perturbation`, `dose` (nan where none was registered), `n_cells`, `target` (the most probable gene; below 1/2 the
        most probable regulator, as "name (regulator)", or "unassigned"), `target_probability`.
    `.var` : DataFrame
        That of ``adata``.

    Warns
    -----
    UserWarning
        Genes of the fit are not in ``adata``.

    Raises
    ------
    KeyError
        If ``adata`` has not been fitted with this ``key``.
    ValueError
        If no perturbation was measured at ``dose``.

    Examples
    --------
    >>> space = scgim.get.perturbations(adata)
    >>> sc.pp.pca(space, n_comps=2)
    """
    from anndata import AnnData

    check_names(adata, key)
    warn_of_absent(adata, key)
    rows = measured(adata, key, dose)
    probability = rows.pool(np.asarray(_keys.TARGET_PROBABILITY.find(adata, key), float).T)  # (P, G)
    effect = rows.pool(np.asarray(_keys.EFFECT.find(adata, key), float).T)  # (P, G)
    log_odds = rows.pool(_log_odds(adata, key))  # (P, G)
    best = log_odds.argmax(axis=1) if len(probability) else np.zeros(0, int)
    top = probability[np.arange(len(best)), best]
    genes = np.asarray(adata.var_names, dtype=object)
    label = np.where(top >= _keys.CALLED, genes[best], _keys.UNASSIGNED) if len(best) else np.zeros(0, dtype=object)
    found = regulators_of(adata, key, dose)
    for row in np.flatnonzero((top < _keys.CALLED) & (found.probability.max(axis=1, initial=0.0) >= _keys.CALLED)):
        first = found.probability[row].argmax()
        label[row], top[row] = f"{found.names[first]}{_keys.REGULATOR_MARK}", found.probability[row, first]
    obs = pd.DataFrame(
        {
            "perturbation": pd.Categorical(rows.perturbation),
            "dose": rows.dose,
            "n_cells": np.array([n.sum() for n in rows.n_cells], dtype=int),
            "target": pd.Categorical(label.astype(str)),
            "target_probability": top.astype(np.float32),
        },
        index=_names(rows.perturbation, rows.dose, several=dose == "all"),
    )
    out = AnnData((probability * effect).astype(np.float32), obs=obs, var=adata.var.copy())
    out.layers["log_odds"] = log_odds.astype(np.float32)
    out.layers["effect"], out.layers["probability"] = effect.astype(np.float32), probability.astype(np.float32)
    return out


def _names(perturbation: list[str], dose: np.ndarray, *, several: bool) -> list[str]:
    """One name a row, with the dose where a perturbation has several rows."""
    if not several:
        return list(perturbation)
    return [name if np.isnan(d) else f"{name} @ {d:g}" for name, d in zip(perturbation, dose, strict=True)]


def _log_odds(adata: Any, key: str) -> np.ndarray:
    """Log odds of every context and gene ``(K, G)`` as the fit wrote them; from the probabilities in older results and in modalities."""
    out = as_log_odds(np.asarray(_keys.TARGET_PROBABILITY.find(adata, key), float).T)
    table, contexts, params = (place.find(adata, key) for place in (_keys.TARGETS, _keys.CONTEXTS, _keys.PARAMS))
    names, _ = perturbation_names(contexts, as_list(params["perturbation_key"]), [], str(params["control"]))
    perturbed = np.array([name != "" for name in names])
    genes = np.asarray(adata.var_names, dtype=object).astype(str)
    if "log_odds" in table and table["gene"].astype(str).tolist() == genes.tolist() * int(perturbed.sum()):
        out[perturbed] = table["log_odds"].to_numpy(float).reshape(-1, len(genes))
    return out
