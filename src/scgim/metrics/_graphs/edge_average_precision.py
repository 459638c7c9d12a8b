"""`scgim.metrics.edge_average_precision`."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._checks import checked
from scgim.metrics._checks import average_precision, two_graphs


@checked()
def edge_average_precision(true_graph: Any, score: Any) -> float:
    """Average precision of directed edges ranked by a score, the diagonal left out.

    Parameters
    ----------
    true_graph
        (G, G); entry (i, j) not zero: gene i acts on gene j.
    score
        (G, G); larger: more certain, for example probabilities or absolute weights. Ties share one step.

    Returns
    -------
    Between 0 and 1; NaN if `true_graph` is empty.

    Raises
    ------
    ValueError
        If an array is not square, has a diagonal, or the shapes differ.

    Examples
    --------
    >>> edge_average_precision([[0, 1], [0, 0]], [[0, 0.9], [0.2, 0]])
    1.0
    """
    true_graph, score = two_graphs(true_graph, score, "score")
    pairs = ~np.eye(len(score), dtype=bool)
    return average_precision(true_graph[pairs] != 0, score[pairs])
