"""`scgim.metrics.recall_at`."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._checks import checked, count
from scgim.metrics._checks import two_tables
from scgim.metrics._targets.mean_reciprocal_rank import ranks


@checked(k=count())
def recall_at(truth: Any, score: Any, k: int = 3) -> float:
    """Share of perturbations of which a true target is among the first `k` genes.

    Parameters
    ----------
    truth
        True targets, (K, G); not zero: true.
    score
        What genes are ranked by, (K, G): higher is surer. Ties share the mean of their ranks.
    k
        How many genes count as the first.

    Returns
    -------
    Between 0 and 1, over the perturbations that have a true target; NaN if none has.

    Raises
    ------
    ValueError
        If shapes differ, a value is not finite, or `k` is below 1.

    Examples
    --------
    >>> score = scgim.get.targets(adata, level="drug").pivot(index="perturbation", columns="gene", values="log_odds")
    >>> known = pd.DataFrame(0, score.index, score.columns)
    >>> known.loc["U0126", ["Mek"]] = 1
    >>> scgim.metrics.recall_at(known, score, k=3)
    """
    truth, score = two_tables(("truth", "score"), truth, score)
    hits = [ranks(row)[true != 0].min() <= k for true, row in zip(truth, score, strict=True) if (true != 0).any()]
    return float(np.mean(hits)) if hits else float("nan")
