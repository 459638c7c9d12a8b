"""A pathological design: drugs that were measured in one batch only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scgim.datasets._simulator.fault import Fault, require


@dataclass(frozen=True)
class OneBatch(Fault):
    """All contexts of some drugs are in one batch, so that a batch effect returns at each of their doses.

    Not from the paper. Controls are in all batches, as always.

    Parameters
    ----------
    n_drugs
        Number of such drugs, the first ones; each is in a batch of its own choice. None: all drugs.

    Examples
    --------
    >>> adata = scgim.datasets.simulate(8, n_batches=2, faults=[scgim.datasets.faults.OneBatch(n_drugs=3)])
    """

    n_drugs: int | None = 1

    def check(self, settings: dict[str, Any]) -> None:
        """There are batches to be confounded with."""
        total = settings["n_drugs"] + settings["n_new_drugs"]
        fits = self.n_drugs is None or 1 <= self.n_drugs <= total
        require(self, "n_drugs", f"None or between 1 and the {total} drugs", holds=fits)
        if settings["n_batches"] < 2:
            raise ValueError(f"n_batches: expected at least 2 for OneBatch, found {settings['n_batches']}.")

    def change_contexts(
        self, contexts: pd.DataFrame, amount: np.ndarray, settings: dict[str, Any], rng: np.random.Generator
    ) -> tuple[pd.DataFrame, np.ndarray]:
        """Move the contexts of each such drug into its batch."""
        n_batches = settings["n_batches"]
        contexts = contexts.copy()
        group = contexts["group"].to_numpy().copy()
        for d in range(amount.shape[1] if self.n_drugs is None else self.n_drugs):
            there = amount[:, d] > 0
            group[there] = group[there] // n_batches * n_batches + rng.integers(n_batches)
        contexts["group"] = group
        contexts["batch"] = [f"batch_{g % n_batches + 1}" for g in group]
        return contexts, amount
