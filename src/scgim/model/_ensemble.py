"""Ensembles: fits to bootstrap samples of the moments, averaged into probabilities (layer `model`; not from the paper)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from scgim._core.fit import Fit
from scgim._core.moments import Moments


def resample(moments: Moments, rng: np.random.Generator) -> Moments:
    """Moments of a new sample of as many cells, drawn from the Gaussian with the given moments; no pass over the cells.

    Means get the sampling error of their contexts, and of their observation; the covariance gets that of a Wishart matrix.
    """
    size = moments.within.shape[0]
    values, vectors = np.linalg.eigh(moments.within)
    root = vectors * np.sqrt(np.maximum(values, 0.0))  # within = root @ root.T
    error = rng.standard_normal((len(moments.n), size)) @ root.T / np.sqrt(np.maximum(moments.n, 1))[:, None]
    freedom = max(moments.n.sum() - len(moments.n), size + 1.0)
    if moments.spread is not None and moments.pair_cells is not None:
        error += rng.standard_normal(error.shape) * np.sqrt(moments.spread)
        freedom = max(float(np.median(moments.pair_cells)), size + 1.0)
    lower = np.tril(rng.standard_normal((size, size)), -1)  # Bartlett's decomposition
    lower[np.diag_indices(size)] = np.sqrt(rng.chisquare(freedom - np.arange(size)))
    factor = root @ lower
    return replace(moments, mean=moments.mean + error.reshape(moments.mean.shape), within=factor @ factor.T / freedom)


def average(fit: Fit, members: list[Fit]) -> Fit:
    """The fit with probabilities averaged over itself and the members, and standard deviations that hold their spread."""
    if not members:
        return fit
    every = [fit, *members]
    out = {}
    for name in ("graph_probability", "probability", "context_probability"):
        out[name] = np.mean([getattr(f, name) for f in every], axis=0)
    for mean, sd in (("amplitude", "amplitude_sd"), ("context_effect", "context_effect_sd")):
        spread = np.var([getattr(f, mean) for f in every], axis=0)
        out[sd] = np.sqrt(getattr(fit, sd) ** 2 + spread)
    return replace(fit, **out, settings={**fit.settings, "n_ensemble": len(members)})


def fit_ensemble(
    moments: Moments, n_members: int, fit_one: Callable[[Moments, np.random.Generator], Fit], rng: np.random.Generator
) -> list[Fit]:
    """Fits to `n_members` bootstrap samples of the moments."""
    return [fit_one(resample(moments, stream), stream) for stream in rng.spawn(n_members)]
