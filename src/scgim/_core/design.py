"""Which drugs act at which doses in each context (layer `_core`; no cells, no anndata)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

INDISTINCT = 1e-6
"""Singular value of sets of drugs that is one of rounding: those of whole numbers are larger for any number of contexts."""


@dataclass(frozen=True)
class Design:
    """Drugs, doses and baseline groups of the K contexts; arrays always."""

    drugs: tuple[str, ...]  # D names, control excluded
    dose: np.ndarray  # (K, D) of each drug, 0 where it is absent; without registered doses 1 where it is present
    group: np.ndarray  # (K,) baseline group: batch x categorical covariates
    group_names: tuple[str, ...]  # C names
    n_cells: np.ndarray  # (K,)
    has_dose: bool = True  # whether doses were registered; without them effects have no dose curve
    # (K,) level of the covariate by which effects differ; 0 in all contexts where they are shared, the default
    level: np.ndarray = None  # type: ignore[assignment]  # zeros, once made

    def __post_init__(self) -> None:
        level = np.zeros(len(self.dose), dtype=int) if self.level is None else self.level
        for name, value, dtype in (
            ("dose", self.dose, float),
            ("group", self.group, int),
            ("n_cells", self.n_cells, None),
            ("level", level, int),
        ):
            object.__setattr__(self, name, np.asarray(value, dtype=dtype))

    @cached_property
    def present(self) -> np.ndarray:
        """``(K, D)`` bool; drugs of each context."""
        return self.dose > 0

    @cached_property
    def control(self) -> np.ndarray:
        """``(K,)`` bool; contexts in which no drug is present."""
        return np.asarray(~self.present.any(axis=1))

    @cached_property
    def single(self) -> np.ndarray:
        """``(K,)`` bool; contexts with one drug."""
        return self.present.sum(axis=1) == 1

    @cached_property
    def identified(self) -> np.ndarray:
        """``(D,)`` bool; False for drugs that no context tells apart from others, by which drugs are in which contexts."""
        _, size, directions = np.linalg.svd(self.present.astype(float))
        rank = int((size > INDISTINCT).sum())
        return np.asarray((np.abs(directions[rank:]) < INDISTINCT).all(axis=0))

    @property
    def combined(self) -> bool:
        """Whether some context holds several drugs."""
        return bool((self.present.sum(axis=1) > 1).any())

    @cached_property
    def drug_set(self) -> np.ndarray:
        """``(K,)`` int; index of the distinct set of drugs of each context, -1 for control."""
        drug_set = np.full(len(self.present), -1)
        if (~self.control).any():
            distinct = np.unique(self.present[~self.control], axis=0, return_inverse=True)[1]
            drug_set[~self.control] = distinct.ravel()
        return drug_set

    @property
    def n_drug_sets(self) -> int:
        """Number of distinct sets of drugs, U."""
        return int(self.drug_set.max(initial=-1)) + 1

    @property
    def n_levels(self) -> int:
        """Number of levels of the covariate by which effects differ, V; 1 where they are shared."""
        return int(self.level.max(initial=0)) + 1

    def of(self, drug: int) -> np.ndarray:
        """Contexts with the drug, alone or beside others."""
        return np.flatnonzero(self.present[:, drug])

    def alone(self, drug: int) -> np.ndarray:
        """Contexts with the drug alone."""
        return np.flatnonzero(self.present[:, drug] & self.single)

    def purest(self, drug: int) -> np.ndarray:
        """Contexts that say most of the drug: those with it alone, else all with it."""
        alone = self.alone(drug)
        return alone if len(alone) else self.of(drug)

    def by_context(self, values: np.ndarray, control: Any = 0.0) -> np.ndarray:
        """Values of the drug sets ``(U, ...)`` for their contexts ``(K, ...)``; controls get `control`."""
        out = np.full((len(self.drug_set), *values.shape[1:]), control, dtype=values.dtype)
        perturbed = self.drug_set >= 0
        out[perturbed] = values[self.drug_set[perturbed]]
        return out

    def mean_by_drug(self, values: np.ndarray) -> np.ndarray:
        """Mean over the drug sets of each drug: its own where it was measured alone; ``(U, G)`` -> ``(D, G)``."""
        out = np.zeros((len(self.drugs), *values.shape[1:]))
        for d in range(len(self.drugs)):
            rows = self.purest(d)
            out[d] = values[np.unique(self.drug_set[rows])].mean(axis=0) if len(rows) else 0.0
        return out

    def control_mean(self, values: np.ndarray) -> np.ndarray:
        """Mean over the cells of the controls ``(K, G)`` -> ``(G,)``; over all cells where there are no controls."""
        used = self.control if self.control.any() else np.ones(len(self.control), dtype=bool)
        return np.asarray(np.average(values[used], axis=0, weights=np.maximum(self.n_cells[used], 1.0)))

    def to_dict(self) -> dict[str, Any]:
        """Plain arrays and lists, for saving; without levels, which belong to a model."""
        return {
            "drugs": list(self.drugs),
            "dose": self.dose,
            "group": self.group,
            "group_names": list(self.group_names),
            "n_cells": self.n_cells,
            "has_dose": bool(self.has_dose),
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Design:
        """Inverse of :meth:`to_dict`."""
        return cls(
            tuple(state["drugs"]),
            state["dose"],
            state["group"],
            tuple(state["group_names"]),
            state["n_cells"],
            bool(state["has_dose"]),
        )
