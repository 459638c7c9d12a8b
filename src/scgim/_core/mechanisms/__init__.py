"""How a gene follows from its parents: basis functions, additive curves, networks (layer `_core`)."""
