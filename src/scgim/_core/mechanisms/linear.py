"""Linear mechanisms (layer `_core`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from scgim._core.state import savable


@savable
@dataclass(frozen=True)
class Linear:
    """``f(z) = beta z``, the linear mechanisms of :cite:p:`schneider2025`."""

    name: ClassVar[str] = "linear"
    linear: ClassVar[bool] = True
    closed_form: ClassVar[bool] = True
    n_functions: ClassVar[int] = 1

    @property
    def basis(self) -> Linear:
        """Itself."""
        return self

    def functions(self, z: np.ndarray) -> np.ndarray:
        """The gene itself, ``(..., G)`` -> ``(..., G, 1)``."""
        return z[..., None]

    def derivatives(self, z: np.ndarray) -> np.ndarray:
        """One, ``(..., G)`` -> ``(..., G, 1)``."""
        return np.ones_like(z)[..., None]

    def slope_sums(self, z: np.ndarray) -> np.ndarray:
        """The number of cells, ``(n, G)`` -> ``(G, 1)``."""
        return np.full((z.shape[1], 1), float(len(z)))
