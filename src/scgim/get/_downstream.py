"""What follows from the targets of a perturbation."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import dijkstra
from scipy.sparse.linalg import spsolve

from scgim import _keys
from scgim._checks import DOSE, FITTED, TEXT, checked
from scgim.get._tables import find_perturbation, measured

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@checked(adata=FITTED, perturbation=TEXT, key=TEXT, dose=DOSE)
def downstream(
    adata: "AnnData | MuData", perturbation: str, *, key: str = _keys.DEFAULT, dose: str | float = "highest"
) -> pd.DataFrame:
    """Genes that a perturbation changes, directly or through the graph.

    With edge weights ``A`` and expected effects ``s = probability * effect`` of the targets, the change of the means solves
    ``d = s + A' d``: exact for linear mechanisms and shifts, and a first approximation by average slopes elsewhere.

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
    expression.

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
    rows = measured(adata, key, dose)
    row = find_perturbation(rows.perturbation, perturbation)
    probability = rows.pool(np.asarray(_keys.TARGET_PROBABILITY.find(adata, key), float).T)[row]  # (G,)
    effect = rows.pool(np.asarray(_keys.EFFECT.find(adata, key), float).T)[row]  # (G,)
    weights = sparse.csr_matrix(_keys.GRAPH.find(adata, key), dtype=float)  # (G, G)
    direct = probability * effect
    change = mean_change(weights, direct)
    table = pd.DataFrame(
        {
            "gene": pd.Categorical.from_codes(np.arange(len(direct)), categories=adata.var_names.astype(str)),
            "probability": probability,
            "direct": direct,
            "change": change,
            "steps": steps_from(weights, np.flatnonzero(probability >= 0.5)),
        }
    )
    order = np.argsort(-np.abs(change), kind="stable")
    return table.iloc[order[np.abs(change[order]) > 0]].reset_index(drop=True)


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
