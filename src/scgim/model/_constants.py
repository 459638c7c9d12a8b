"""Names of the registered fields that the module reads from a minibatch, besides those of scvi-tools (layer `model`)."""

CONTEXT_KEY = "scgim_context"
"""Registry key of the context index of each cell, ``(n, 1)`` integer; groups and doses follow from it."""
SIZE_FACTOR_KEY = "size_factor"
"""Registry key of the size factor of each cell, ``(n, 1)``; only read by count noise."""
