"""Poisson log-normal counts: moments of the latent layer from moments of the counts (layer `_core`; not from the paper).

A count is Poisson with rate ``size * exp(z)``, z Gaussian within a context :cite:p:`aitchison1989`. So
``E[y] = size * m`` with ``log m = mean + variance / 2``, and ``E[y_i y_j] = size**2 m_i m_j exp(cov_ij)``, with
``y (y - 1)`` for ``i = j``: moments of counts tell those of z in closed form. Where z of a cell moves, a count whose
rate falls is thinned, which is exact; one whose rate rises gains what the posterior of its rate expects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from scgim._core.allowed import Allowed
from scgim._core.arrays import dense, member
from scgim._core.design import Design
from scgim._core.moments.moments import Moments
from scgim._core.observation.base import Cells, Change, Layer, Mean, Values
from scgim._core.observation.latent import LINEAR_SHIFTS, SMALLEST_VARIANCE, Latent, check_latent, latent_moments

CountChunk = tuple[Any, np.ndarray, np.ndarray]  # counts (n, G), dense or sparse; context (n,) and size factor (n,)
HALF = 0.5  # added to the counts of a context before the logarithm
FEW_GENES = 1000  # of fewer genes than this, the sum of counts is no measure of depth
KEPT_SIZES = 256  # quantiles of the size factors of control cells, from which those of predicted cells are drawn
LARGEST_LOG_RATE = 16.0  # counts of more than some millions are not drawn
LARGEST_CHANGE = 16.0  # logarithms; more is no longer counted
LARGEST_RATE = 1e7
NODES = np.linspace(-5.0, 5.0, 61)  # of the grid on which posteriors of rates are drawn, in prior standard deviations
BLOCK = 50_000  # values whose grids are held at once


@dataclass(frozen=True)
class PoissonLognormal:
    """``y ~ Poisson(size * exp(z))``: raw counts, whose rates have a Gaussian logarithm z."""

    name: ClassVar[str] = "poisson_lognormal"
    direct: ClassVar[bool] = False
    allows: ClassVar[Allowed] = LINEAR_SHIFTS
    # (C, S) size factors of control cells of each baseline group, sorted, in units of `size_unit`
    sizes: np.ndarray = field(default_factory=lambda: np.ones((1, 1)))
    size_unit: float = 1.0  # mean size factor of the cells, in the unit of the data

    def check(self, values: Values) -> list[str]:
        """Values have to be counts of one modality; missing size factors are pointed out."""
        check_latent(self.name, values)
        if not values.counts:
            raise ValueError(
                f"noise: {self.name!r} needs raw counts, and {values.where} holds other values; name the layer with "
                "counts, or use noise='gaussian' for logs."
            )
        if len(values.modalities) > 1:
            raise ValueError(
                f"noise: {self.name!r} has one size factor a cell, found the modalities {list(values.modalities)}; model "
                "one of them (modalities={'layer': [...]}), or logs of all of them with noise='gaussian'."
            )
        if values.size_factor is not None or values.n_genes >= FEW_GENES:
            return []
        return [
            f"no size_factor_key, so that counts of the {values.n_genes} modelled genes stand in for depth, which drugs "
            "that move these genes distort. Name a column with the counts of all genes, such as 'total_counts' of "
            "scanpy.pp.calculate_qc_metrics before genes are left out."
        ]

    def learn(self, cells: Cells, design: Design) -> tuple[Moments, PoissonLognormal]:
        """Moments of z in two passes, and the size factors of control cells."""
        size = cells.sizes()
        unit = float(size.mean())
        size = size / unit

        def chunks() -> Iterator[CountChunk]:
            start = 0
            for x, context in cells():
                yield x, context, size[start : start + len(context)]
                start += len(context)

        control, group = design.control[cells.index], design.group[cells.index]
        grid = (np.arange(KEPT_SIZES) + 0.5) / KEPT_SIZES
        groups = range(len(design.group_names))
        sizes = np.stack([np.quantile(size[control & (group == c)], grid) for c in groups])  # (C, S)
        latent = poisson_lognormal_moments(chunks, len(design.dose))
        return latent_moments(latent), PoissonLognormal(sizes, unit)

    def draw(
        self, z: np.ndarray, mean: Mean, group: np.ndarray, size: np.ndarray | None, rng: np.random.Generator
    ) -> np.ndarray:
        """Counts ``(n, G)``; size factors that are not given are those of control cells of the group."""
        if size is None:
            size = self.sizes[group, rng.integers(self.sizes.shape[1], size=len(z))]
        else:
            size = size / self.size_unit
        return rng.poisson(np.exp(np.minimum(z + np.log(size)[:, None], LARGEST_LOG_RATE))).astype(float)

    def expect(self, layer: Layer, group: np.ndarray, size: np.ndarray | None) -> np.ndarray:
        """``E[y] = size * E[exp(z)]``, ``(r, G)``."""
        _, log_mean = layer.log_mean()
        size = self.sizes[group].mean(axis=1) if size is None else size / self.size_unit
        return size[:, None] * np.exp(log_mean)

    def move(self, x: np.ndarray, change: Change, size: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
        """Counts ``(n, G)`` that are thinned, or gain; the sum over the genes stands in for size factors not given."""
        before, after, variance = change.means()
        size = x.sum(axis=1) if size is None else size
        log_size = np.log(np.maximum(size, 1e-12) / self.size_unit)
        return move_counts(x, after - before, before, variance, log_size, rng)


def poisson_lognormal_moments(chunks: Callable[[], Iterable[CountChunk]], n_contexts: int) -> Latent:
    """Moments of the latent layer, in two passes over the cells.

    Parameters
    ----------
    chunks
        A function without arguments that returns an iterator over
        ``(counts (n, G), contexts (n,), size factors (n,))``.
    """
    n, power, total = np.zeros(n_contexts), np.zeros((3, n_contexts)), None
    for x, context, size in chunks():
        of_context = member(context, n_contexts)
        n += np.bincount(context, minlength=n_contexts)
        power += np.stack([of_context @ size**p for p in (1, 2, 3)])
        part = dense(of_context @ x)
        total = part if total is None else total + part
    if total is None:
        raise ValueError("chunks: expected at least one chunk of cells, found none.")
    s1, s2, s3 = np.maximum(power, 1e-300)[:, :, None]  # (K, 1)
    cells = np.maximum(n, 1)[:, None]
    rate, depth = total / s1, s1 / cells
    weight = total / cells / (1 + total / cells)  # (K, G), of a gene where its counts are informative
    gain = depth / (1 + total / cells)  # weight / rate
    products = _products(chunks, rate, gain)
    products[np.diag_indices_from(products)] -= (gain**2 * rate * (s1 - s2 / s1)).sum(axis=0)  # of Poisson noise
    used = s2 - 2 * s3 / s1 + s2**2 / s1**2  # (K, 1), sum of squares less what the estimated rates take
    norm = np.maximum((weight * used).T @ weight, 1e-12)
    within = np.log(np.maximum(1 + products / norm, 0.05))
    variance = np.maximum(np.diag(within), SMALLEST_VARIANCE)
    excess = np.expm1(variance) * s2 / s1**2  # (K, G), relative variance of a context's counts beyond Poisson's
    mean = np.log((total + HALF) / s1) + excess / 2 - variance / 2
    spread = np.maximum(1 / (total + HALF) + excess - variance / cells, 0.0)
    relative = cells / np.maximum(total, HALF) + np.expm1(variance)  # (K, G), of one cell
    noise = weight**2 * relative
    pair = (noise * used).T @ noise / norm**2
    return Latent(n, mean, spread, within, pair)


def _products(chunks: Callable[[], Iterable[CountChunk]], rate: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Sums over the cells of products of weighted differences from the context's rate, ``(G, G)``."""
    out = np.zeros((rate.shape[1],) * 2)
    for x, context, size in chunks():
        e = (dense(x) - size[:, None] * rate[context]) * gain[context]
        out += e.T @ e
    return out


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
