"""The map from features to interventions: fitted after they are known, or trained with them (layer `model`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scgim._core.features import FeatureModel
from scgim.model._published.maps import KIND, AmortisedMaps

if TYPE_CHECKING:
    from scgim._core.fit import Fit
    from scgim.model._study.study import Study


def fit_feature_model(fit: Fit, data: Study, rng: np.random.Generator) -> dict[str, Any] | None:
    """Fit the map by cross-validation over drugs, as a plain dict; None without features."""
    if data.features is None:
        return None
    features = data.features
    values = features.of_drugs(data.design.drugs) if features.level == "drug" else features.values
    model = FeatureModel.fit(fit, data.design, values, level=features.level, rng=rng)
    return model.to_dict()


def load_feature_model(state: dict[str, Any] | None) -> Any:
    """The fitted map, or None."""
    if state is None:
        return None
    if state.get("kind") == KIND:
        return AmortisedMaps.from_dict(state)
    return FeatureModel.from_dict(state)
