"""Feature maps: interventions of new drugs from their features (layer `_core`)."""

from scgim._core.features.model import FeatureModel
from scgim._core.features.search import DrugPosterior

__all__ = ["DrugPosterior", "FeatureModel"]
