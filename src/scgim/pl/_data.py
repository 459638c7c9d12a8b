"""Reads what pictures need from the fitted object: one row a perturbation, at one dose."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from scgim import _keys
from scgim.get._tables import find_perturbation, gene_names, measured


@dataclass
class Fitted:
    """Perturbations at one dose each (or every dose), pooled over batches; P rows, G genes."""

    label: list[str]  # (P,)
    perturbation: list[str]  # (P,) without the dose
    dose: np.ndarray  # (P,) nan where there is none
    probability: np.ndarray  # (P, G)
    effect: np.ndarray  # (P, G)
    genes: list[str]
    exact: bool  # whether changes follow from the edge weights alone (linear mechanisms, shifts)


def read(adata: Any, key: str, *, dose: str | float = "highest", gene_symbols: str | None = None) -> Fitted:
    """Collect perturbations, probabilities and effects.

    Parameters
    ----------
    adata
        The fitted object.
    key
        The ``key_added`` of the fit.
    dose
        ``"highest"`` for the highest dose of each perturbation, ``"all"`` for one row a dose, or a dose.
    gene_symbols
        Column of ``adata.var`` to call genes by.
    """
    params = _keys.PARAMS.find(adata, key)
    rows = measured(adata, key, dose)
    probability = rows.pool(np.asarray(_keys.TARGET_PROBABILITY.find(adata, key), float).T)  # (P, G)
    effect = rows.pool(np.asarray(_keys.EFFECT.find(adata, key), float).T)
    pairs = list(zip(rows.perturbation, rows.dose, strict=True))
    return Fitted(
        label=[n if dose == "highest" or np.isnan(d) else f"{n} @ {d:g}" for n, d in pairs],
        perturbation=rows.perturbation,
        dose=rows.dose,
        probability=probability,
        effect=effect,
        genes=gene_names(adata, gene_symbols),
        exact=params.get("mechanism") == "linear" and params.get("intervention") == "shift",
    )


def find(fitted: Fitted, perturbation: str) -> int:
    """The row of a perturbation; a KeyError that lists near names if it was not fitted."""
    return find_perturbation(fitted.perturbation, perturbation)
