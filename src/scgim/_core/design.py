"""Which drugs act at which doses in each context (layer `_core`; no cells, no anndata)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Design:
    """Drugs, doses and baseline groups of the K contexts.

    Attributes
    ----------
    drugs
        Names of the D atomic drugs, control excluded.
    dose
        ``(K, D)``; dose of each drug in each context, 0 where the drug is absent. Without registered doses: 1 where
        the drug is present.
    group
        ``(K,)``; baseline group (batch x categorical covariates) of each context.
    group_names
        Names of the C groups.
    n_cells
        ``(K,)``; number of cells.
    has_dose
        Whether doses were registered; without them effects have no dose curve.
    level
        ``(K,)``; level of the covariate by which effects differ, or None where they are shared.
    """

    drugs: tuple[str, ...]
    dose: np.ndarray
    group: np.ndarray
    group_names: tuple[str, ...]
    n_cells: np.ndarray
    has_dose: bool = True
    level: np.ndarray | None = None

    @cached_property
    def control(self) -> np.ndarray:
        """``(K,)`` bool; contexts in which no drug is present."""
        return (np.asarray(self.dose) == 0).all(axis=1)

    @cached_property
    def unit(self) -> np.ndarray:
        """``(K,)`` int; index of the distinct set of drugs of each context, -1 for control."""
        present = np.asarray(self.dose) > 0  # (K, D)
        unit = np.full(len(present), -1)
        if (~self.control).any():
            unit[~self.control] = np.unique(present[~self.control], axis=0, return_inverse=True)[1].ravel()
        return unit

    @property
    def levels(self) -> np.ndarray:
        """``(K,)`` int; level of each context, 0 for all where effects are shared."""
        return np.zeros(len(self.dose), dtype=int) if self.level is None else np.asarray(self.level, dtype=int)

    def to_dict(self) -> dict[str, Any]:
        """Plain arrays and lists, for saving; without levels, which belong to a model."""
        return {
            "drugs": list(self.drugs),
            "dose": np.asarray(self.dose, float),
            "group": np.asarray(self.group),
            "group_names": list(self.group_names),
            "n_cells": np.asarray(self.n_cells),
            "has_dose": bool(self.has_dose),
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Design:
        """Inverse of :meth:`to_dict`."""
        return cls(
            tuple(state["drugs"]),
            np.asarray(state["dose"], float),
            np.asarray(state["group"]),
            tuple(state["group_names"]),
            np.asarray(state["n_cells"]),
            bool(state["has_dose"]),
        )
