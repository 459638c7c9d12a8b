"""Passes over the cells: columns, expression, covariates, sums (layer `model`)."""
