"""What a noise model is: how cells are observed, and what follows from it (layer `_core`; not from the paper).

The causal layer is what mechanisms and interventions act on. A noise model learns its moments from the data, and takes
predictions back onto the scale of the data. A new one is a file of this folder and a line in its ``__init__.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol

import numpy as np

from scgim._core.allowed import Allowed
from scgim._core.design import Design
from scgim._core.moments.moments import Chunk, Moments


@dataclass(frozen=True)
class Values:
    """What the set-up has seen of the values, on which a noise model is checked."""

    where: str  # where the values are, for messages
    counts: bool  # whether the values look like raw counts: whole numbers, none negative
    # of all values
    smallest: float
    largest: float
    n_genes: int  # number of modelled genes G
    modalities: tuple[str | None, ...]  # names of the modalities; one for AnnData
    size_factor: str | None  # column with the size factor of each cell, or None
    continuous: tuple[str, ...]  # columns with continuous covariates


class Cells(Protocol):
    """The registered cells, as far as a noise model reads them; every call is a pass over them."""

    @property
    def index(self) -> np.ndarray:
        """``(N,)``; context of each cell."""

    def __call__(self) -> Iterator[Chunk]:
        """Chunks of cells ``(n, G)`` with their contexts ``(n,)``."""

    def moments(self) -> Moments:
        """Moments of the values as they are, of the functions and scatter that the fit asks for."""

    def sizes(self) -> np.ndarray:
        """``(N,)``; size factor of each cell, in any unit; sums over the genes where none is registered."""


class Mean(Protocol):
    """A mean that is computed when it is asked for."""

    def __call__(self) -> np.ndarray:
        """``(n, G)``."""


class Layer(Protocol):
    """The causal layer of predicted rows; each part is computed when it is asked for."""

    def mean(self) -> np.ndarray:
        """``(r, G)``; its mean, interventions integrated out."""

    def log_mean(self) -> tuple[np.ndarray, np.ndarray]:
        """``(r, G)`` each; its mean, and the logarithm of the mean of its exponential (linear mechanisms, shifts)."""


class Change(Protocol):
    """Interventions on given cells before and after; each part is computed when it is asked for."""

    def replay(self, x: np.ndarray) -> np.ndarray:
        """Cells ``(n, G)`` of the causal layer under the new interventions, with the noise that they had."""

    def means(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Means of the layer before and after ``(n, G)``, and variances around them ``(G,)`` (linear mechanisms, shifts)."""


class Observation(Protocol):
    """A noise model, before or after it has been learned."""

    name: ClassVar[str]  # as in `GIM(noise=...)`
    # whether the data are the causal layer itself, so that mechanisms can be trained on minibatches of them
    direct: ClassVar[bool]
    allows: ClassVar[Allowed]  # what goes with it

    def check(self, values: Values) -> list[str]:
        """What is odd about the values, as sentences to warn with; a ValueError where they do not fit."""

    def learn(self, cells: Cells, design: Design) -> tuple[Moments, Observation]:
        """Standardised moments of the causal layer, and the noise model with what it needs for predictions."""

    def draw(
        self, z: np.ndarray, mean: Mean, group: np.ndarray, size: np.ndarray | None, rng: np.random.Generator
    ) -> np.ndarray:
        """Data of cells ``(n, G)``.

        Parameters
        ----------
        z
            ``(n, G)``; causal layer of the cells.
        mean
            Called for its mean under their interventions, ``(n, G)``, where that matters.
        group
            ``(n,)``; baseline groups.
        size
            ``(n,)``; size factors, where they are given.
        """

    def expect(self, layer: Layer, group: np.ndarray, size: np.ndarray | None) -> np.ndarray:
        """Mean of the data ``(r, G)`` of rows with baseline groups ``(r,)`` and, where given, size factors ``(r,)``."""

    def move(self, x: np.ndarray, change: Change, size: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
        """Data ``(n, G)`` of given cells under other interventions, with the noise that they had as far as it is known."""


def to_state(observation: Any) -> dict[str, Any]:
    """Name and fields of a noise model, as plain values, for saving."""
    values = {f.name: getattr(observation, f.name) for f in fields(observation)}
    return {"noise": observation.name} | {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in values.items()}


def unused_sizes(name: str, values: Values) -> list[str]:
    """A remark on size factors that a noise model leaves aside."""
    if not values.size_factor:
        return []
    return [f"size_factor_key={values.size_factor!r} is not used by {name!r}; 'poisson_lognormal' uses it."]
