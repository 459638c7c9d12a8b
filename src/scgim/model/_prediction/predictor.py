"""Prediction: a request is resolved into interventions, and these into cells (layer `model`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from scgim._core.fit import Fit
from scgim._core.observation import Gaussian, Observation
from scgim.model._prediction.cells import PredictedCells
from scgim.model._prediction.components import Components
from scgim.model._prediction.request import Request
from scgim.model._prediction.resolve import Resolver

if TYPE_CHECKING:
    from scgim._core.features import FeatureModel
    from scgim.model._published.maps import AmortisedMaps
    from scgim.model._study.study import Study


@dataclass
class Predictor:
    """Prediction from a fit, without the data and without a torch module."""

    fit: Fit  # the fitted model
    data: Study  # what was registered
    feature_model: FeatureModel | AmortisedMaps | None = None  # map from features to interventions, or None
    observation: Observation = field(default_factory=Gaussian)  # from the causal layer to the data
    mixes: bool = True  # whether predictions of what was not measured are mixed with simple baselines, see `Resolver`

    @property
    def n_genes(self) -> int:
        """Number of genes G."""
        return len(self.fit.genes)

    @cached_property
    def _resolver(self) -> Resolver:
        return Resolver(self.fit, self.data, self.feature_model, self.mixes)

    def components(self, request: Request, features: np.ndarray | None) -> Components:
        """Interventions of each row of a request, see :meth:`Resolver.components`."""
        return self._resolver.components(request, features)

    def sample(
        self, request: Request, components: Components, n_cells: int, rng: np.random.Generator
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Blocks of ``(cells (n, G), row (n,), group (n,))`` in units of the data, see :meth:`PredictedCells.sample`."""
        return self._cells(request, components).sample(n_cells, rng)

    def mean(self, request: Request, components: Components) -> np.ndarray:
        """Mean cell of each row ``(m, G)``, in units of the data, see :meth:`PredictedCells.mean`."""
        return self._cells(request, components).mean()

    def _cells(self, request: Request, components: Components) -> PredictedCells:
        return PredictedCells(self.fit.mechanisms, self.observation, request, components)
