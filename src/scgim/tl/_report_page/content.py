"""What the page of results holds, as plain lists and numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from scgim import _keys
from scgim.get import network, targets
from scgim.get._tables import gene_names, in_targets, perturbation_names
from scgim.pl._drawing.layout import layered

LEAST_PROBABILITY = 0.01  # of a target that the table lists, beside the first genes of every perturbation
FIRST_GENES = 5  # of every perturbation, however improbable
MOST_ROWS = 20_000
MOST_EDGES = 120  # of the graph, the strongest: more cannot be read on a page
SURE = 0.9  # probability from which a target is called in the summary


def content(
    adata: Any, key: str, title: str, gene_symbols: str | None, evaluation: pd.DataFrame | None
) -> dict[str, Any]:
    """Everything that the page shows, for JSON.

    Parameters
    ----------
    adata
        The fitted object.
    key
        The ``key_added`` of the fit.
    title
        Heading.
    gene_symbols
        Column of ``adata.var`` with the names to show.
    evaluation
        Result of :func:`scgim.tl.evaluate`, or None.
    """
    params, contexts = _keys.PARAMS.find(adata, key), _keys.CONTEXTS.find(adata, key)
    names = dict(zip(adata.var_names.astype(str), gene_names(adata, gene_symbols), strict=True))
    table = targets(adata, level="drug", key=key)
    edges = network(adata, key=key, min_probability=0.0)
    return {
        "title": title,
        "summary": summary(adata.n_obs, len(names), contexts, table, edges),
        "targets": target_rows(table, names),
        "graph": graph(edges, names),
        "curves": curves(_keys.TARGETS.find(adata, key), table, params, names),
        "evaluation": [] if evaluation is None else scores(evaluation),
        "settings": settings(params),
    }


def summary(n_cells: int, n_genes: int, contexts: pd.DataFrame, table: pd.DataFrame, edges: pd.DataFrame) -> list[str]:
    """The results in sentences."""
    drugs = table["perturbation"].nunique()
    sure = table[table["probability"] >= SURE]
    hit = sure["perturbation"].nunique()
    lines = [
        f"{n_cells:,} cells and {n_genes:,} genes, {len(contexts):,} contexts (a perturbation at a dose in a batch, or a "
        f"control), {counted(drugs, 'perturbation')}.",
        f"{counted(len(sure), 'target')} with a probability of at least {SURE:g}, of {hit:,} of {counted(drugs, 'perturbation')}.",
        f"{counted(int((edges['probability'] >= SURE).sum()), 'edge')} with a probability of at least {SURE:g} in the graph.",
        "Probabilities hold under the model: a direct target is one among the genes that were modelled, and causes that "
        "were not measured can look like targets or edges. Read them as a ranking of hypotheses to be tested.",
    ]
    if hit:
        effect = (sure["effect"].abs() / sure["effect_sd"].where(sure["effect_sd"] > 0)).fillna(0.0)
        first = sure.loc[effect.sort_values(ascending=False, kind="stable").index].head(5)
        named = [f"{row.perturbation}: {row.gene} ({row.effect:+.2f})" for row in first.itertuples()]
        lines.insert(2, "The clearest, with the effect in units of the modelled expression: " + "; ".join(named) + ".")
    return lines


def counted(number: int, what: str) -> str:
    """A number with its noun."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def target_rows(table: pd.DataFrame, names: dict[str, str]) -> list[list[Any]]:
    """Rows of the table of targets: perturbation, gene, kind, probability, effect, its sd, false sign rate, rank."""
    keep = (table["probability"] >= LEAST_PROBABILITY) | (table["rank"] <= FIRST_GENES)
    part = table[keep].sort_values("probability", ascending=False, kind="stable").head(MOST_ROWS)
    kind = part["kind"].astype(str) if "kind" in part else pd.Series("", index=part.index)
    numbers = part[["probability", "effect", "effect_sd", "false_sign_rate"]].to_numpy(float, copy=True)
    numbers[:, 3] = numbers[:, 3].round(5)  # smaller rates say more of the model than of the data
    return [
        [str(drug), names.get(str(gene), str(gene)), how, *(short(v) for v in values), int(rank)]
        for drug, gene, how, values, rank in zip(
            part["perturbation"], part["gene"], kind, numbers, part["rank"], strict=True
        )
    ]


