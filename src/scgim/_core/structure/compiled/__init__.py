"""Inner loops of the search, compiled by numba: the formulas are those of the folder above (layer `_core`)."""
