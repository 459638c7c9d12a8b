"""`scgim.metrics.structural_intervention_distance`."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from scgim._checks import checked
from scgim.metrics._checks import two_graphs


@checked()
def structural_intervention_distance(true_graph: Any, graph: Any) -> int:
    """Number of gene pairs whose interventional distribution is wrong when read off the graph :cite:p:`peters2015`.

    The pair (i, j) counts if adjusting for the parents of i in `graph` does not give the distribution of gene j under an
    intervention on gene i in `true_graph`. If j is such a parent, `graph` says that i does not act on j.

    Parameters
    ----------
    true_graph
        Acyclic graph, (G, G), dense or sparse; entry (i, j) not zero: gene i acts on gene j.
    graph
        Estimate, (G, G). Only its parent sets are used.

    Returns
    -------
    Between 0 and G (G - 1).

    Raises
    ------
    ValueError
        If a graph is not square, has a diagonal, the shapes differ, or `true_graph` has a cycle.

    Notes
    -----
    The parents Z of i are a valid adjustment set for (i, j) if Z has no descendant of a gene on a causal path from i to j,
    and if Z blocks every other walk from i to j. Walks are followed from all i at once.

    Examples
    --------
    >>> structural_intervention_distance([[0, 1], [0, 0]], [[0, 0], [1, 0]])
    2
    """
    true_graph, graph = (g != 0 for g in two_graphs(true_graph, graph))
    below = _descendants(true_graph)  # (G, G), without the gene itself
    if np.diag(below).any():
        raise ValueError("true_graph: expected an acyclic graph, found a cycle.")
    parents = graph.T.copy()  # row i: adjustment set of gene i
    below_or_self = (below | np.eye(len(below), dtype=bool)).astype(np.float32)
    bad_below = (parents.astype(np.float32) @ below_or_self.T) > 0  # (i, w): a parent of i lies at or below w
    forbidden = ((below & bad_below).astype(np.float32) @ below_or_self) > 0
    wrong = np.where(parents, below, forbidden | _open_walks(true_graph, parents))
    np.fill_diagonal(wrong, False)
    return int(wrong.sum())


def _descendants(graph: np.ndarray) -> np.ndarray:
    """(G, G) bool: gene j can be reached from gene i by at least one edge."""
    reach = graph.copy()
    while True:
        more = reach | ((reach.astype(np.float32) @ reach.astype(np.float32)) > 0)
        if np.array_equal(more, reach):
            return reach
        reach = more


def _open_walks(graph: np.ndarray, given: np.ndarray) -> np.ndarray:
    """(G, G) bool: a walk from i to j that is not causal and not blocked by the genes ``given[i]``.

    Three states of a walk at a gene: arrived downwards and causal so far; arrived downwards, not causal; arrived upwards.
    """
    down = sparse.csr_matrix(graph.astype(np.float32))
    up = down.T.tocsr()
    itself = np.eye(len(graph), dtype=bool)

    def step(state: np.ndarray, edges: sparse.csr_matrix) -> np.ndarray:
        return ((sparse.csr_matrix(state.astype(np.float32)) @ edges).toarray() > 0) & ~itself

    causal = graph & ~itself
    downward = np.zeros_like(graph)
    upward = graph.T & ~itself
    new = causal, downward, upward
    while any(state.any() for state in new):
        fresh_causal, fresh_downward, fresh_upward = new
        onward = step(fresh_causal & ~given, down)
        turned = step((fresh_downward | fresh_upward) & ~given, down)
        rising = step(((fresh_causal | fresh_downward) & given) | (fresh_upward & ~given), up)
        new = onward & ~causal, turned & ~downward, rising & ~upward
        causal, downward, upward = causal | new[0], downward | new[1], upward | new[2]
    return downward | upward
