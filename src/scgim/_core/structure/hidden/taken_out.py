"""Moments without hidden factors (layer `_core`; not from the paper)."""

from dataclasses import replace

import numpy as np

from scgim._core.mechanisms.total import total_effects
from scgim._core.moments.moments import Hidden, Moments
from scgim._core.structure.hidden.factor_analysis import SMALLEST_UNIQUE


def taken_out(moments: Moments, weights: np.ndarray, hidden: Hidden) -> Moments:
    """Moments as if the factors stood still; `weights` ``(G, G)`` are the effects of genes on each other."""
    total = total_effects(weights)
    each = hidden.loading @ total  # (r, G) what a unit of each factor does in the end
    mean = moments.mean.copy()
    mean[:, :, 0] -= hidden.score @ each
    square = moments.square
    if square is not None:  # in proportion: what is subtracted would leave the sampling errors of all in a part
        kept = 1 - (each**2).sum(axis=0) / np.diag(moments.within)
        square = square * np.maximum(kept, SMALLEST_UNIQUE)
    return replace(
        moments, within=moments.within - each.T @ each, mean=mean, square=square, hidden=replace(hidden, total=each)
    )
