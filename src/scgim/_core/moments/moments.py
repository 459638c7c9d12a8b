"""Moments of basis functions, per context, from one pass over the cells (layer `_core`; not from the paper).

All that the exact engine needs. Sums are float64 around a fixed origin, so that parts merge in any order. Linear
moments are standardised after the pass; those of nonlinear functions need a pass for location and scale before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from scgim._core.arrays import dense, member
from scgim._core.mechanisms.base import Basis
from scgim._core.mechanisms.linear import Linear

Chunk = tuple[Any, np.ndarray]  # cells (n, G), dense or sparse; context of each cell (n,)
ROUNDING = 1e-12
"""Share of the mean square that rounding of sums in float64 leaves of the variance of a constant gene."""
ROUNDING_OF_ORIGIN = 1e-28
"""The same as a share of the squared origin: the square of the precision of float64, with a margin."""


@dataclass(frozen=True)
class Hidden:
    """Factors that were taken out of the moments."""

    # (r, G) what a unit of each factor adds to the noise of each gene, in standard deviations of the gene
    loading: np.ndarray
    score: np.ndarray  # (K, r) mean of the factors in each context, against the controls
    error: np.ndarray  # (K, G) variance that what is not known of `score` adds to residual means
    # (r, G) what a unit of each factor does to the means in the end, along the graph that it was found with; None
    # before it is taken out
    total: np.ndarray | None = None
    cost: float = 0.0  # of `score`: minus the log of prior over posterior at the mean

    def own(self, effects: np.ndarray) -> np.ndarray:
        """What a unit of each factor adds to the noise of each gene ``(r, G)``, where genes have these effects on each other ``(G, G)``.

        What was taken out of the moments is given back whole, whatever graph was found after that.
        """
        return self.loading if self.total is None else self.total @ (np.eye(len(effects)) - effects)

    def residual(self, effects: np.ndarray) -> np.ndarray:
        """What the factors add to residual means ``(K, G)``, see `own`."""
        return np.asarray(self.score @ self.own(effects))

    @property
    def variance(self) -> np.ndarray:
        """What they add to the variance of noises, ``(G,)``."""
        return np.asarray((self.loading**2).sum(axis=0))


@dataclass(frozen=True)
class Plates:
    """Offsets of plates that nobody wrote down, which were taken out of the means (`scgim._core.learn.plates`)."""

    offset: np.ndarray  # (K, G) what was taken out, in standard deviations of the genes
    # (K,) variance of what is not known of it, which errs in all doses of a drug alike, relative to that of cells
    left: np.ndarray
    sd: float  # standard deviation of offsets, relative to that of cells


@dataclass(frozen=True)
class Responses:
    """How unequally cells follow their drugs, which was taken out of the covariance (`scgim._core.learn.responses`)."""

    spread: np.ndarray  # (K,) variance of the change of a cell along the change of the means, relative to its square
    variance: np.ndarray  # (K, G) what that adds to the variances of the genes, in squared standard deviations


@dataclass
class Moments:
    """Sufficient statistics of the cells."""

    n: np.ndarray  # (K,) cells per context
    # (K, G, B) mean of the basis functions of the standardised genes; for linear functions in standard deviations
    mean: np.ndarray
    within: np.ndarray  # (G*B, G*B) covariance of those functions within contexts, pooled over contexts, without units
    # (G,) mean and standard deviation of each gene over all cells, in units of the modelled expression
    loc: np.ndarray
    scale: np.ndarray
    slope: np.ndarray  # (G, B) average derivative of the basis functions, per standard deviation of the gene
    mechanism: Basis = Linear()  # whose functions these are
    # (U, G*B, G*B) or None; within-context scatter (sum of squares of the functions, without units) of each pool of
    # contexts, where asked for
    scatter: np.ndarray | None = None
    pool: np.ndarray | None = None  # (K,) or None; pool of each context, for `scatter`
    # (K, G) or None; what observation adds to the variance of the means, beyond that of sampling cells, in squared
    # standard deviations. Means of different genes err independently of each other
    spread: np.ndarray | None = None
    # (G, G) or None; cells without observation noise that would tell a covariance within contexts as well
    pair_cells: np.ndarray | None = None
    # (K, G) or None; sums of squares of the standardised genes around the means of the contexts
    square: np.ndarray | None = None
    # hidden causes that were taken out of the other fields (`scgim._core.structure.hidden`), or None
    hidden: Hidden | None = None
    plates: Plates | None = None  # offsets of plates that were taken out of the means, or None
    # unequal responses of cells that were taken out of the covariance within contexts, or None
    responses: Responses | None = None
    # (G,) variance of the noise of measurement that was taken out of it (`scgim._core.structure.hidden.measured`), or
    # None
    measured: np.ndarray | None = None

    @property
    def n_genes(self) -> int:
        """Number of genes G."""
        return self.mean.shape[1]

    @property
    def n_functions(self) -> int:
        """Basis functions per gene, B."""
        return self.mean.shape[2]


@dataclass(frozen=True)
class Frame:
    """Functions whose sums a pass takes: the basis of `mechanism` at ``(x - loc) / scale``.

    Linear functions are summed around any origin `loc` with ``scale = 1`` and standardised by `finish`.
    """

    mechanism: Basis
    loc: np.ndarray  # (G,), units of the data
    scale: np.ndarray  # (G,), units of the data

    @property
    def n_functions(self) -> int:
        """Functions per gene, B."""
        return self.mechanism.n_functions

    def functions(self, x: Any) -> tuple[np.ndarray, np.ndarray]:
        """Functions ``(n, F)`` of cells ``(n, G)`` in units of the data, and the sums ``(F,)`` of their derivatives."""
        z = dense(x) - self.loc  # (n, G)
        z /= self.scale
        return self.mechanism.functions(z).reshape(len(z), -1), self.mechanism.slope_sums(z).ravel()


@dataclass
class Sums:
    """Running sums of a pass over all K contexts, or over those named in `contexts` and `pools`."""

    n: np.ndarray  # (K,) numbers of cells
    first: np.ndarray  # (K, F) sums of the functions, which have no units but those of `frame`
    second: np.ndarray  # (F, F) sums of products, or `(U, F, F)` with one for each pool of contexts
    slope: np.ndarray  # (F,) sums of derivatives
    square: np.ndarray  # (K, F) sums of squares
    # which contexts and pools the rows stand for; None for all
    contexts: np.ndarray | None = None
    pools: np.ndarray | None = None

    @classmethod
    def zeros(cls, n_contexts: int, n_functions: int, n_pools: int | None = None) -> Sums:
        """Sums over no cells."""
        square = (n_functions, n_functions)
        second = np.zeros(square if n_pools is None else (n_pools, *square))
        each = (n_contexts, n_functions)
        return cls(np.zeros(n_contexts), np.zeros(each), second, np.zeros(n_functions), np.zeros(each))

    def add(self, part: Sums) -> None:
        """Adds the sums of other cells, in place."""
        rows = slice(None) if part.contexts is None else part.contexts
        pools = slice(None) if part.pools is None else part.pools
        self.n[rows] += part.n
        self.first[rows] += part.first
        self.square[rows] += part.square
        if self.second.ndim == 2:
            self.second += part.second
        else:
            self.second[pools] += part.second
        self.slope += part.slope


def chunk_sums(x: Any, context: np.ndarray, frame: Frame, pool: np.ndarray | None = None) -> Sums:
    """Sums of one chunk, for the contexts and pools that occur in it.

    Parameters
    ----------
    x
        ``(n, G)``; cells in units of the data, dense or sparse.
    context
        ``(n,)``; their contexts.
    pool
        ``(K,)``; pool of each context, or None for one sum of products.
    """
    f, slope = frame.functions(x)
    contexts, local = np.unique(np.asarray(context), return_inverse=True)
    local = local.ravel()
    sums = member(local, len(contexts))
    n, first = np.bincount(local, minlength=len(contexts)).astype(float), np.asarray(sums @ f)
    square = np.asarray(sums @ f**2)
    if pool is None:
        return Sums(n, first, f.T @ f, slope, square, contexts)
    pools, of_context = np.unique(pool[contexts], return_inverse=True)
    of_cell = of_context.ravel()[local]
    second = np.empty((len(pools), f.shape[1], f.shape[1]))
    for u in range(len(pools)):
        part = f[of_cell == u]
        second[u] = part.T @ part
    return Sums(n, first, second, slope, square, contexts, pools)


def origin(x: Any) -> np.ndarray:
    """Origin ``(G,)`` of a linear pass, from its first cells, in units of the data."""
    return dense(x).mean(axis=0)


def location_scale(total: Sums, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of genes over all cells ``(G,)``, in units of the data, by sums of a linear pass."""
    n = max(float(total.n.sum()), 1.0)
    diagonal = np.diagonal(total.second, axis1=-2, axis2=-1)
    square = diagonal if diagonal.ndim == 1 else diagonal.sum(axis=0)
    mean = total.first.sum(axis=0) / n
    variance = square / n - mean**2
    noise = ROUNDING * square / n + ROUNDING_OF_ORIGIN * frame.loc**2
    return frame.loc + mean, np.sqrt(np.where(variance > noise, variance, 0.0))


