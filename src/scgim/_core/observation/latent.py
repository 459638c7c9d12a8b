"""From estimated moments of a latent causal layer to what the exact engine takes (layer `_core`; not from the paper)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scgim._core.allowed import Allowed
from scgim._core.moments.moments import Moments
from scgim._core.observation.base import Values

SMALLEST_EIGENVALUE = 0.05  # of the correlations within contexts
SMALLEST_VARIANCE = 1e-3
FEWEST_CELLS = 10.0
LINEAR_SHIFTS = Allowed(
    mechanisms=("linear",),
    interventions=("shift",),
    instead="noise='gaussian' with logs of normalised values for other models",
)
"""Settings under which moments of a latent layer suffice."""


@dataclass
class Latent:
    """Moments of the latent layer, on its own (log) scale."""

    n: np.ndarray  # (K,) cells per context
    mean: np.ndarray  # (K, G) means of the latent layer
    spread: np.ndarray  # (K, G) what observation adds to the variance of these means, beyond sampling of cells
    within: np.ndarray  # (G, G) covariance within contexts
    pair_variance: np.ndarray  # (G, G) variance of the entries of `within` for two independent genes


def nearest_covariance(within: np.ndarray) -> np.ndarray:
    """The matrix with eigenvalues of its correlations raised to at least `SMALLEST_EIGENVALUE`; variances are kept.

    Entries that are estimated pair by pair need not form a covariance.
    """
    sd = np.sqrt(np.maximum(np.diag(within), SMALLEST_VARIANCE))
    correlation = np.clip(within / np.outer(sd, sd), -0.99, 0.99)
    np.fill_diagonal(correlation, 1.0)
    values, vectors = np.linalg.eigh((correlation + correlation.T) / 2)
    if values[0] < SMALLEST_EIGENVALUE:
        correlation = (vectors * np.maximum(values, SMALLEST_EIGENVALUE)) @ vectors.T
        d = np.sqrt(np.diag(correlation))
        correlation = correlation / np.outer(d, d)
    return correlation * np.outer(sd, sd)


def latent_moments(latent: Latent) -> Moments:
    """Standardised moments for the engine, with what observation takes from their precision."""
    within = nearest_covariance(latent.within)
    variance = np.diag(within)
    weight = latent.n / latent.n.sum()
    loc = weight @ latent.mean
    between = np.maximum(weight @ ((latent.mean - loc) ** 2 - latent.spread), 0.0)
    scale = np.sqrt(variance + between)
    cells = np.outer(variance, variance) / np.maximum(latent.pair_variance, 1e-300)
    cells = np.clip(cells, FEWEST_CELLS, max(latent.n.sum() - len(latent.n), FEWEST_CELLS))
    return Moments(
        np.asarray(latent.n, dtype=float),
        ((latent.mean - loc) / scale)[:, :, None],
        within / np.outer(scale, scale),
        loc,
        scale,
        np.ones((len(loc), 1)),
        spread=latent.spread / scale**2,
        pair_cells=cells,
    )


def check_latent(name: str, values: Values) -> None:
    """Continuous covariates act on values and not on the latent layer, and are refused with a ValueError."""
    if values.continuous:
        raise ValueError(
            f"continuous_covariate_keys: expected none with noise={name!r}, found {list(values.continuous)}; cut "
            "them into classes for categorical_covariate_keys."
        )