def graph(edges: pd.DataFrame, names: dict[str, str]) -> dict[str, Any]:
    """Places of the genes and the strongest edges between them."""
    part = edges[edges["probability"] > 0].head(MOST_EDGES)
    genes = list(dict.fromkeys([*part["source"], *part["target"]]))
    number = {gene: k for k, gene in enumerate(genes)}
    pairs = [(number[a], number[b]) for a, b in zip(part["source"], part["target"], strict=True)]
    place = layered(list(range(len(genes))), pairs)
    return {
        "genes": [
            [names.get(g, g), short(place.position[k][0]), short(-place.position[k][1])] for k, g in enumerate(genes)
        ],
        "edges": [
            [a, b, short(w), short(p)] for (a, b), w, p in zip(pairs, part["weight"], part["probability"], strict=True)
        ],
        "all": len(edges),
    }


def curves(contexts: pd.DataFrame, table: pd.DataFrame, params: Any, names: dict[str, str]) -> list[dict[str, Any]]:
    """Effects along the doses of the targets of each perturbation; empty where no doses were registered."""
    columns, doses = in_targets(params)
    if not doses:
        return []
    called = table[(table["probability"] >= _keys.CALLED) & (table["rank"] <= FIRST_GENES)]
    wanted = set(zip(called["perturbation"], called["gene"].astype(str), strict=True))
    label, dose = perturbation_names(contexts, columns, doses, str(params["control"]))
    long = pd.DataFrame(
        {
            "perturbation": label,
            "gene": contexts["gene"].astype(str).to_numpy(),
            "dose": dose,
            "effect": contexts["effect"].to_numpy(float),
            "sd": contexts["effect_sd"].to_numpy(float),
        }
    )
    long = long[[pair in wanted for pair in zip(long["perturbation"], long["gene"], strict=True)]]
    out: dict[str, dict[str, Any]] = {}
    for (drug, gene), part in long.groupby(["perturbation", "gene"], sort=False):
        mean = part.groupby("dose")[["effect", "sd"]].mean().reset_index()
        if len(mean) > 1:
            points = [[short(v) for v in row] for row in mean.to_numpy(float)]
            line = {"gene": names.get(str(gene), str(gene)), "points": points}
            out.setdefault(str(drug), {"perturbation": str(drug), "lines": []})["lines"].append(line)
    return list(out.values())


def scores(evaluation: pd.DataFrame) -> list[list[Any]]:
    """Median over contexts of every metric and method."""
    medians = evaluation.groupby(["metric", "method"], sort=False)["value"].median().reset_index()
    return [[str(m), str(method), short(v)] for m, method, v in medians.itertuples(index=False)]


def settings(params: Any, prefix: str = "") -> list[list[str]]:
    """Settings and versions as pairs of text, nested names joined by a dot."""
    out: list[list[str]] = []
    for name, value in params.items():
        if isinstance(value, dict):
            out += settings(value, f"{prefix}{name}.")
        elif not isinstance(value, pd.DataFrame):
            listed = (
                np.asarray(value, dtype=object).ravel().tolist() if isinstance(value, np.ndarray | list) else [value]
            )
            text = ", ".join(str(v) for v in listed[:20]) + (" ..." if len(listed) > 20 else "")
            out.append([f"{prefix}{name}", text])
    return out


def short(value: float) -> float | None:
    """Four digits; None for what is not a number, which JSON cannot hold."""
    return float(f"{value:.4g}") if np.isfinite(value) else None
