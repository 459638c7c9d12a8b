"""The map from features to interventions: fitted after they are known, or trained with them (layer `model`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scgim._core.features import FeatureModel

if TYPE_CHECKING:
    from scgim._core.fit import Fit
    from scgim.model._study.study import Study


def fit_feature_model(fit: Fit, data: Study, rng: np.random.Generator) -> FeatureModel | None:
    """Fit the map by cross-validation over drugs; None without features."""
    if data.features is None:
        return None
    features = data.features
    values = features.of_drugs(data.design.drugs) if features.rows_are == "drug" else features.values
    return FeatureModel.fit(fit, data.design, values, rows_are=features.rows_are, rng=rng)
