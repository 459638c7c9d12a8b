"""The causal graph as a table of edges."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scgim import _keys
from scgim._checks import FITTED, TEXT, checked, count, number, or_none
from scgim.get._graph import graph

if TYPE_CHECKING:
    from collections.abc import Hashable

    from anndata import AnnData
    from mudata import MuData


@checked(adata=FITTED, key=TEXT, min_probability=number(0, 1), n_edges=or_none(count()))
def network(
    adata: "AnnData | MuData", *, key: str = _keys.DEFAULT, min_probability: float = 0.5, n_edges: int | None = None
) -> pd.DataFrame:
    """The inferred graph as an edge list in the format of decoupler.

    The table can be given to ``decoupler.mt.ulm`` and its relatives as a network, to :func:`scgim.tl.fit` as
    ``graph_prior``, and written by pandas as an edge list.

    Parameters
    ----------
    adata
        AnnData or MuData that :func:`scgim.tl.fit` has written to.
    key
        The ``key_added`` of the fit.
    min_probability
        Leave out edges that are less probable than this.
    n_edges
        Keep only this many, the strongest (weight times probability).

    Returns
    -------
    Columns `source`, `target`, `weight` (change of the target per unit of the source) and `probability`, the strongest
    edges first.

    Warns
    -----
    UserWarning
        Genes of the fit are not in ``adata``.

    Raises
    ------
    KeyError
        If ``adata`` has not been fitted with this ``key``.
    ValueError
        If ``min_probability`` is not between 0 and 1, or ``n_edges`` is below 1.

    Examples
    --------
    >>> edges = scgim.get.network(adata, min_probability=0.9)
    """
    found: list[tuple[Hashable, Hashable, dict[str, float]]] = list(
        graph(adata, key=key, min_probability=min_probability).edges(data=True)
    )
    table = pd.DataFrame(
        {
            "source": [str(i) for i, _, _ in found],
            "target": [str(j) for _, j, _ in found],
            "weight": np.array([edge["weight"] for _, _, edge in found], dtype=float),
            "probability": np.array([edge["probability"] for _, _, edge in found], dtype=float),
        }
    )
    strength = (table["weight"].abs() * table["probability"]).to_numpy()
    order = np.argsort(-strength, kind="stable")[: len(table) if n_edges is None else n_edges]
    return table.iloc[order].reset_index(drop=True)
