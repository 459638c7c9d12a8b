"""What a fault of a simulated screen may change; each fault is a file of `scgim.datasets.faults`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from scgim._checks import as_declared
from scgim.datasets._simulator.disturbance import Disturbance
from scgim.datasets._simulator.rows import Row


@dataclass(frozen=True)
class World:
    """A simulated screen before its cells are drawn."""

    contexts: pd.DataFrame  # table of K contexts
    response: np.ndarray  # fraction of the effect at saturation of each drug in each context, (K, D)
    gene_sd: np.ndarray  # standard deviation of the genes among control cells, (G,)
    settings: dict[str, Any]  # arguments of `scgim.datasets.simulate`

    @property
    def perturbed(self) -> np.ndarray:
        """Which contexts have a drug, (K,) bool."""
        return np.asarray((self.response > 0).any(1))

    @property
    def shape(self) -> tuple[int, int]:
        """(K, G)."""
        return len(self.contexts), len(self.gene_sd)


@dataclass(frozen=True)
class Fault:
    """Something that real screens have and the published protocol has not. The methods do nothing unless overridden."""

    def __post_init__(self) -> None:
        for parameter in fields(self):
            as_declared(str(parameter.type), signed=True)(parameter.name, getattr(self, parameter.name))

    def check(self, settings: dict[str, Any]) -> None:
        """Refuse parameters outside their range, or that do not go with the others, naming them."""

    def change_rows(self, rows: list[Row], settings: dict[str, Any]) -> list[Row]:
        """The perturbed contexts of a cell line: dose of each drug, split, number of cells."""
        return rows

    def change_drugs(self, effect: np.ndarray) -> np.ndarray:
        """Effects of the drugs on genes at saturation, (D, G)."""
        return effect

    def change_contexts(
        self, contexts: pd.DataFrame, amount: np.ndarray, settings: dict[str, Any], rng: np.random.Generator
    ) -> tuple[pd.DataFrame, np.ndarray]:
        """The table of contexts and the dose of each drug in each, (K, D)."""
        return contexts, amount

    def disturb(self, world: World, rng: np.random.Generator) -> Disturbance:
        """What acts on the cells besides their drugs."""
        return Disturbance()

    @property
    def name(self) -> str:
        """Key in ``truth["faults"]``."""
        return type(self).__name__

    def stored(self) -> dict[str, Any]:
        """Parameters, as files can hold them."""
        values = {key: value for key, value in asdict(self).items() if value is not None}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def require(fault: Fault, name: str, expected: str, *, holds: bool) -> None:
    """Refuse a parameter of a fault, naming both."""
    if not holds:
        raise ValueError(f"{fault.name}.{name}: expected {expected}, found {getattr(fault, name)!r}.")


def check_faults(faults: Sequence[Fault], settings: dict[str, Any]) -> None:
    """Refuse what is no fault, the same fault twice, and parameters outside their range."""
    if not isinstance(faults, list | tuple):
        raise TypeError(
            f"faults: expected a list of objects of scgim.datasets.faults, found {faults!r}; use [{faults!r}]."
        )
    for fault in faults:
        if not isinstance(fault, Fault):
            raise TypeError(f"faults: expected objects of scgim.datasets.faults, found {fault!r}.")
    names = [fault.name for fault in faults]
    if len(set(names)) < len(names):
        raise ValueError(f"faults: expected each fault once, found {names}.")
    for fault in faults:
        fault.check(settings)
