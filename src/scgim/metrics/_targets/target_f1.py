"""`scgim.metrics.target_f1`."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._checks import checked, number
from scgim.metrics._checks import two_tables


@checked(threshold=number(0, 1))
def target_f1(true_targets: Any, targets: Any, *, threshold: float = 0.5) -> float:
    """F1 score of the targets within each context, averaged over contexts :cite:p:`schneider2025`.

    Parameters
    ----------
    true_targets
        (K, G); not zero: the gene is a target in the context.
    targets
        (K, G) bool or probabilities.
    threshold
        A gene is called a target if its probability is larger.

    Returns
    -------
    Between 0 and 1. A context in which no gene is a target and none is called counts 1 (not from the paper); leave the
    control out if it should not count.

    Raises
    ------
    ValueError
        If shapes differ, a value is not finite, or there is no context.

    Examples
    --------
    >>> target_f1([[1, 0]], [[0.9, 0.2]])
    1.0
    """
    true_targets, targets = two_tables(("true_targets", "targets"), true_targets, targets)
    if len(targets) == 0:
        raise ValueError("targets: expected at least one context, found none.")
    truth, called = true_targets != 0, targets.astype(float) > threshold
    total = truth.sum(1) + called.sum(1)
    return float(np.where(total > 0, 2 * (truth & called).sum(1) / np.maximum(total, 1), 1.0).mean())
