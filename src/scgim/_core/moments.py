"""Moments of basis functions, per context, from one pass over the cells (layer `_core`; not from the paper).

Everything that the exact engine needs: counts and means per context and one pooled within-context covariance. Sums
are accumulated in float64 around a fixed origin, so that partial results merge by addition in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from scgim._core import basis

Chunk = tuple[np.ndarray, np.ndarray]  # cells (n, G), dense or sparse; context of each cell (n,)


@dataclass
class Moments:
    """Sufficient statistics of the cells.

    Attributes
    ----------
    n
        ``(K,)``; cells per context.
    mean
        ``(K, G, B)``; mean of the basis functions of the standardised genes.
    within
        ``(G*B, G*B)``; covariance within contexts, pooled over contexts.
    loc, scale
        ``(G,)``; the standardisation, on the modelled expression scale.
    slope
        ``(G, B)``; average derivative of the basis functions.
    scatter
        ``(U, G*B, G*B)`` or None; within-context scatter (sum of squares) of each block of contexts, where asked for.
    block
        ``(K,)`` or None; block of each context, for `scatter`.
    """

    n: np.ndarray
    mean: np.ndarray
    within: np.ndarray
    loc: np.ndarray
    scale: np.ndarray
    slope: np.ndarray
    mechanism: str = "linear"
    scatter: np.ndarray | None = None
    block: np.ndarray | None = None

    @property
    def n_genes(self) -> int:
        """Number of genes G."""
        return self.mean.shape[1]

    @property
    def n_functions(self) -> int:
        """Basis functions per gene, B."""
        return self.mean.shape[2]


@dataclass
class Sums:
    """Running sums of a pass; `merge` adds those of another part of the cells."""

    n: np.ndarray  # (K,)
    first: np.ndarray  # (K, F)
    second: np.ndarray  # (F, F), or (U, F, F) with blocks

    def merge(self, other: Sums) -> Sums:
        """Sums over both parts."""
        return Sums(self.n + other.n, self.first + other.first, self.second + other.second)


def _dense(x: np.ndarray) -> np.ndarray:
    return np.asarray(x.toarray() if sparse.issparse(x) else x, dtype=np.float64)


def _indicator(context: np.ndarray, n_contexts: int) -> sparse.csr_matrix:
    rows = np.arange(len(context))
    return sparse.csr_matrix((np.ones(len(context)), (context, rows)), shape=(n_contexts, len(context)))


def add_chunk(f: np.ndarray, context: np.ndarray, n_contexts: int, block: np.ndarray | None = None) -> Sums:
    """Sums of one chunk of function values ``(n, F)`` with contexts ``(n,)``."""
    member = _indicator(context, n_contexts)
    if block is None:
        second = f.T @ f
    else:
        of_cell = block[context]
        second = np.zeros((block.max() + 1, f.shape[1], f.shape[1]))
        for u in np.unique(of_cell):
            part = f[of_cell == u]
            second[u] = part.T @ part
    return Sums(np.bincount(context, minlength=n_contexts).astype(float), np.asarray(member @ f), second)


def location_scale(chunks: Callable[[], Iterable[Chunk]]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of every gene over all cells, ``(G,)`` each, by Chan's merging of chunks."""
    n, mean, spread = 0.0, np.zeros(0), np.zeros(0)
    for x, _ in chunks():
        x = _dense(x)
        m, delta_n = x.mean(axis=0), float(len(x))
        s = ((x - m) ** 2).sum(axis=0)
        if n == 0:
            n, mean, spread = delta_n, m, s
            continue
        delta = m - mean
        total = n + delta_n
        mean, spread = mean + delta * delta_n / total, spread + s + delta**2 * n * delta_n / total
        n = total
    return mean, np.sqrt(spread / max(n, 1.0))


def compute_moments(
    chunks: Callable[[], Iterable[Chunk]],
    n_contexts: int,
    *,
    mechanism: str = "linear",
    block: np.ndarray | None = None,
    loc: np.ndarray | None = None,
    scale: np.ndarray | None = None,
) -> Moments:
    """Moments of all cells, chunk by chunk.

    Parameters
    ----------
    chunks
        A function without arguments that returns an iterator over ``(cells (n, G), contexts (n,))``; it is called
        twice (once where `loc` and `scale` are given), so a one-shot generator does not do.
    n_contexts
        Number of contexts K.
    mechanism
        ``"linear"`` or ``"additive"``.
    block
        ``(K,)``; keeps the scatter of each block of contexts apart, for hard and activity interventions.
    loc, scale
        ``(G,)``; the standardisation, where it is known.
    """
    if loc is None or scale is None:
        loc, scale = location_scale(chunks)
    safe = np.where(scale > 0, scale, 1.0)
    total: Sums | None = None
    slope, n_cells = 0.0, 0
    for x, context in chunks():
        z = (_dense(x) - loc) / safe
        f = basis.evaluate(z, mechanism)
        slope = slope + basis.derivative(z, mechanism).sum(axis=0)
        n_cells += len(z)
        part = add_chunk(f.reshape(len(z), -1), np.asarray(context), n_contexts, block)
        total = part if total is None else total.merge(part)
    if total is None:
        raise ValueError("chunks: expected at least one chunk of cells, found none.")
    return finish(total, loc, safe, slope / n_cells, mechanism, block)


def finish(
    total: Sums, loc: np.ndarray, scale: np.ndarray, slope: np.ndarray, mechanism: str, block: np.ndarray | None
) -> Moments:
    """Moments from the merged sums of all cells."""
    n, functions = total.n, basis.N_FUNCTIONS[mechanism]
    mean = total.first / np.maximum(n, 1)[:, None]  # (K, F)
    if block is None:
        between = (mean * n[:, None]).T @ mean
        scatter, pooled = None, total.second - between
    else:
        scatter = total.second.copy()
        for k, u in enumerate(block):
            scatter[u] -= n[k] * np.outer(mean[k], mean[k])
        pooled = scatter.sum(axis=0)
    within = (pooled + pooled.T) / 2 / max(n.sum() - len(n), 1.0)  # one mean a context is estimated
    shape = (len(n), len(loc), functions)
    return Moments(n, mean.reshape(shape), within, loc, scale, slope, mechanism, scatter, block)
