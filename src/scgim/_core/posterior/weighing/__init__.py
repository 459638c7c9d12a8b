"""How predictions of what was not measured are weighed against simple baselines (layer `_core`)."""