def sum_chunks(
    chunks: Iterable[Chunk], n_contexts: int, frame: Frame | None, pool: np.ndarray | None = None
) -> tuple[Sums, Frame]:
    """Sums of all chunks; without a frame, linear ones around the mean of the first chunk."""
    total: Sums | None = None
    for x, context in chunks:
        if x.shape[0] == 0:
            continue
        if frame is None:
            frame = Frame(Linear(), origin(x), np.ones(x.shape[1]))
        part = chunk_sums(x, context, frame, pool)
        if total is None:
            total = Sums.zeros(n_contexts, part.first.shape[1], None if pool is None else int(pool.max()) + 1)
        total.add(part)
    if total is None or frame is None:
        raise ValueError("chunks: expected at least one chunk of cells, found none.")
    return total, frame


def compute_moments(
    chunks: Callable[[], Iterable[Chunk]],
    n_contexts: int,
    *,
    mechanism: Basis = Linear(),
    pool: np.ndarray | None = None,
    loc: np.ndarray | None = None,
    scale: np.ndarray | None = None,
) -> Moments:
    """Moments of all cells, chunk by chunk.

    Parameters
    ----------
    chunks
        A function without arguments that returns an iterator over ``(cells (n, G), contexts (n,))``. It is called
        once for linear mechanisms or where `loc` and `scale` are given, and twice otherwise.
    pool
        ``(K,)``; keeps the scatter of each pool of contexts apart, for hard and activity interventions.
    loc, scale
        ``(G,)``; the standardisation in units of the data, where it is known.
    """
    known = None if loc is None or scale is None else (loc, scale)
    if mechanism.linear:
        total, frame = sum_chunks(chunks(), n_contexts, None, pool)
        return finish(total, frame, pool, standardisation=known)
    if known is None:
        known = location_scale(*sum_chunks(((x, c) for x, c in chunks()), n_contexts, None))
    frame = Frame(mechanism, known[0], np.where(known[1] > 0, known[1], 1.0))
    total, frame = sum_chunks(chunks(), n_contexts, frame, pool)
    return finish(total, frame, pool)


