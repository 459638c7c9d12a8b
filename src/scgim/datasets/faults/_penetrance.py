"""Penetrance: only a part of the cells responds to a drug."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scgim.datasets._simulator.disturbance import Disturbance
from scgim.datasets._simulator.fault import Fault, World, require


@dataclass(frozen=True)
class Penetrance(Fault):
    """Cells that escape their perturbation, as under CRISPR or in resistant lines (not from the paper).

    ``.obs["true_responder"]`` says which cells respond; controls do not.

    Parameters
    ----------
    share
        Probability that a cell responds: one for all drugs, or the lowest and the highest of a uniform distribution
        over drugs. Cells under several drugs respond to all or to none, with the smallest of their probabilities.

    Examples
    --------
    >>> adata = scgim.datasets.simulate(8, faults=[scgim.datasets.faults.Penetrance((0.3, 0.9))])
    >>> share = adata.obs.groupby("drug", observed=True)["true_responder"].mean()
    """

    share: float | tuple[float, float] = 0.4

    def check(self, settings: dict[str, Any]) -> None:
        """One probability, or two in order."""
        low, high = self._range()
        require(self, "share", "a probability, or two in ascending order", holds=0 < low <= high <= 1)

    def _range(self) -> tuple[float, float]:
        values = np.atleast_1d(np.asarray(self.share, float))
        return (values[0], values[-1]) if len(values) <= 2 else (np.nan, np.nan)

    def disturb(self, world: World, rng: np.random.Generator) -> Disturbance:
        """Probability of each context from its drugs."""
        of_drug = rng.uniform(*self._range(), world.response.shape[1])  # (D,)
        least = np.where(world.response > 0, of_drug, 1.0).min(1, initial=1.0)
        return Disturbance(responding=np.where(world.perturbed, least, 0.0), truth={"of_drug": of_drug})
