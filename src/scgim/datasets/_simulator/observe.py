"""From latent expression to what a sequencer reports: counts or zero-inflated values; numpy only."""

from __future__ import annotations

from typing import Any

import numpy as np

COUNT_SCALE = 0.5  # log rate of a count per unit of latent expression
OFFSET_SD = 0.7  # of the genes' log rates at latent expression 0
LIBRARY_SD = 0.3  # of the cells' log size factors
REFERENCE = 5000  # cells used to find the depth
CHUNK = 50_000  # cells counted at a time


def observe(
    x: np.ndarray, settings: dict[str, Any], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
    """Observed values (n, G), size factors (n,) or None, and what made them, from latent expression x (n, G)."""
    if settings["noise"] == "counts":
        return _counts(x, settings["zeros"], settings["dropout"], rng)
    rate = _zero_rates(x.shape[1], settings["zeros"], rng)
    kept = rng.random(x.shape, dtype=np.float32) >= rate
    return np.where(kept, np.exp(x), 0).astype(np.float32), None, {"zero_probability": rate}


def _zero_rates(n_genes: int, zeros: float, rng: np.random.Generator) -> np.ndarray:
    """Probability of a technical zero of each gene, (G,), `zeros` on average."""
    spread = min(zeros, 1 - zeros) * 0.5
    return zeros + rng.uniform(-spread, spread, n_genes)


def _counts(
    x: np.ndarray, zeros: float, dropout: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Poisson counts with rate size_factor * exp(scale * x + offset), each lost with probability `dropout`."""
    offset = rng.normal(0, OFFSET_SD, x.shape[1])
    size = np.exp(rng.normal(-0.5 * LIBRARY_SD**2, LIBRARY_SD, len(x)))
    some = rng.permutation(len(x))[:REFERENCE]
    offset += _depth(COUNT_SCALE * x[some] + offset + np.log(size[some])[:, None], zeros, dropout)
    counts = np.empty(x.shape, np.float32)
    for start in range(0, len(x), CHUNK):
        part = slice(start, start + CHUNK)
        rate = np.exp(COUNT_SCALE * x[part] + offset) * size[part, None]
        counts[part] = rng.poisson(np.minimum(rate, 1e6))
    if dropout > 0:
        counts[rng.random(x.shape, dtype=np.float32) < dropout] = 0
    return counts, size, {"count_scale": COUNT_SCALE, "count_offset": offset, "dropout": dropout}


def _depth(log_rate: np.ndarray, zeros: float, dropout: float) -> float:
    """What is added to all log rates so that the expected part of zeros is `zeros`, by bisection."""
    low, high = -30.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        found = dropout + (1 - dropout) * np.exp(-np.exp(np.minimum(log_rate + middle, 50))).mean()
        low, high = (middle, high) if found > zeros else (low, middle)
    return (low + high) / 2
