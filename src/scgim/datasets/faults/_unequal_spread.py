"""Unequal spread: some genes are noisier in some contexts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scgim.datasets._simulator.disturbance import Disturbance
from scgim.datasets._simulator.fault import Fault, World, require


@dataclass(frozen=True)
class UnequalSpread(Fault):
    """More noise in some pairs of a perturbed context and a gene; means are as they were (not from the paper).

    Parameters
    ----------
    share
        Share of the pairs.
    factor
        What multiplies the standard deviation of the noise there.

    Examples
    --------
    >>> adata = scgim.datasets.simulate(8, faults=[scgim.datasets.faults.UnequalSpread(share=0.1)])
    """

    share: float = 0.15
    factor: float = 4.0

    def check(self, settings: dict[str, Any]) -> None:
        """A share and a positive factor."""
        require(self, "share", "between 0 and 1", holds=0 <= self.share <= 1)
        require(self, "factor", "positive", holds=self.factor > 0)

    def disturb(self, world: World, rng: np.random.Generator) -> Disturbance:
        """Pairs at random; the controls stay as they are."""
        noisy = (rng.random(world.shape) < self.share) & world.perturbed[:, None]  # (K, G)
        return Disturbance(noise_factor=np.where(noisy, self.factor, 1.0), truth={"noisy": noisy})
