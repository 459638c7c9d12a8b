"""Measurement: what is seen of a gene varies more than the gene does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scgim.datasets._simulator.disturbance import Disturbance
from scgim.datasets._simulator.fault import Fault, World, require


@dataclass(frozen=True)
class Measurement(Fault):
    """Noise that measurement adds to every gene of every cell, which no other gene follows (not from the paper).

    Parameters
    ----------
    sd
        Standard deviation of the noise, in units of the gene's own among controls.
    spread
        Standard deviation of the logarithm of `sd` between genes.

    Examples
    --------
    >>> adata = scgim.datasets.simulate(8, faults=[scgim.datasets.faults.Measurement(sd=0.5)])
    """

    sd: float = 0.7
    spread: float = 0.0

    def check(self, settings: dict[str, Any]) -> None:
        """Standard deviations."""
        for name in ("sd", "spread"):
            require(self, name, "at least 0", holds=getattr(self, name) >= 0)

    def disturb(self, world: World, rng: np.random.Generator) -> Disturbance:
        """The same noise in all contexts."""
        sd = self.sd * np.exp(self.spread * rng.normal(size=len(world.gene_sd))) * world.gene_sd
        return Disturbance(measured_sd=sd, truth={"noise_sd": sd})
