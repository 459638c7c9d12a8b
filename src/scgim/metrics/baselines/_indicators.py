"""`scgim.metrics.baselines.indicators`."""

from __future__ import annotations

from typing import Any

import numpy as np

from scgim._checks import checked
from scgim.metrics.baselines._inputs import doses


@checked()
def indicators(train_dose: Any, new_dose: Any) -> tuple[np.ndarray, np.ndarray]:
    """One column for each drug at each dose, for the `additive` baseline.

    Parameters
    ----------
    train_dose
        Dose of each drug in the training contexts, (K, D), 0 where it is absent.
    new_dose
        The same for the contexts to predict, (m, D).

    Returns
    -------
    Indicators of the training contexts and of the new ones, (K, Q) and (m, Q), for the Q pairs of a drug and a dose that
    occur in training. A pair that does not occur there has no column, so its change is predicted as 0.

    Raises
    ------
    ValueError, TypeError
        If the arrays do not have the same number of drugs, or hold other things than doses.

    Examples
    --------
    >>> indicators([[1, 0], [0, 2]], [[0, 2]])
    """
    train, new = doses("train_dose", train_dose), doses("new_dose", new_dose)
    if train.shape[1] != new.shape[1]:
        raise ValueError(f"new_dose: expected the drugs of train_dose, found shapes {train.shape} and {new.shape}.")
    pairs = [(d, dose) for d in range(train.shape[1]) for dose in np.unique(train[:, d]) if dose > 0]
    columns = [
        np.stack([table[:, d] == dose for d, dose in pairs], 1) if pairs else np.zeros((len(table), 0), bool)
        for table in (train, new)
    ]
    return columns[0].astype(float), columns[1].astype(float)
