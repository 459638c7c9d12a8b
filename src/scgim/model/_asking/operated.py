"""Rows whose genes are set, shifted or scaled from outside, beside the drugs that they are under (layer `model`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from scgim._core.kinds.base import Moved
from scgim._core.kinds.cells import mean_cells
from scgim._core.kinds.operation import Operation
from scgim._core.mechanisms.total import variance
from scgim.model._prediction.components import Components, Part

if TYPE_CHECKING:
    from scgim._core.mechanisms.additive import Mechanisms
    from scgim._core.mechanisms.neural import NeuralMechanisms


@dataclass(frozen=True)
class Operated(Components):
    """What drugs do in rows whose mechanisms are operated on."""

    operation: Operation  # what was done to the mechanisms

    @classmethod
    def by(cls, operation: Operation, components: Components) -> Operated:
        """The rows, operated on."""
        return cls(components.n_rows, components.parts, components.drift, operation, responding=components.responding)

    @property
    def added(self) -> tuple[Part, ...]:
        """What adds up to the shifts: as much as is left of it at genes that are set or scaled."""
        factor = self.operation.factor
        return tuple(replace(part, effects=part.effects.scale(factor)) for part in super().everything)

    def expected(self) -> Moved:
        """Best single interventions of each row, see `Components.expected`."""
        return self.operation.on(super().expected())

    def draw(self, row: np.ndarray, rng: np.random.Generator, times: float | None = None) -> Moved:
        """What happens to n cells, see `Components.draw`."""
        return self.operation.on(super().draw(row, rng, times))


@dataclass(frozen=True)
class KnownLayer:
    """The causal layer of rows to which known things happen, for a noise model to take to the data."""

    mechanisms: Mechanisms | NeuralMechanisms  # of the genes
    moved: Moved  # what happens to the r rows
    group: np.ndarray  # (r,) baseline groups

    def mean(self) -> np.ndarray:
        """Means ``(r, G)``; where they are averages over draws, these are the same in every call."""
        return mean_cells(self.mechanisms, self.moved, self.group)

    def log_mean(self) -> tuple[np.ndarray, np.ndarray]:
        """Means, and logarithms of the means of the exponential, ``(r, G)`` each, of linear mechanisms under shifts."""
        mean = self.mean()
        return mean, mean + 0.5 * variance(self.mechanisms.weights(), self.mechanisms.noise_sd)
