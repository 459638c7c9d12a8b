"""Ensembles: fits to bootstrap samples of the moments, averaged into probabilities (layer `model`; not from the paper)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from scgim._core.arrays import mean_log_odds
from scgim._core.effects import Effects
from scgim._core.fit import Fit
from scgim._core.moments.moments import Moments


def resample(moments: Moments, rng: np.random.Generator) -> Moments:
    """Moments of a new sample of as many cells, drawn from the Gaussian with the given moments; no pass over the cells.

    Means get the sampling error of their contexts, and of their observation, the covariance that of a Wishart matrix;
    where the scatter of pools of contexts is kept, each pool has its own.
    """
    if moments.scatter is None or moments.pool is None:
        pool, freedom = np.zeros(len(moments.n), dtype=int), np.array([float(moments.n.sum() - len(moments.n))])
        if moments.pair_cells is not None:
            freedom = np.array([max(float(np.median(moments.pair_cells)), moments.within.shape[0] + 1.0)])
        within = moments.within[None]
    else:
        pool = moments.pool
        freedom = np.bincount(pool, np.maximum(moments.n - 1, 0), minlength=len(moments.scatter))
        within = moments.scatter / np.maximum(freedom, 1)[:, None, None]
    mean, scatter = moments.mean.reshape(len(moments.n), -1).copy(), np.empty_like(within)
    for u, (covariance, dof) in enumerate(zip(within, freedom, strict=True)):
        size, rows = len(covariance), np.flatnonzero(pool == u)
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))  # covariance = root @ root.T
        error = rng.standard_normal((len(rows), size)) @ root.T
        mean[rows] += error / np.sqrt(np.maximum(moments.n[rows], 1))[:, None]
        if moments.spread is not None:
            mean[rows] += rng.standard_normal(error.shape) * np.sqrt(moments.spread[rows])
        factor = root @ _wishart_root(dof, size, rng)
        scatter[u] = factor @ factor.T
    pooled = scatter.sum(axis=0) / max(float(freedom.sum()), 1.0)
    kept = None if moments.scatter is None else scatter
    return replace(moments, mean=mean.reshape(moments.mean.shape), within=pooled, scatter=kept)


def _wishart_root(freedom: float, size: int, rng: np.random.Generator) -> np.ndarray:
    """Root of a standard Wishart matrix: Bartlett's decomposition, or the draws themselves where they are few."""
    if freedom < size:
        return rng.standard_normal((size, int(freedom)))
    lower = np.tril(rng.standard_normal((size, size)), -1)
    lower[np.diag_indices(size)] = np.sqrt(rng.chisquare(freedom - np.arange(size)))
    return lower


def average(fit: Fit, members: list[Fit]) -> Fit:
    """The fit with probabilities averaged over itself and the members, and standard deviations that hold their spread."""
    if not members:
        return fit
    every = [fit, *members]
    kinds = []
    for kind in fit.kinds:
        parts = [f.kind(kind.kind) for f in every]
        of_drug, of_context, at_level = (
            _spread([getattr(part, name) for part in parts]) for name in ("of_drug", "of_context", "at_level")
        )
        kinds.append(replace(kind, of_drug=of_drug, of_context=of_context, at_level=at_level))
    outside = np.mean([f.drift.of_drug.probability for f in every], axis=0)
    return replace(
        fit,
        kinds=tuple(kinds),
        graph=replace(fit.graph, probability=np.mean([f.graph.probability for f in every], axis=0)),
        drift=replace(fit.drift, of_drug=replace(fit.drift.of_drug, probability=outside)),
        settings={**fit.settings, "n_ensemble": len(members)},
        support=replace(fit.support, log_odds=mean_log_odds(np.stack([f.support.log_odds for f in every]))),
    )


def _spread(parts: list[Effects]) -> Effects:
    """The first of several posteriors, with their mean probability and the spread of their effects in its uncertainty."""
    probability = np.mean([part.probability for part in parts], axis=0)
    spread = np.var([part.mean for part in parts], axis=0)
    return Effects(probability, parts[0].mean, np.sqrt(parts[0].sd ** 2 + spread))


def resamples(
    moments: Moments, n_members: int, rng: np.random.Generator
) -> Iterator[tuple[Moments, np.random.Generator]]:
    """The moments, then `n_members` bootstrap samples of them, each with a random generator of its own."""
    yield moments, rng
    for stream in rng.spawn(n_members):
        yield resample(moments, stream), stream
