"""Minibatches: rows of an epoch, splits of cells, data modules (layer `model`)."""
