"""From a fitted model to :class:`scgim.tl._fitting.write.Results`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scgim.tl._fitting.write import Results

if TYPE_CHECKING:
    from scgim.model import GIM


def results_of(model: GIM, params: dict[str, Any]) -> Results:
    """Collect what is written to AnnData.

    Parameters
    ----------
    model
        A trained model with its data.
    params
        Settings to record.
    """
    fit, study = model.fitted, model.study
    weights, probabilities = model.get_graph()
    modality = study.modality
    return Results(
        genes=[str(gene) for gene in fit.genes],
        contexts=model.contexts,
        control=model.design.control,
        context_of_cell=model.cells().index,
        probability=fit.of_context.probability,
        effect=fit.of_context.mean,
        weights=weights,
        graph_probability=probabilities,
        targets=model.get_targets(),
        history=history_table(model.history or {}, ((model.history_ or {}).get("search_score") or {}).get("stage")),
        modality=list(modality) if any(m is not None for m in modality) else [],
        params=params | {"n_genes": len(fit.genes)},
        regulated=fit.regulated_at(model.design.dose) if fit.regulators else None,
    )


def history_table(history: dict[str, pd.DataFrame], searches: list[str] | None = None) -> pd.DataFrame:
    """The objective as a tidy table.

    Parameters
    ----------
    history
        One table for each metric; those of the structure search start with ``search_``.
    searches
        Which search each of its scores is of.

    Returns
    -------
    Columns ``stage``, ``metric``, ``step``, ``value``.
    """
    columns = {"stage": str, "metric": str, "step": np.int64, "value": np.float64}
    parts = [pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in columns.items()})] if not history else []
    for name, table in history.items():
        value = pd.to_numeric(table.iloc[:, 0], errors="coerce").to_numpy(float)
        kept = np.isfinite(value)
        step = np.arange(len(value)) if table.index.dtype == object else np.asarray(table.index, dtype=np.int64)
        metric = name.removeprefix("search_")
        stages = ["training"] * len(value) if metric == name else searches or ["search"] * len(value)
        stage = np.array(stages, dtype=object)[kept]
        parts.append(pd.DataFrame({"stage": stage, "metric": metric, "step": step[kept], "value": value[kept]}))
    return pd.concat(parts, ignore_index=True)
