"""Prior knowledge: graphs as masks or edge probabilities, and known targets of drugs (layer `model`; not from the paper)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from scgim._core.posterior.regulation.network import Network
from scgim._warnings import warn_user

EDGES_PER_GENE = 2.0
"""Expected number of parents of a gene where nothing is known."""
HIGHEST = 0.999
"""Prior probabilities above this are lowered to it, so that data can speak against an edge."""


@dataclass(frozen=True)
class Knowledge:
    """What is known of a system before its cells are looked at."""

    # (G, G) prior probability of each edge, row causes column, 0 where forbidden; None where nothing is known
    edges: np.ndarray | None = None
    # (D, G) 1 where a drug is known to act, NaN elsewhere; None where nothing is known
    targets: np.ndarray | None = None
    network: Network | None = None  # regulators whose activity drugs may change; None where none is given

    @classmethod
    def of(
        cls,
        prior: dict[str, Any] | None,
        pairs: list[list[str]] | None,
        drugs: tuple[str, ...],
        genes: list[str],
        network: Network | None = None,
    ) -> Knowledge:
        """From what `normalise_graph_prior` and `normalise_known_targets` return."""
        known = known_targets_matrix(pairs, drugs, genes)
        return cls(prior_matrix(prior, len(genes)), None if known is None else np.where(known, 1.0, np.nan), network)


def base_probability(n_genes: int) -> float:
    """Prior probability of an edge about which nothing is known."""
    return min(0.5, EDGES_PER_GENE / max(n_genes - 1, 1))


def _checked(values: np.ndarray, what: str) -> np.ndarray:
    values = np.asarray(values)
    if values.dtype.kind not in "fiub":
        raise TypeError(f"graph_prior: expected numbers in {what}, found dtype {values.dtype}.")
    values = values.astype(float)
    if not np.isfinite(values).all() or values.min(initial=0) < 0 or values.max(initial=0) > 1:
        raise ValueError(f"graph_prior: expected probabilities between 0 and 1, or booleans, in {what}, found others.")
    return values


def _from_edges(edges: pd.DataFrame, genes: list[str]) -> np.ndarray:
    """An edge list: with probabilities the other edges keep the base probability, without it is a mask."""
    absent = [c for c in ("source", "target") if c not in edges]
    if absent:
        raise KeyError(
            f"graph_prior: an edge list needs the columns 'source' and 'target' (and may have 'probability'); "
            f"missing {absent}, found {list(edges.columns)}."
        )
    position = {name: i for i, name in enumerate(genes)}
    source, target = (edges[c].astype(str).map(position) for c in ("source", "target"))
    inside = (source.notna() & target.notna()).to_numpy()
    if not inside.any():
        raise ValueError(
            f"graph_prior: no edge joins two genes of the data; edges name {edges['source'].astype(str).tolist()[:3]}, "
            f"the genes are {genes[:3]} ..."
        )
    if not inside.all():
        warn_user(
            f"graph_prior: {(~inside).sum()} of {len(edges)} edges name genes that are not in the data; they are left out."
        )
    i, j = source[inside].astype(int).to_numpy(), target[inside].astype(int).to_numpy()
    base = base_probability(len(genes))
    if "probability" in edges:
        matrix = np.full((len(genes), len(genes)), base)
        matrix[i, j] = _checked(edges["probability"].to_numpy()[inside], "column 'probability'")
    else:
        matrix = np.zeros((len(genes), len(genes)))
        matrix[i, j] = base
    return matrix


def _from_matrix(matrix: Any, genes: list[str]) -> np.ndarray:
    """Edge probabilities, or a mask where all values are 0 and 1."""
    n_genes = len(genes)
    if sparse.issparse(matrix):
        matrix = matrix.toarray()
    try:
        values = np.asarray(matrix)
    except ValueError as error:  # rows of different lengths
        raise ValueError(
            f"graph_prior: expected shape {(n_genes, n_genes)}, found rows of different lengths."
        ) from error
    if values.shape != (n_genes, n_genes):
        raise ValueError(f"graph_prior: expected shape {(n_genes, n_genes)} (row causes column), found {values.shape}.")
    values = _checked(values, "the matrix")
    mask = np.isin(values, (0.0, 1.0)).all()
    return values * base_probability(n_genes) if mask else values


def normalise_graph_prior(prior: Any, genes: list[str], data: Any = None) -> dict[str, Any] | None:
    """A graph prior of any accepted form as plain lists, see `prior_matrix`.

    Parameters
    ----------
    prior
        None; an edge list (DataFrame with `source`, `target`, perhaps `probability`); a square DataFrame labelled by
        gene; a dense or sparse ``(G, G)`` matrix, row causes column; or a key of ``.varp``. Booleans, zeros and ones, and
        edge lists without probabilities are masks: edges outside them are forbidden.
    genes
        Names of the G genes.
    data
        Object that holds ``.varp``.

    Raises
    ------
    KeyError, TypeError, ValueError
    """
    if prior is None or (isinstance(prior, dict) and "probability" in prior and "rest" in prior):
        return prior  # the second is what a saved model holds
    matrix = _read(prior, genes, data)
    np.fill_diagonal(matrix, 0.0)
    if not (matrix > 0).any():
        raise ValueError("graph_prior: expected at least one edge that is allowed, found none; leave it out.")
    matrix = np.minimum(matrix, HIGHEST)
    values, counts = np.unique(matrix, return_counts=True)
    rest = float(values[counts.argmax()])
    row, column = np.nonzero(matrix != rest)
    return {
        "rest": rest,
        "row": row.tolist(),
        "column": column.tolist(),
        "probability": matrix[row, column].tolist(),
    }


def _read(prior: Any, genes: list[str], data: Any) -> np.ndarray:
    """Probabilities ``(G, G)`` from any accepted form."""
    if isinstance(prior, str):
        varp = getattr(data, "varp", {})
        if prior not in varp:
            raise KeyError(f"graph_prior: {prior!r} is not a key of adata.varp; found {list(varp)}.")
        prior = varp[prior]
    if isinstance(prior, pd.DataFrame):
        return _from_edges(prior, genes) if {"source", "target"} & set(prior) else _from_table(prior, genes)
    if sparse.issparse(prior) or isinstance(prior, (np.ndarray, list, tuple)):
        return _from_matrix(prior, genes)
    raise TypeError(
        "graph_prior: expected an edge list (DataFrame with 'source' and 'target'), a (G, G) matrix or a key of "
        f"adata.varp, found {type(prior).__name__}."
    )


def _from_table(table: pd.DataFrame, genes: list[str]) -> np.ndarray:
    """A square table labelled by gene."""
    table = table.set_axis(table.index.astype(str)).set_axis(table.columns.astype(str), axis=1)
    absent = sorted(set(genes) - set(table.index) | set(genes) - set(table.columns))
    if absent:
        raise KeyError(
            f"graph_prior: expected a row and a column for each gene, found none for {absent[:5]}; label both by gene, or give edges in "
            "columns source and target."
        )
    return _from_matrix(table.loc[genes, genes].to_numpy(), genes)


def prior_matrix(state: dict[str, Any] | None, n_genes: int) -> np.ndarray | None:
    """Prior edge probabilities ``(G, G)``, 0 where forbidden and on the diagonal; None without a prior."""
    if state is None:
        return None
    matrix = np.full((n_genes, n_genes), state["rest"])
    matrix[state["row"], state["column"]] = state["probability"]
    np.fill_diagonal(matrix, 0.0)
    return matrix


def normalise_known_targets(known: Any, drugs: tuple[str, ...], genes: list[str]) -> list[list[str]] | None:
    """Known targets as plain ``[drug, gene]`` pairs.

    Parameters
    ----------
    known
        DataFrame with the columns `drug` and `gene`, a dict of genes by drug, or pairs of names.
    drugs, genes
        Names in the data.

    Raises
    ------
    KeyError, TypeError
    """
    if known is None:
        return None
    if isinstance(known, pd.DataFrame):
        absent = [c for c in ("drug", "gene") if c not in known]
        if absent:
            raise KeyError(f"known_targets: missing column(s) {absent}; expected 'drug' and 'gene'.")
        pairs = known[["drug", "gene"]].astype(str).to_numpy().tolist()
    elif isinstance(known, Mapping) and all(isinstance(of, Iterable) for of in known.values()):
        pairs = [[str(d), str(gene)] for d, of in known.items() for gene in ([of] if isinstance(of, str) else of)]
    elif isinstance(known, (list, tuple)) and all(isinstance(p, (list, tuple)) and len(p) == 2 for p in known):
        pairs = [[str(drug), str(gene)] for drug, gene in known]
    else:
        raise TypeError(
            f"known_targets: expected a DataFrame with 'drug' and 'gene', a dict of lists of genes by drug, or pairs of names, found {type(known).__name__}."
        )
    for what, names, at in (("drug", set(drugs), 0), ("gene", set(genes), 1)):
        unknown = sorted({pair[at] for pair in pairs} - names)
        if unknown:
            raise KeyError(f"known_targets: {what}(s) {unknown[:5]} are not in the data; found {sorted(names)[:5]} ...")
    return pairs


def known_targets_matrix(pairs: list[list[str]] | None, drugs: tuple[str, ...], genes: list[str]) -> np.ndarray | None:
    """Known targets as booleans ``(D, G)``; None without any."""
    if pairs is None:
        return None
    row, column = {d: i for i, d in enumerate(drugs)}, {g: j for j, g in enumerate(genes)}
    out = np.zeros((len(drugs), len(genes)), bool)
    for drug, gene in pairs:
        out[row[drug], column[gene]] = True
    return out
