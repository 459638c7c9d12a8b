"""`scgim.metrics.edge_f1`."""

from __future__ import annotations

from typing import Any

from scgim._checks import checked
from scgim.metrics._checks import two_graphs


@checked()
def edge_f1(true_graph: Any, graph: Any) -> float:
    """F1 score of directed edges; a reversed edge is wrong.

    Parameters
    ----------
    true_graph, graph
        (G, G) each, dense or sparse; entry (i, j) not zero: gene i acts on gene j.

    Returns
    -------
    Between 0 and 1; 1 if both graphs are empty.

    Raises
    ------
    ValueError
        If a graph is not square, has a diagonal, or the shapes differ.

    Examples
    --------
    >>> edge_f1([[0, 1], [0, 0]], [[0, 0], [1, 0]])
    0.0
    """
    true_graph, graph = (g != 0 for g in two_graphs(true_graph, graph))
    total = true_graph.sum() + graph.sum()
    return float(2 * (true_graph & graph).sum() / total) if total else 1.0
