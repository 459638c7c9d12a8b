"""The second stage of a fit, ensembles, and what goes with what (layer `model`)."""
