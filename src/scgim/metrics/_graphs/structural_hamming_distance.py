"""`scgim.metrics.structural_hamming_distance`."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._checks import checked
from scgim.metrics._checks import two_graphs


@checked()
def structural_hamming_distance(true_graph: Any, graph: Any) -> int:
    """Number of edges to add, remove or reverse to turn one graph into the other; a reversal counts once.

    Parameters
    ----------
    true_graph, graph
        (G, G) each, dense or sparse; entry (i, j) not zero: gene i acts on gene j.

    Returns
    -------
    Number of gene pairs on which the graphs differ.

    Raises
    ------
    ValueError
        If a graph is not square, has a diagonal, or the shapes differ.

    Examples
    --------
    >>> structural_hamming_distance([[0, 1], [0, 0]], [[0, 0], [1, 0]])
    1
    """
    true_graph, graph = (g != 0 for g in two_graphs(true_graph, graph))
    differs = true_graph != graph
    return int(np.triu(differs | differs.T).sum())
