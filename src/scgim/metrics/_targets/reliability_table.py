"""`scgim.metrics.reliability_table`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from scgim._checks import checked, count
from scgim.metrics._checks import dense, probabilities


@checked(n_bins=count())
def reliability_table(truth: Any, probability: Any, *, n_bins: int = 10) -> pd.DataFrame:
    """How often what was given a probability is true, in bins of equal width.

    Parameters
    ----------
    truth
        Array of any shape; not zero: true.
    probability
        Array of the same shape.
    n_bins
        Number of bins between 0 and 1. A value on a border belongs to the upper bin, 1 to the last.

    Returns
    -------
    One row a bin that is not empty: ``lower``, ``upper``, ``n``, ``probability`` (mean) and ``frequency``.

    Raises
    ------
    ValueError
        If shapes differ, a probability is outside 0 to 1, or `n_bins` is not positive.

    Examples
    --------
    >>> reliability_table([1, 0, 1], [0.9, 0.2, 0.95])
    """
    truth, probability = dense("truth", truth), probabilities("probability", probability)
    if truth.shape != probability.shape:
        raise ValueError(f"probability: expected the shape of truth, {truth.shape}, found {probability.shape}.")
    p, true = probability.ravel(), (truth.ravel() != 0).astype(float)
    place = np.minimum((p * n_bins).astype(int), n_bins - 1)
    n = np.bincount(place, minlength=n_bins)
    some = np.maximum(n, 1)
    table = pd.DataFrame(
        {
            "lower": np.arange(n_bins) / n_bins,
            "upper": np.arange(1, n_bins + 1) / n_bins,
            "n": n,
            "probability": np.bincount(place, p, n_bins) / some,
            "frequency": np.bincount(place, true, n_bins) / some,
        }
    )
    return table[table["n"] > 0].reset_index(drop=True)
