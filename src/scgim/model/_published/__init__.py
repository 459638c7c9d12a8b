"""The published estimator: its module, maps and training plan (layer `model`)."""
