"""Basis functions of a gene's standardised expression: linear, or additive nonlinear mechanisms (layer `_core`).

The published mechanisms are linear or neural :cite:p:`schneider2025`; the additive basis in between is not from the
paper. Its first function is always the gene itself, so that residuals and shifts keep the units of the gene.
"""

from __future__ import annotations

import numpy as np

N_FUNCTIONS = {"linear": 1, "additive": 5}
_STEEP = 1.5


def evaluate(z: np.ndarray, mechanism: str) -> np.ndarray:
    """Basis functions of standardised values.

    Parameters
    ----------
    z
        ``(..., G)``; standardised expression.
    mechanism
        ``"linear"`` or ``"additive"``.

    Returns
    -------
    ``(..., G, B)``.
    """
    if mechanism == "linear":
        return z[..., None]
    if mechanism == "additive":
        middle = np.tanh(_STEEP * z)
        return np.stack([z, middle, middle**2, np.tanh(_STEEP * (z - 1)), np.tanh(_STEEP * (z + 1))], axis=-1)
    raise ValueError(f"mechanism: expected one of {sorted(N_FUNCTIONS)}, found {mechanism!r}.")


def derivative(z: np.ndarray, mechanism: str) -> np.ndarray:
    """Derivatives of the basis functions, ``(..., G, B)``; used for average slopes."""
    if mechanism == "linear":
        return np.ones_like(z)[..., None]
    middle = np.tanh(_STEEP * z)
    slope = _STEEP * (1 - middle**2)
    low, high = (_STEEP * (1 - np.tanh(_STEEP * (z + s)) ** 2) for s in (-1, 1))
    return np.stack([np.ones_like(z), slope, 2 * middle * slope, low, high], axis=-1)
