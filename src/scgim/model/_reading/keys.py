"""Names of the registered fields that the module reads from a minibatch, besides those of scvi-tools (layer `model`)."""

CONTEXT_KEY = "scgim_context"
"""Registry key of the context index of each cell, ``(n, 1)`` integer; groups and doses follow from it."""
SIZE_FACTOR_KEY = "size_factor"
"""Registry key of the size factor of each cell, ``(n, 1)``; only read by count noise."""
WEIGHT_KEY = "scgim_weight"
"""Key of the importance weight of each cell of a minibatch, ``(n, 1)``, where contexts are drawn in balance."""
