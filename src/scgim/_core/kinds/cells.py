"""The cells that follow from mechanisms and interventions (layer `_core`)."""

from typing import Protocol

import numpy as np
from scipy.special import ndtri
from scipy.stats.qmc import Sobol

from scgim._core.kinds.base import Moved, column
from scgim._core.mechanisms.base import Mechanism


class SupportsMechanisms(Protocol):
    """What sampling needs of mechanisms."""

    order: np.ndarray
    parents: list[np.ndarray]
    baseline: np.ndarray
    noise_sd: np.ndarray

    @property
    def mechanism(self) -> Mechanism:
        """Their form."""

    def active_contribution(self, j: int, x: np.ndarray, speak: np.ndarray) -> np.ndarray:
        """``(n,)``."""

    def contribution(self, j: int, x: np.ndarray) -> np.ndarray:
        """``(n,)``."""


def propagate(mechanisms: SupportsMechanisms, moved: Moved, group: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
    """Cells along the causal order for given noise.

    Parameters
    ----------
    moved
        What happens to the n rows.
    group
        ``(n,)``; baseline group of each row.
    noise
        ``(n, G)`` standard normal draws, or None for no noise.

    Returns
    -------
    ``(n, G)`` cells on the modelled expression scale; those of a cyclic system are at its fixed point.
    """
    if getattr(mechanisms, "cyclic", False):
        return _fixed_point(mechanisms, moved, group, noise)
    x: np.ndarray = np.zeros(moved.add.shape)
    for j in np.asarray(mechanisms.order):
        followed = mechanisms.baseline[group, j] + incoming(mechanisms, moved, x, j)
        x[:, j] = column(moved.listen, j) * followed + moved.add[:, j]
        if noise is not None:
            x[:, j] += column(moved.noise, j) * mechanisms.noise_sd[j] * noise[:, j]
    return x


def incoming(mechanisms: SupportsMechanisms, moved: Moved, x: np.ndarray, j: int) -> np.ndarray:
    """What the parents of gene j contribute to it, ``(n,)``, as far as they speak."""
    parents = mechanisms.parents[j]
    if moved.speak.shape == (1, 1) or not len(parents):
        return mechanisms.contribution(j, x)
    return mechanisms.active_contribution(j, x, moved.speak[:, parents])


def _fixed_point(
    mechanisms: SupportsMechanisms, moved: Moved, group: np.ndarray, noise: np.ndarray | None
) -> np.ndarray:
    """Cells with ``x (I - A) = baseline + shift + noise``, for linear mechanisms with cycles."""
    if not moved.only_adds:
        raise ValueError("moved: expected shifts alone in a system with cycles, found mechanisms that are changed.")
    G = moved.add.shape[1]
    weight = np.eye(G)
    for j in range(G):
        if len(mechanisms.parents[j]):
            unit = np.eye(G)[mechanisms.parents[j]]  # (p, G)
            weight[mechanisms.parents[j], j] -= mechanisms.contribution(j, unit)
    driven = mechanisms.baseline[group] + moved.add
    if noise is not None:
        driven = driven + mechanisms.noise_sd * noise
    return np.linalg.solve(weight.T, driven.T).T


def sample_cells(
    mechanisms: SupportsMechanisms, moved: Moved, group: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """One cell for each row of the interventions, ``(n, G)``."""
    return propagate(mechanisms, moved, np.asarray(group), rng.standard_normal(moved.add.shape))


def even_noise(n_draws: int, n_genes: int) -> np.ndarray:
    """``(n_draws, G)`` standard normal points that lie evenly, always the same: a scrambled Sobol sequence.

    `n_draws` is a power of two. The error of a mean of cells is a half to a sixth of that of as many random points.
    """
    if n_genes > Sobol.MAXDIM:
        return np.random.default_rng(0).standard_normal((n_draws, n_genes))
    return np.asarray(ndtri(Sobol(n_genes, seed=0).random(n_draws)))


def mean_cells(
    mechanisms: SupportsMechanisms,
    moved: Moved,
    group: np.ndarray,
    *,
    n_draws: int = 512,
) -> np.ndarray:
    """Mean cell under each row of the interventions, ``(n, G)``.

    Exact for linear mechanisms; otherwise an average over `n_draws` cells with the same noise in every row.
    """
    group = np.asarray(group)
    if mechanisms.mechanism.linear:
        return propagate(mechanisms, moved, group, None)
    noise = even_noise(n_draws, moved.add.shape[1])
    out = np.empty(moved.add.shape)
    for k in range(len(out)):
        index = np.full(len(noise), k)
        out[k] = propagate(mechanisms, moved.rows(index), group[index], noise).mean(axis=0)
    return out
