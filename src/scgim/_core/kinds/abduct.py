"""Abduction: the noise that a cell must have had, given its interventions (layer `_core`; not from the paper)."""

import numpy as np

from scgim._core.kinds.base import Moved, column
from scgim._core.kinds.cells import SupportsMechanisms, incoming

SMALLEST_NOISE = 1e-12  # of genes without noise, which have none to find


def abduct(mechanisms: SupportsMechanisms, x: np.ndarray, moved: Moved, group: np.ndarray) -> np.ndarray:
    """Standardised noise ``(n, G)`` of cells ``(n, G)`` to which the given things happened."""
    noise = np.empty_like(x)
    for j in range(x.shape[1]):
        listen = column(moved.listen, j)
        own = x[:, j] - listen * mechanisms.baseline[group, j] - listen * incoming(mechanisms, moved, x, j)
        noise[:, j] = own - moved.add[:, j]
    return noise / np.maximum(moved.noise * mechanisms.noise_sd, SMALLEST_NOISE)
