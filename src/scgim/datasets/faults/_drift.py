"""Drift: small shifts of every gene that are no targets, of contexts and of drugs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scgim.datasets._simulator.disturbance import Disturbance
from scgim.datasets._simulator.fault import Fault, World, require


@dataclass(frozen=True)
class Drift(Fault):
    """Small shifts of every gene in perturbed contexts (not from the paper).

    Parameters
    ----------
    context_sd
        Standard deviation of shifts that are new in every context (as `background_sd` of
        :func:`scgim.datasets.simulate`), in units of the gene's own among controls.
    drug_sd
        That of shifts that belong to a drug and return at its doses with its dose response, in the same units.

    Examples
    --------
    >>> adata = scgim.datasets.simulate(8, faults=[scgim.datasets.faults.Drift(context_sd=0.3, drug_sd=0.2)])
    """

    context_sd: float = 0.3
    drug_sd: float = 0.0

    def check(self, settings: dict[str, Any]) -> None:
        """Standard deviations."""
        for name in ("context_sd", "drug_sd"):
            require(self, name, "at least 0", holds=getattr(self, name) >= 0)

    def disturb(self, world: World, rng: np.random.Generator) -> Disturbance:
        """Shifts of contexts and of drugs; none in controls."""
        of_context = rng.normal(0, self.context_sd, world.shape) * world.perturbed[:, None]
        of_drug = rng.normal(0, self.drug_sd, (world.response.shape[1], len(world.gene_sd))) * world.gene_sd  # (D, G)
        shift = of_context * world.gene_sd + world.response @ of_drug
        return Disturbance(shift=shift, truth={"drug_drift": of_drug})
