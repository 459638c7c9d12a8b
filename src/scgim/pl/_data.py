"""Reads what pictures need from the fitted object: one row a perturbation, at one dose."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scgim import _keys


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


def as_list(value: Any) -> list[str]:
    """One column or several as a list."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else [str(v) for v in np.asarray(value, dtype=object).ravel()]


def gene_names(adata: Any, gene_symbols: str | None) -> list[str]:
    """What genes are called in a picture: their index, or a column of ``adata.var``."""
    if gene_symbols is None:
        return [str(gene) for gene in adata.var_names]
    if gene_symbols not in adata.var:
        raise KeyError(f"gene_symbols={gene_symbols!r} is not a column of adata.var; found {list(adata.var.columns)}.")
    column = adata.var[gene_symbols].astype(object).where(adata.var[gene_symbols].notna(), adata.var_names)
    return [str(gene) for gene in column]


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
    params, contexts = _keys.PARAMS.find(adata, key), _keys.CONTEXTS.find(adata, key)
    probability = np.asarray(_keys.TARGET_PROBABILITY.find(adata, key), float).T  # (K, G)
    effect = np.asarray(_keys.EFFECT.find(adata, key), float).T
    columns, doses = as_list(params["perturbation_key"]), as_list(params.get("dose_key"))
    names, total = perturbation_names(contexts, columns, doses, str(params["control"]))
    table = pd.DataFrame({"name": names, "dose": total, "n": contexts["n_cells"].to_numpy(float)})
    kept = table[table["name"] != ""]
    if dose == "highest":
        top = kept.groupby("name", sort=False)["dose"].transform("max")
        kept = kept[(kept["dose"] == top) | top.isna()]
    elif dose != "all":
        if isinstance(dose, str) or not doses:
            raise ValueError(
                f"dose: expected 'highest', 'all' or a number{'' if doses else ' (no dose was registered)'}, found {dose!r}."
            )
        kept = kept[np.isclose(kept["dose"], float(dose))]
        if kept.empty:
            raise ValueError(
                f"dose: no perturbation was measured at {dose!r}; found {sorted(set(table['dose'].dropna()))}."
            )
    groups = kept.groupby(["name", "dose"], sort=False, dropna=False)
    rows: list[Any] = [(name, amount, part.index.to_numpy(), part["n"].to_numpy()) for (name, amount), part in groups]
    return Fitted(
        label=[n if dose == "highest" or np.isnan(d) else f"{n} @ {d:g}" for n, d, _, _ in rows],
        perturbation=[n for n, _, _, _ in rows],
        dose=np.array([d for _, d, _, _ in rows], float),
        probability=_pool(probability, rows),
        effect=_pool(effect, rows),
        genes=gene_names(adata, gene_symbols),
        exact=params.get("mechanism") == "linear" and params.get("intervention") == "shift",
    )


def perturbation_names(
    contexts: pd.DataFrame, columns: list[str], doses: list[str], control: str
) -> tuple[list[str], np.ndarray]:
    """The perturbation of each context ("" for control, parts of a combination joined by +) and its total dose."""
    parts = contexts[columns].astype(str).to_numpy()  # (K, columns)
    names = [" + ".join(sorted(p for p in row if p != control)) for row in parts]
    if not doses:
        return names, np.full(len(names), np.nan)
    amount = np.where(parts != control, contexts[doses].to_numpy(float), 0.0)
    return names, amount.sum(1)


def _pool(values: np.ndarray, rows: list[Any]) -> np.ndarray:
    """Means over batches, weighted by cells."""
    if not rows:
        return np.zeros((0, values.shape[1]))
    return np.stack([np.average(values[index], axis=0, weights=np.maximum(n, 1)) for _, _, index, n in rows])


def find(fitted: Fitted, perturbation: str) -> int:
    """The row of a perturbation; a KeyError that lists near names if it was not fitted."""
    from difflib import get_close_matches

    wanted = " + ".join(sorted(part.strip() for part in perturbation.split(" + ")))
    for row, name in enumerate(fitted.perturbation):
        if name in (perturbation, wanted):
            return row
    near = get_close_matches(perturbation, fitted.perturbation, n=3) or fitted.perturbation[:5]
    raise KeyError(f"perturbation={perturbation!r} is not among the fitted ones; did you mean one of {near}?")
