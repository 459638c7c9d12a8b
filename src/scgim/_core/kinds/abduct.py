"""Abduction: the noise that a cell must have had, given its interventions (layer `_core`; not from the paper)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scgim._core.kinds.cells import Atomic, SupportsMechanisms

if TYPE_CHECKING:
    pass


def abduct(mechanisms: SupportsMechanisms, x: np.ndarray, atomic: Atomic, group: np.ndarray) -> np.ndarray:
    """Standardised noise ``(n, G)`` of cells ``(n, G)`` that were under the given interventions."""
    noise = np.empty_like(x)
    for j in range(x.shape[1]):
        if atomic.activity is not None and len(mechanisms.parents[j]):
            explained = mechanisms.active_contribution(j, x, atomic.activity[:, mechanisms.parents[j]])
        else:
            explained = mechanisms.contribution(j, x)
        noise[:, j] = x[:, j] - mechanisms.baseline[group, j] - explained - atomic.shift[:, j]
    return noise / np.maximum(mechanisms.noise_sd, 1e-12)
