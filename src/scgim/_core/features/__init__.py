"""Feature maps: interventions of new drugs from their features (layer `_core`)."""

from scgim._core.effects import Effects
from scgim._core.features.model import FeatureModel

__all__ = ["Effects", "FeatureModel"]
