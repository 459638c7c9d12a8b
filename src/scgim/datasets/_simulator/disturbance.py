"""What acts on simulated cells besides their drugs: shifts, other spread, hidden variables, cells that do not respond."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

ARRAYS = ("shift", "noise_factor", "loading", "hidden_mean", "hidden_sd", "responding", "measured_sd")


@dataclass(frozen=True)
class CellState:
    """What cells have of their own."""

    hidden: np.ndarray | None = None  # values of the hidden variables, (n, F), or None where there are none
    responds: np.ndarray | None = None  # whether the cell responds to its drugs, (n,) bool, or None where all do

    def responding(self, n_cells: int) -> np.ndarray:
        """(n,) bool."""
        return np.ones(n_cells, bool) if self.responds is None else self.responds

    def of_responders(self, effect: np.ndarray) -> np.ndarray:
        """The effect (n,) of a drug, 0 in cells that do not respond."""
        return effect if self.responds is None else effect * self.responds


@dataclass(frozen=True)
class Disturbance:
    """What acts on K contexts besides their drugs; None where there is nothing of the sort."""

    shift: np.ndarray | None = None  # added to the mechanisms, (K, G)
    noise_factor: np.ndarray | None = None  # factor of the standard deviation of the noise, (K, G)
    loading: np.ndarray | None = None  # what a unit of each hidden variable adds to each gene, (F, G)
    hidden_mean: np.ndarray | None = None  # mean of the hidden variables in each context, (K, F)
    hidden_sd: np.ndarray | None = None  # their standard deviation between the cells of a context, (F,)
    responding: np.ndarray | None = None  # probability that a cell responds to its drugs, (K,)
    # standard deviation of what measurement adds to each gene, which is passed on to no other, (G,)
    measured_sd: np.ndarray | None = None
    truth: dict[str, Any] = field(default_factory=dict)  # what `.uns["truth"]["faults"]` is told
    # what the AnnData gets besides
    varm: dict[str, np.ndarray] = field(default_factory=dict)
    uns: dict[str, Any] = field(default_factory=dict)

    def added(self, j: int, row: np.ndarray, state: CellState) -> np.ndarray | float:
        """What is added to the mean of gene j in each cell, (n,), given the contexts of the cells, (n,)."""
        total: np.ndarray | float = 0.0 if self.shift is None else self.shift[row, j]
        if self.loading is not None and state.hidden is not None:
            total = total + state.hidden @ self.loading[:, j]
        return total

    def spread(self, j: int, row: np.ndarray) -> np.ndarray | float:
        """Factor of the noise of gene j in each cell, (n,)."""
        return 1.0 if self.noise_factor is None else self.noise_factor[row, j]

    def draw(self, row: np.ndarray, rng: np.random.Generator) -> CellState:
        """State of cells of the contexts in `row`, (n,)."""
        hidden = responds = None
        if self.hidden_mean is not None and self.hidden_sd is not None:
            hidden = self.hidden_mean[row] + self.hidden_sd * rng.normal(size=(len(row), len(self.hidden_sd)))
        if self.responding is not None:
            responds = rng.random(len(row)) < self.responding[row]
        return CellState(hidden, responds)

    def stored(self) -> dict[str, np.ndarray]:
        """The arrays that there are."""
        return {name: getattr(self, name) for name in ARRAYS if getattr(self, name) is not None}


def read_disturbance(truth: Mapping[str, Any]) -> Disturbance:
    """The disturbance in ``adata.uns["truth"]``."""
    arrays: dict[str, Any] = {name: np.asarray(value, float) for name, value in truth.get("disturbance", {}).items()}
    return Disturbance(**arrays)


def combine(parts: Sequence[Disturbance]) -> Disturbance:
    """Several at a time: shifts add up, factors and probabilities multiply, hidden variables stand side by side."""

    def present(name: str) -> list[np.ndarray]:
        return [getattr(part, name) for part in parts if getattr(part, name) is not None]

    rules: dict[str, Callable[[list[np.ndarray]], np.ndarray]] = {
        "shift": lambda arrays: np.sum(arrays, axis=0),
        "noise_factor": lambda arrays: np.prod(arrays, axis=0),
        "loading": np.vstack,
        "hidden_mean": np.hstack,
        "hidden_sd": np.concatenate,
        "responding": lambda arrays: np.prod(arrays, axis=0),
        "measured_sd": lambda arrays: np.sqrt(np.square(arrays).sum(axis=0)),
    }
    total: dict[str, Any] = {name: rule(present(name)) for name, rule in rules.items() if present(name)}
    for one in fields(Disturbance):
        if one.name not in rules:
            total[one.name] = {key: value for part in parts for key, value in getattr(part, one.name).items()}
    return Disturbance(**total)
