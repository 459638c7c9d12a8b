"""A pathological design: drugs that were only measured together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scgim.datasets._simulator.fault import Fault, require
from scgim.datasets._simulator.rows import Row


@dataclass(frozen=True)
class OnlyTogether(Fault):
    """Pairs of drugs that no context separates, so that no method can tell which of the two acts where.

    Not from the paper. Drugs 1 and 2 are the first pair, 3 and 4 the second, and so on; doses are equal. The columns are
    those of pairs, ``drug_1``, ``drug_2``, ``dose_1`` and ``dose_2``.

    Parameters
    ----------
    n_pairs
        Number of such pairs.

    Examples
    --------
    >>> adata = scgim.datasets.simulate(8, faults=[scgim.datasets.faults.OnlyTogether(n_pairs=2)])
    >>> pairs = adata.obs[["drug_1", "dose_1", "drug_2", "dose_2"]]
    """

    n_pairs: int = 1

    def check(self, settings: dict[str, Any]) -> None:
        """The drugs are there, and no other pair separates them."""
        most = settings["n_drugs"] // 2
        require(self, "n_pairs", f"between 1 and half the drugs, {most}", holds=1 <= self.n_pairs <= most)
        if settings["n_pairs"]:
            raise ValueError(f"n_pairs: expected 0 with OnlyTogether, found {settings['n_pairs']}.")

    def change_rows(self, rows: list[Row], settings: dict[str, Any]) -> list[Row]:
        """Contexts of the first drug of a pair become those of both; those of the second are left out."""
        kept: list[Row] = []
        for drugs, split, n_cells in rows:
            (drug, dose), *_ = drugs.items()
            if drug >= 2 * self.n_pairs:
                kept.append((drugs, split, n_cells))
            elif drug % 2 == 0:
                kept.append(({drug: dose, drug + 1: dose}, split, n_cells))
        return kept
