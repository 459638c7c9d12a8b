"""Plates: every drug on one plate, and a small shift of every gene on every plate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scgim.datasets._simulator.disturbance import Disturbance
from scgim.datasets._simulator.fault import Fault, World, require


@dataclass(frozen=True)
class Plates(Fault):
    """Batch effects of plates, with drugs nested in plates and controls on all of them (not from the paper).

    All doses of a drug are on one plate, so that they share its shift.

    Parameters
    ----------
    n
        Number of plates; None is a plate for each drug.
    sd
        Standard deviation of the shift of each gene on each plate, in units of the gene's own among controls.
    key
        Whether ``.obs["plate"]`` says which plate a cell is from. Otherwise only ``.obs["true_plate"]`` does, which a
        method is not to see.

    Examples
    --------
    >>> adata = scgim.datasets.simulate(8, faults=[scgim.datasets.faults.Plates(n=4, key=False)])
    >>> adata.obs["true_plate"].nunique()
    4
    """

    n: int | None = None
    sd: float = 0.2
    key: bool = True

    def check(self, settings: dict[str, Any]) -> None:
        """There are enough control cells for every plate."""
        require(self, "n", "None or at least 1", holds=self.n is None or self.n >= 1)
        require(self, "sd", "at least 0", holds=self.sd >= 0)
        needed = 2 * self._count(settings) * settings["n_batches"]
        if settings["n_control"] < needed:
            raise ValueError(
                f"n_control: expected at least 2 for each plate and batch, {needed}, found {settings['n_control']}."
            )

    def _count(self, settings: dict[str, Any]) -> int:
        return settings["n_drugs"] + settings["n_new_drugs"] if self.n is None else self.n

    def change_contexts(
        self, contexts: pd.DataFrame, amount: np.ndarray, settings: dict[str, Any], rng: np.random.Generator
    ) -> tuple[pd.DataFrame, np.ndarray]:
        """Split the controls over the plates; put each drug on one."""
        n, n_drugs = self._count(settings), amount.shape[1]
        plate_of_drug = rng.permutation(n_drugs) % n  # (D,)
        first = np.where(
            (amount > 0).any(1), (amount > 0).argmax(1), -1
        )  # the plate of a pair is that of its first drug
        rows: list[tuple[int, int, int]] = []  # context, plate, cells
        for k, drug in enumerate(first):
            total = int(contexts["n_cells"].iloc[k])
            if drug >= 0:
                rows.append((k, int(plate_of_drug[drug]), total))
            else:
                rows += [(k, p, total // n + (p < total % n)) for p in range(n)]
        source, plate, cells = (list(values) for values in zip(*rows, strict=True))
        table = contexts.iloc[source].copy()
        table.insert(list(table.columns).index("split"), self.column, [f"plate_{p + 1:0{len(str(n))}d}" for p in plate])
        table["n_cells"] = cells
        table.index = pd.Index([str(k) for k in range(len(table))])
        return table, amount[source]

    @property
    def column(self) -> str:
        """Name of the column with the plate."""
        return "plate" if self.key else "true_plate"

    def disturb(self, world: World, rng: np.random.Generator) -> Disturbance:
        """A shift of every gene on every plate."""
        names, plate = np.unique(world.contexts[self.column].to_numpy(str), return_inverse=True)
        effect = rng.normal(0, self.sd, (self._count(world.settings), len(world.gene_sd))) * world.gene_sd  # (P, G)
        return Disturbance(shift=effect[plate], truth={"effect": effect[: len(names)]})
