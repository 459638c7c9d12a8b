"""Atomic interventions and the cells that follow from them (layer `_core`).

Shift and hard interventions are those of :cite:p:`schneider2025`; activity interventions, which scale the outgoing
effects of their target, are not from the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

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

    def active_contribution(self, j: int, x: np.ndarray, activity: np.ndarray) -> np.ndarray:
        """``(n,)``."""

    def contribution(self, j: int, x: np.ndarray) -> np.ndarray:
        """``(n,)``."""


@dataclass
class Atomic:
    """What happens to each of n rows (cells or contexts).

    Attributes
    ----------
    shift
        ``(n, G)``; added to the mechanism of the gene.
    hard
        ``(n, G)`` bool or None; the mechanism is replaced.
    value, value_sd
        ``(n, G)``; mean and standard deviation of the gene where `hard`.
    activity
        ``(n, G)`` or None; outgoing effects of the gene are multiplied by 1 + activity.
    """

    shift: np.ndarray
    hard: np.ndarray | None = None
    value: np.ndarray | None = None
    value_sd: np.ndarray | None = None
    activity: np.ndarray | None = None

    def rows(self, index: np.ndarray) -> Atomic:
        """The same interventions for chosen rows, with repeats allowed."""
        pick: dict[str, Any] = {k: None if v is None else v[index] for k, v in vars(self).items()}
        return Atomic(**pick)


def propagate(
    mechanisms: SupportsMechanisms, atomic: Atomic, group: np.ndarray, noise: np.ndarray | None, dtype: type = float
) -> np.ndarray:
    """Cells along the causal order for given noise.

    Parameters
    ----------
    mechanisms
        Of the genes.
    atomic
        Interventions on n rows.
    group
        ``(n,)``; baseline group of each row.
    noise
        ``(n, G)`` standard normal draws, or None for no noise.

    Returns
    -------
    ``(n, G)`` cells on the modelled expression scale; those of a cyclic system are at its fixed point.
    """
    if getattr(mechanisms, "cyclic", False):
        return _fixed_point(mechanisms, atomic, group, noise).astype(dtype, copy=False)
    x: np.ndarray = np.zeros(atomic.shift.shape, dtype=dtype)
    for j in np.asarray(mechanisms.order):
        if atomic.activity is not None and len(mechanisms.parents[j]):
            incoming = mechanisms.active_contribution(j, x, atomic.activity[:, mechanisms.parents[j]])
        else:
            incoming = mechanisms.contribution(j, x)
        x[:, j] = mechanisms.baseline[group, j] + incoming + atomic.shift[:, j]
        if noise is not None:
            x[:, j] += mechanisms.noise_sd[j] * noise[:, j]
        if atomic.hard is not None and atomic.value is not None:
            cut = atomic.hard[:, j]
            x[cut, j] = atomic.value[cut, j]
            if noise is not None:
                sd = mechanisms.noise_sd[j] if atomic.value_sd is None else atomic.value_sd[cut, j]
                x[cut, j] += sd * noise[cut, j]
    return x


def _fixed_point(
    mechanisms: SupportsMechanisms, atomic: Atomic, group: np.ndarray, noise: np.ndarray | None
) -> np.ndarray:
    """Cells with ``x (I - A) = baseline + shift + noise``, for linear mechanisms with cycles."""
    if (atomic.hard is not None and atomic.hard.any()) or (atomic.activity is not None and atomic.activity.any()):
        raise ValueError("atomic: expected shifts alone in a system with cycles, found hard or activity interventions.")
    G = atomic.shift.shape[1]
    weight = np.eye(G)
    for j in range(G):
        if len(mechanisms.parents[j]):
            unit = np.eye(G)[mechanisms.parents[j]]  # (p, G)
            weight[mechanisms.parents[j], j] -= mechanisms.contribution(j, unit)
    driven = mechanisms.baseline[group] + atomic.shift
    if noise is not None:
        driven = driven + mechanisms.noise_sd * noise
    return np.linalg.solve(weight.T, driven.T).T


def sample_cells(
    mechanisms: SupportsMechanisms, atomic: Atomic, group: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """One cell for each row of the interventions, ``(n, G)``."""
    return propagate(mechanisms, atomic, np.asarray(group), rng.standard_normal(atomic.shift.shape))


def mean_cells(
    mechanisms: SupportsMechanisms,
    atomic: Atomic,
    group: np.ndarray,
    *,
    n_draws: int = 512,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Mean cell under each row of the interventions, ``(n, G)``.

    Exact for linear mechanisms; otherwise an average over `n_draws` cells with the same noise in every row.
    """
    group = np.asarray(group)
    if mechanisms.mechanism.linear:
        return propagate(mechanisms, atomic, group, None)
    rng = np.random.default_rng(0) if rng is None else rng
    half = rng.standard_normal(((n_draws + 1) // 2, atomic.shift.shape[1]))
    noise = np.concatenate([half, -half])  # antithetic
    out = np.empty(atomic.shift.shape)
    for k in range(len(out)):
        index = np.full(len(noise), k)
        out[k] = propagate(mechanisms, atomic.rows(index), group[index], noise).mean(axis=0)
    return out
