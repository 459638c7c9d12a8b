"""What genes do to each other in the end, along all paths of a linear system ``x = A' x + noise`` (layer `_core`)."""

from __future__ import annotations

import numpy as np


def total_effects(weights: np.ndarray) -> np.ndarray:
    """Change of every gene per unit that is added to each, ``(I - A)^-1``, ``(G, G)``; row causes column."""
    return np.asarray(np.linalg.inv(np.eye(len(weights)) - weights))


def covariance(weights: np.ndarray, noise_sd: np.ndarray) -> np.ndarray:
    """Covariance ``(G, G)`` of cells whose genes have independent noise, ``T' diag(s^2) T`` with the total effects T."""
    total = total_effects(weights)
    return np.asarray(total.T @ (noise_sd[:, None] ** 2 * total))


def variance(weights: np.ndarray, noise_sd: np.ndarray) -> np.ndarray:
    """Its diagonal, ``(G,)``."""
    return np.asarray(noise_sd**2 @ total_effects(weights) ** 2)
