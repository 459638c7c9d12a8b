"""Observed cells whose latent layer is moved: counterfactual counts and zeros (layer `_core`; not from the paper).

Where the latent layer of a cell moves by a known amount, its data need not be drawn anew. A Poisson count whose rate falls is
thinned, which is exact and asks for no prior; one whose rate rises keeps what it had and gains what the posterior of its rate
expects. A value that is not zero keeps its noise, and only as many zeros come or go as the change of their probability says.
"""

from __future__ import annotations

import numpy as np

LARGEST_CHANGE = 16.0  # logarithms; more is no longer counted
LARGEST_RATE = 1e7
NODES = np.linspace(-5.0, 5.0, 61)  # of the grid on which posteriors of rates are drawn, in prior standard deviations
BLOCK = 50_000  # values whose grids are held at once


def move_counts(
    count: np.ndarray,
    change: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    log_size: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Counts after the logarithms of their rates have changed.

    Parameters
    ----------
    count
        ``(n, G)``; Poisson counts.
    change
        ``(n, G)``; change of the logarithm of the rate.
    mean, variance
        ``(n, G)`` and ``(G,)``; of the latent layer of such cells before the change.
    log_size
        ``(n,)``; logarithms of the size factors.
    rng
        Random generator.
    """
    change = np.clip(change, -LARGEST_CHANGE, LARGEST_CHANGE)
    count = np.round(count).astype(np.int64)
    out = np.where(change < 0, rng.binomial(count, np.exp(np.minimum(change, 0.0))), count)
    row, gene = np.nonzero(change > 0)
    for start in range(0, len(row), BLOCK):
        r, g = row[start : start + BLOCK], gene[start : start + BLOCK]
        rate = draw_rates(count[r, g], mean[r, g] + log_size[r], np.sqrt(variance[g]), rng)
        out[r, g] += rng.poisson(np.minimum(np.expm1(change[r, g]) * rate, LARGEST_RATE))
    return out.astype(float)


def draw_rates(count: np.ndarray, mean: np.ndarray, sd: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Poisson rates given counts, from a log-normal prior; one draw of the posterior on a grid for each, ``(m,)``.

    Parameters
    ----------
    count, mean, sd
        ``(m,)``; counts, and mean and standard deviation of the logarithms of their rates.
    """
    z = mean[:, None] + sd[:, None] * NODES  # (m, Q)
    log = count[:, None] * z - np.exp(np.minimum(z, LARGEST_CHANGE)) - 0.5 * NODES**2
    weight = np.exp(log - log.max(axis=1, keepdims=True)).cumsum(axis=1)
    at = (weight < rng.random((len(z), 1)) * weight[:, -1:]).sum(axis=1)
    jitter = (rng.random(len(z)) - 0.5) * (NODES[1] - NODES[0])
    return np.asarray(np.exp(np.minimum(mean + sd * (NODES[at] + jitter), LARGEST_CHANGE)))


def move_zero_inflated(
    value: np.ndarray,
    change: np.ndarray,
    zero_before: np.ndarray,
    zero_after: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Values ``exp(z)`` or zero after z has moved.

    Parameters
    ----------
    value
        ``(n, G)``; not negative.
    change
        ``(n, G)``; of z.
    zero_before, zero_after
        ``(n, G)``; probabilities of a zero.
    mean, variance
        ``(n, G)`` and ``(G,)``; of z before the change, from which values that were zero are drawn.
    rng
        Random generator.
    """
    zero = value <= 0
    lost = np.clip((zero_after - zero_before) / np.maximum(1 - zero_before, 1e-12), 0, 1)
    found = np.clip((zero_before - zero_after) / np.maximum(zero_before, 1e-12), 0, 1)
    chance = rng.random(value.shape)
    z = np.where(zero, mean + np.sqrt(variance) * rng.standard_normal(value.shape), np.log(np.where(zero, 1.0, value)))
    kept = np.where(zero, chance < found, chance >= lost)
    return np.where(kept, np.exp(np.clip(z + change, -50, 50)), 0.0)
