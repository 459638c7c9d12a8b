"""Faults of real screens, for ``scgim.datasets.simulate(faults=[...])``: what a method must not take for a target."""

from scgim.datasets.faults._drift import Drift
from scgim.datasets.faults._latent_factors import LatentFactors
from scgim.datasets.faults._measurement import Measurement
from scgim.datasets.faults._one_batch import OneBatch
from scgim.datasets.faults._only_together import OnlyTogether
from scgim.datasets.faults._penetrance import Penetrance
from scgim.datasets.faults._plates import Plates
from scgim.datasets.faults._regulators import Regulators
from scgim.datasets.faults._unequal_spread import UnequalSpread

__all__ = [
    "Drift",
    "LatentFactors",
    "Measurement",
    "OneBatch",
    "OnlyTogether",
    "Penetrance",
    "Plates",
    "Regulators",
    "UnequalSpread",
]
