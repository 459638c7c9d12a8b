"""Graph and interventions learned together, and the fit that holds both (layer `_core`)."""
