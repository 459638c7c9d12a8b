"""Gaussian noise: the data are the causal layer itself (layer `_core`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from scgim._core.allowed import Allowed
from scgim._core.design import Design
from scgim._core.moments.moments import Moments
from scgim._core.observation.base import Cells, Change, Layer, Mean, Values, unused_sizes


@dataclass(frozen=True)
class Gaussian:
    """``y = x``: what mechanisms act on is what is measured, as for logarithms of normalised expression."""

    name: ClassVar[str] = "gaussian"
    direct: ClassVar[bool] = True
    allows: ClassVar[Allowed] = Allowed()

    def check(self, values: Values) -> list[str]:
        """Counts are pointed out."""
        counts = (
            f"{values.where} holds raw counts or other whole numbers, which {self.name!r} does not describe. Use "
            "noise='poisson_lognormal', or normalise and take logs (scanpy.pp.normalize_total, scanpy.pp.log1p)."
        )
        return ([counts] if values.counts else []) + unused_sizes(self.name, values)

    def learn(self, cells: Cells, design: Design) -> tuple[Moments, Gaussian]:
        """The moments of the values as they are."""
        return cells.moments(), self

    def draw(
        self, z: np.ndarray, mean: Mean, group: np.ndarray, size: np.ndarray | None, rng: np.random.Generator
    ) -> np.ndarray:
        """The causal layer, ``(n, G)``."""
        return z

    def expect(self, layer: Layer, group: np.ndarray, size: np.ndarray | None) -> np.ndarray:
        """The mean of the causal layer, ``(r, G)``."""
        return layer.mean()

    def move(self, x: np.ndarray, change: Change, size: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
        """The same noise under the new interventions, ``(n, G)``; nothing is drawn."""
        return change.replay(x)
