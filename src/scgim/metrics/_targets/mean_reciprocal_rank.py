"""`scgim.metrics.mean_reciprocal_rank`."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._checks import checked
from scgim.metrics._checks import two_tables


@checked()
def mean_reciprocal_rank(truth: Any, score: Any) -> float:
    """Average over perturbations of one over the rank of the first true target.

    Parameters
    ----------
    truth
        True targets, (K, G); not zero: true.
    score
        What genes are ranked by, (K, G), such as log odds: higher is surer. Ties share the mean of their ranks.

    Returns
    -------
    Between 0 and 1, over the perturbations that have a true target; NaN if none has.

    Raises
    ------
    ValueError
        If shapes differ or a value is not finite.

    Examples
    --------
    >>> score = scgim.get.targets(adata, level="drug").pivot(index="perturbation", columns="gene", values="log_odds")
    >>> known = pd.DataFrame(0, score.index, score.columns)
    >>> known.loc["U0126", ["Mek"]] = 1
    >>> scgim.metrics.mean_reciprocal_rank(known, score)
    """
    truth, score = two_tables(("truth", "score"), truth, score)
    first = [ranks(row)[true != 0].min() for true, row in zip(truth, score, strict=True) if (true != 0).any()]
    return float(np.mean(1 / np.array(first))) if first else float("nan")


def ranks(score: np.ndarray) -> np.ndarray:
    """Ranks ``(G,)``, 1 for the highest score, ties the mean of theirs."""
    above = (score[None] > score[:, None]).sum(1)
    same = (score[None] == score[:, None]).sum(1)
    return above + (same + 1) / 2