def finish(
    total: Sums,
    frame: Frame,
    pool: np.ndarray | None = None,
    *,
    standardisation: tuple[np.ndarray, np.ndarray] | None = None,
) -> Moments:
    """Moments from the merged sums of all cells.

    Parameters
    ----------
    total, frame
        Sums over all contexts, and the functions that were summed.
    pool
        ``(K,)``; pool of each context, for sums that keep pools apart.
    standardisation
        Location and scale ``(G,)`` each for linear sums; their mean and standard deviation over all cells by default.
    """
    n = total.n
    mean = total.first / np.maximum(n, 1)[:, None]  # (K, F)
    if pool is None:
        scatter, pooled = None, total.second - (mean * n[:, None]).T @ mean
    else:
        scatter = total.second.copy()
        for k, u in enumerate(pool):
            scatter[u] -= n[k] * np.outer(mean[k], mean[k])
        pooled = scatter.sum(axis=0)
    square = np.maximum(total.square - n[:, None] * mean**2, 0.0)[:, :: frame.n_functions]  # (K, G) of the genes
    loc, scale = frame.loc, frame.scale
    if frame.mechanism.linear:
        loc, scale = location_scale(total, frame) if standardisation is None else standardisation
        scale = np.where(scale > 0, scale, 1.0)
        mean = np.where(n[:, None] > 0, (mean + frame.loc - loc) / scale, 0.0)
        pooled, square = pooled / np.outer(scale, scale), square / scale**2
        if scatter is not None:
            scatter /= np.outer(scale, scale)  # in place: it may be the largest array of a fit
    within = (pooled + pooled.T) / 2 / max(n.sum() - len(n), 1.0)  # one mean a context is estimated
    slope = (total.slope / max(n.sum(), 1.0)).reshape(len(loc), frame.n_functions)
    shape = (len(n), len(loc), frame.n_functions)
    return Moments(n, mean.reshape(shape), within, loc, scale, slope, frame.mechanism, scatter, pool, square=square)
