"""The simulated systems of the published protocol, and what is known of their contexts."""

from __future__ import annotations

import fnmatch
import functools
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from anndata import AnnData

GRAPHS = {"er": "erdos_renyi", "sf": "scale_free"}
AXES = (tuple(GRAPHS), ("linear", "neural"), ("shift", "hard"), ("principal_components", "projection", "noise"))
QUICK = {"n_genes": 6, "n_drugs": 8, "n_control": 200, "n_new_drugs": 3, "n_test_cells": 60, "n_features": 5}


def systems(patterns: list[str]) -> list[str]:
    """Names such as ``er-linear-shift-noise`` that match one of the patterns, in the order of the patterns."""
    every = ["-".join(parts) for parts in itertools.product(*AXES)]
    return list(dict.fromkeys(name for pattern in patterns for name in fnmatch.filter(every, pattern)))


def simulate(name: str, seed: int, *, quick: bool = False, **changes: Any) -> Case:
    """One system of the protocol; `changes` are further arguments of `scgim.datasets.simulate`."""
    import scgim

    graph, mechanism, intervention, features = name.split("-")
    settings: dict[str, Any] = {"graph": GRAPHS[graph], "mechanism": mechanism, "intervention": intervention}
    settings |= {"features": features, "rng": seed} | (QUICK if quick else {}) | changes
    return Case(name, seed, scgim.datasets.simulate(**settings))


@dataclass
class Case:
    """A simulated system: cells to learn from, and contexts to predict."""

    name: str
    seed: int
    adata: AnnData
    cached: dict[str, Any] = field(default_factory=dict)

    @property
    def truth(self) -> dict[str, Any]:
        return self.adata.uns["truth"]

    @functools.cached_property
    def table(self) -> pd.DataFrame:
        """All contexts of the truth."""
        return self.truth["contexts"].reset_index(drop=True)

    @functools.cached_property
    def train(self) -> AnnData:
        """The cells that methods may see, without the truth."""
        part = self.adata[self.adata.obs["split"] == "train"].copy()
        del part.uns["truth"]
        if "features" in part.uns:
            known = set(part.obs["drug"].astype(str))
            part.uns["features"] = part.uns["features"][[d in known for d in part.uns["features"].index]]
        part.obs["drug"] = part.obs["drug"].cat.remove_unused_categories()
        part.obs = part.obs[["drug", "dose"]]
        return part

    def rows(self, split: str) -> np.ndarray:
        """Contexts of a split, as rows of `table`; the control is left out."""
        return np.flatnonzero((self.table["split"] == split) & (self.table["drug"] != "control"))

    def cells(self, k: int) -> np.ndarray:
        """Cells of context k, (n, G)."""
        if "place" not in self.cached:
            context = self.adata.obs["context"].to_numpy()
            self.cached["place"] = np.searchsorted(context, np.arange(len(self.table) + 1))
            if np.any(np.diff(context) < 0):
                raise SystemExit("cells are not in the order of their contexts")
        start, stop = self.cached["place"][k : k + 2]
        return np.asarray(self.adata.X[start:stop], float)

    def means(self, rows: np.ndarray) -> np.ndarray:
        """Mean expression of contexts, (m, G)."""
        return np.stack([self.cells(k).mean(0) for k in rows])

    @functools.cached_property
    def control(self) -> np.ndarray:
        """Control cells, (n, G)."""
        return self.cells(int(np.flatnonzero(self.table["drug"] == "control")[0]))

    def known(self, rows: np.ndarray) -> np.ndarray:
        """What the baselines are told of contexts: features and dose, (m, Q)."""
        dose = self.table["dose"].to_numpy(float)[rows]
        features = self.features(rows)
        if isinstance(features, pd.DataFrame):
            features = features.loc[self.table["drug"].iloc[rows]].to_numpy(float)
        return np.column_stack([features, dose, np.log1p(dose)])

    def features(self, rows: np.ndarray) -> Any:
        """Features as `predict` takes them: a table by drug, or one row a context, (m, Q)."""
        if "features" in self.adata.uns:
            table = self.adata.uns["features"]
            return table[table.index.isin(set(self.table["drug"].iloc[rows]))]
        self.cells(0)
        return np.asarray(self.adata.obsm["features"])[self.cached["place"][rows]]

    def perturbations(self, rows: np.ndarray) -> pd.DataFrame:
        """The registered columns of contexts."""
        return self.table.iloc[rows][["drug", "dose"]].reset_index(drop=True)
