"""`scgim.metrics.target_average_precision`."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._checks import checked
from scgim.metrics._checks import average_precision, two_tables


@checked()
def target_average_precision(true_targets: Any, score: Any) -> float:
    """Average precision of the genes of a context ranked by a score, averaged over contexts.

    Parameters
    ----------
    true_targets
        (K, G); not zero: the gene is a target in the context.
    score
        (K, G); larger: more certain. Ties share one step.

    Returns
    -------
    Between 0 and 1. Contexts without a target do not count; NaN if none has one.

    Raises
    ------
    ValueError
        If shapes differ or a value is not finite.

    Examples
    --------
    >>> target_average_precision([[1, 0, 0]], [[0.9, 0.5, 0.1]])
    1.0
    """
    true_targets, score = two_tables(("true_targets", "score"), true_targets, score)
    values = [average_precision(t != 0, s) for t, s in zip(true_targets, score, strict=True) if t.any()]
    return float(np.mean(values)) if values else float("nan")
