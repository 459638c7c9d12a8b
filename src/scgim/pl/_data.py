"""Reads what pictures need from the fitted object: one row a perturbation, at one dose."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scgim import _keys
from scgim.get._tables import Measured, find_perturbation, gene_names, measured, regulators_of


@dataclass
class Fitted:
    """Perturbations at one dose each (or every dose), pooled over batches; P rows, G genes."""

    label: list[str]  # (P,)
    perturbation: list[str]  # (P,) without the dose
    dose: np.ndarray  # (P,) nan where there is none
    probability: np.ndarray  # (P, G)
    effect: np.ndarray  # (P, G)
    kind: np.ndarray  # (P, G) str, kind of intervention
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
        kind=_kinds(_keys.TARGETS.find(adata, key), rows, [str(g) for g in adata.var_names], adata, key),
        genes=gene_names(adata, gene_symbols),
        exact=params.get("mechanism") == "linear" and params.get("intervention") == "shift",
    )


def _kinds(targets: Any, rows: Measured, genes: list[str], adata: Any, key: str) -> np.ndarray:
    """Kind of the intervention of each perturbation on each gene, ``(P, G)``; that of its first context."""
    if "kind" in targets:
        targets = targets[targets["kind"] != "regulator"]
    names = [str(k) for k in np.unique(targets["kind"].astype(str))] if "kind" in targets else []
    out = np.full((len(rows.rows), len(genes)), names[0] if len(names) == 1 else "shift", dtype=object)
    if len(names) < 2:
        return out
    contexts = _keys.CONTEXTS.find(adata, key)
    columns = [c for c in contexts.columns if c != "n_cells"]
    place = {gene: g for g, gene in enumerate(genes)}
    by_context = dict(
        list(targets.groupby([_keys.beside(c) for c in columns], sort=False, observed=True, dropna=False))
    )
    for p, own in enumerate(rows.rows):
        values = tuple(contexts[columns].iloc[int(own[0])])
        part = by_context.get(values)
        if part is not None:
            at = [place[g] for g in part["gene"].astype(str)]
            out[p, at] = part["kind"].astype(str).to_numpy()
    return out


def with_regulators(fitted: Fitted, adata: Any, key: str, dose: str | float = "highest") -> Fitted:
    """The same with a column for each regulator that some perturbation changes more probably than not, after the genes.

    Parameters
    ----------
    fitted
        Of the genes.
    adata, key, dose
        See `read`.
    """
    found = regulators_of(adata, key, dose)
    probability, effect, names = found.probability, found.activity, found.names  # (P, T)
    shown = np.flatnonzero((probability >= _keys.CALLED).any(axis=0))
    return replace(
        fitted,
        probability=np.hstack([fitted.probability, probability[:, shown]]),
        effect=np.hstack([fitted.effect, effect[:, shown]]),
        kind=np.hstack([fitted.kind, np.full((len(fitted.kind), len(shown)), "regulator", dtype=object)]),
        genes=[*fitted.genes, *(names[t] for t in shown)],
    )


def find(fitted: Fitted, perturbation: str) -> int:
    """The row of a perturbation; a KeyError that lists near names if it was not fitted."""
    return find_perturbation(fitted.perturbation, perturbation)
