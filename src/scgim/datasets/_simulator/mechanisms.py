"""How a gene follows from its parents in simulated systems: a sum, one small network a gene, or one curve an edge."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

KNEE = 2.0  # sd from which a square goes on as a straight line: squares of squares would leave every range


class Curve(NamedTuple):
    """A function of one number and its slope."""

    value: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]


ACTIVATIONS = {
    "tanh": Curve(np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": Curve(lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
    "softplus": Curve(lambda z: np.logaddexp(0, z), lambda z: 1 / (1 + np.exp(-z))),
    "sine": Curve(np.sin, np.cos),
}
"""Of the hidden units of a network."""

CURVES = {
    "tanh": ACTIVATIONS["tanh"],
    "relu": ACTIVATIONS["relu"],
    "square": Curve(
        lambda z: np.where(np.abs(z) < KNEE, z**2 / 2, KNEE * np.abs(z) - KNEE**2 / 2),
        lambda z: np.clip(z, -KNEE, KNEE),
    ),
}
"""Of a parent, in units of its standard deviation among controls."""


class Mechanisms(ABC):
    """What the parents of every gene contribute to it."""

    @abstractmethod
    def signal(self, j: int, seen: np.ndarray, parents: np.ndarray) -> np.ndarray:
        """Contribution to gene j, (n,), of its parents (p,), whose expression is `seen` (n, p)."""

    @abstractmethod
    def stored(self) -> dict[str, Any]:
        """What ``.uns["truth"]`` holds besides the slopes."""


@dataclass(frozen=True)
class Linear(Mechanisms):
    """``x[parents] @ weights[parents, j]``, weights (G, G)."""

    weights: np.ndarray

    def signal(self, j: int, seen: np.ndarray, parents: np.ndarray) -> np.ndarray:
        """A weighted sum."""
        return seen @ self.weights[parents, j]

    def stored(self) -> dict[str, Any]:
        """Nothing: the slopes are all."""
        return {}


@dataclass(frozen=True)
class Neural(Mechanisms):
    """``w2[j] @ f(w1[j] @ x + b1[j]) + b2[j]``: w1 (G, H, G), b1 (G, H), w2 (G, H), b2 (G,), f an activation."""

    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    b2: np.ndarray
    activation: str = "tanh"

    def signal(self, j: int, seen: np.ndarray, parents: np.ndarray) -> np.ndarray:
        """The network of gene j."""
        inner = seen @ self.w1[j][:, parents].T + self.b1[j]  # (n, H)
        return ACTIVATIONS[self.activation].value(inner) @ self.w2[j] + self.b2[j]

    def stored(self) -> dict[str, Any]:
        """The weights, and the activation where it is not the usual one."""
        network: dict[str, Any] = {name: getattr(self, name) for name in ("w1", "b1", "w2", "b2")}
        return {"network": network | ({} if self.activation == "tanh" else {"activation": self.activation})}


@dataclass(frozen=True)
class Curved(Mechanisms):
    """``sum_i amplitude[i, j] * (f((x_i - centre_i) / scale_i) - level_i)``: amplitude (G, G), the others (G,)."""

    curve: str
    amplitude: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    level: np.ndarray

    def signal(self, j: int, seen: np.ndarray, parents: np.ndarray) -> np.ndarray:
        """A sum of curves."""
        z = (seen - self.centre[parents]) / self.scale[parents]
        return (CURVES[self.curve].value(z) - self.level[parents]) @ self.amplitude[parents, j]

    def stored(self) -> dict[str, Any]:
        """The curve and its numbers."""
        names = ("curve", "amplitude", "centre", "scale", "level")
        return {"curves": {name: getattr(self, name) for name in names}}


def read_mechanisms(truth: Mapping[str, Any]) -> Mechanisms:
    """The mechanisms in ``adata.uns["truth"]``."""
    if network := truth.get("network"):
        arrays = {name: np.asarray(network[name]) for name in ("w1", "b1", "w2", "b2")}
        return Neural(**arrays, activation=str(network.get("activation", "tanh")))
    if curves := truth.get("curves"):
        arrays = {name: np.asarray(value) for name, value in curves.items() if name != "curve"}
        return Curved(str(curves["curve"]), **arrays)
    return Linear(np.asarray(truth["weights"], float))
