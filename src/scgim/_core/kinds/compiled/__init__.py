"""Inner loops of kinds, compiled by numba (layer `_core`)."""
