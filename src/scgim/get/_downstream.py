"""What follows from the targets of a perturbation."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import dijkstra
from scipy.sparse.linalg import spsolve

from scgim import _keys
from scgim._checks import DOSE, FITTED, TEXT, checked
from scgim.get._tables import (
    acted_on,
    check_names,
    find_perturbation,
    measured,
    regulated,
    regulators_of,
    warn_of_absent,
)

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@checked(adata=FITTED, perturbation=TEXT, key=TEXT, dose=DOSE)
def downstream(
    adata: "AnnData | MuData", perturbation: str, *, key: str = _keys.DEFAULT, dose: str | float = "highest"
) -> pd.DataFrame:
    """Genes that a perturbation changes, directly or through the graph.

    With edge weights ``A`` and expected effects ``s = probability * effect`` of the targets, the change of the means solves
    ``d = s + A' d``: exact for linear mechanisms and shifts, and a first approximation by average slopes elsewhere. What
    regulators add to genes is part of ``s``, and those of probability 1/2 start the network as targets do.

    Parameters
    ----------
    adata
        AnnData or MuData that :func:`scgim.tl.fit` has written to.
    perturbation
        One perturbation; the parts of a combination are joined by ``+``.
    key
        The ``key_added`` of the fit.
    dose
        ``"highest"`` or a dose that was measured.

    Returns
    -------
    One row for each gene with a change, the largest first: `gene`, `probability` (of being a target), `direct` (expected
    effect on the gene itself), `change` (of the mean, everything upstream included), `steps` (edges from the
    nearest target of probability 1/2; 0 for a target, -1 where there is no path). Changes are in units of the modelled
    expression. Where the fit was given regulators there are three more columns: `kind` ("gene" or "regulator"), `added` (by
    regulators, to the gene itself) and `regulators` (those that start the network and act on the gene, joined by ", "). The
    rows of regulators that start the network come first, with the expected change of their activity as `direct` and `change`.

    Warns
    -----
    UserWarning
        Genes of the fit are not in ``adata``.

    Raises
    ------
    KeyError
        If ``adata`` has not been fitted with this ``key``, or ``perturbation`` is not among the fitted ones.
    TypeError
        If ``perturbation`` is not text.
    ValueError
        If ``dose`` was not measured, or is ``"all"``.

    Examples
    --------
    >>> scgim.get.downstream(adata, "U0126").head()
    """
    if isinstance(dose, str) and dose != "highest":
        raise ValueError(f"dose: expected 'highest' or a number, found {dose!r}.")
    check_names(adata, key)
    warn_of_absent(adata, key)
    rows = measured(adata, key, dose)
    row = find_perturbation(rows.perturbation, perturbation)
    probability = rows.pool(np.asarray(_keys.TARGET_PROBABILITY.find(adata, key), float).T)[row]  # (G,)
    effect = rows.pool(np.asarray(_keys.EFFECT.find(adata, key), float).T)[row]  # (G,)
    weights = sparse.csr_matrix(_keys.GRAPH.find(adata, key), dtype=float)  # (G, G)
    direct = probability * effect
    by_regulators = regulated(adata, key, rows)
    added = np.zeros(len(direct)) if by_regulators is None else by_regulators[row]
    change = mean_change(weights, direct + added)
    start, targets = Regulated.of(adata, key, dose, row), np.flatnonzero(probability >= _keys.CALLED)
    steps = steps_from(weights, targets)
    past = steps_from(weights, np.flatnonzero(start.acting != ""))  # from the genes that they act on
    past[past >= 0] += 1
    table = pd.DataFrame(
        {
            "gene": pd.Categorical.from_codes(np.arange(len(direct)), categories=adata.var_names.astype(str)),
            "probability": probability,
            "direct": direct,
            "change": change,
            "steps": np.where((steps < 0) | ((past >= 0) & (past < steps)), past, steps),
        }
    )
    order = np.argsort(-np.abs(change), kind="stable")
    order = order[np.abs(change[order]) > 0]
    if by_regulators is None:
        return table.iloc[order].reset_index(drop=True)
    table = table.assign(kind="gene", added=added, regulators=start.acting)
    return pd.concat(
        [start.table.astype({"gene": object}), table.iloc[order].astype({"gene": object})], ignore_index=True
    )


@dataclass
class Regulated:
    """Regulators that start the network of a perturbation."""

    table: pd.DataFrame  # their rows
    acting: np.ndarray  # (G,) str; which of them act on each gene

    @classmethod
    def of(cls, adata: "AnnData | MuData", key: str, dose: str | float, row: int) -> "Regulated":
        """Those whose activity is changed more probably than not."""
        found, acting = regulators_of(adata, key, dose), np.full(adata.n_vars, "", dtype=object)
        called = np.flatnonzero(found.probability[row] >= _keys.CALLED)
        called = called[np.argsort(-found.probability[row, called], kind="stable")]
        for t in called:
            genes = list(acted_on(adata, key, found.names[t]))
            acting[genes] = [f"{before}, {found.names[t]}".removeprefix(", ") for before in acting[genes]]
        probability, change = found.probability[row, called], (found.probability * found.activity)[row, called]
        return cls(
            pd.DataFrame(
                {
                    "gene": [found.names[t] for t in called],
                    "probability": probability,
                    "direct": change,
                    "change": change,
                    "steps": np.zeros(len(called), dtype=int),
                    "kind": "regulator",
                    "added": 0.0,
                    "regulators": "",
                }
            ),
            acting,
        )


def mean_change(weights: sparse.csr_matrix, shift: np.ndarray) -> np.ndarray:
    """Change of every gene's mean that follows from shifts, d = shift + A' d: (G, G), (G,) -> (G,)."""
    identity = sparse.identity(len(shift), format="csc")
    return np.asarray(spsolve(sparse.csc_matrix(identity - weights.T), shift)).ravel()


def steps_from(weights: sparse.csr_matrix, start: np.ndarray) -> np.ndarray:
    """Edges on the shortest path from any gene of `start` to each gene ``(G,)``; -1 where there is none."""
    if not len(start):
        return np.full(weights.shape[0], -1)
    edges = sparse.csr_matrix(weights != 0, dtype=float)  # lengths of 1, whatever the sign
    hops = dijkstra(edges, indices=start, unweighted=True, min_only=True)
    return np.where(np.isfinite(hops), hops, -1).astype(int)
