"""Zero-inflated log-normal values: moments of their logarithms from the positive ones (layer `_core`; not from the paper).

A value is ``exp(z)``, or zero with a probability that does not depend on z within a context. Where z moves by a known
amount, a value that is not zero keeps its noise, and only as many zeros come or go as the change of their probability
says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from scipy.special import expit, logit

from scgim._core.allowed import Allowed
from scgim._core.arrays import dense, member
from scgim._core.design import Design
from scgim._core.moments.moments import Chunk, Moments
from scgim._core.observation.base import Cells, Change, Layer, Mean, Values, unused_sizes
from scgim._core.observation.latent import LINEAR_SHIFTS, SMALLEST_VARIANCE, Latent, check_latent, latent_moments

UNKNOWN = 100.0  # variance of the mean of a gene without any positive value in a context, over the gene's variance
N_STEPS = 20  # of Newton
RIDGE = 1.0  # of the slope of zeros on means
LOG_LIKE = 10.0  # normalised values reach beyond it, their logarithms hardly


@dataclass(frozen=True)
class ZeroInflatedLognormal:
    """``y = exp(z)``, or zero with a probability that follows the mean of z: normalised values without logarithms."""

    name: ClassVar[str] = "zero_inflated_lognormal"
    direct: ClassVar[bool] = False
    allows: ClassVar[Allowed] = LINEAR_SHIFTS
    # (3, G) intercept, slope and centre of the logistic regression of zeros on the mean of z
    zeros: np.ndarray = field(default_factory=lambda: np.zeros((3, 1)))

    def check(self, values: Values) -> list[str]:
        """Values may not be negative; counts and logarithms are pointed out."""
        check_latent(self.name, values)
        if values.smallest < 0:
            raise ValueError(
                f"noise: {self.name!r} needs non-negative values, and {values.where} goes down to {values.smallest:.3g}; "
                "give normalised values without logs, centring or scaling, or use noise='gaussian'."
            )
        remarks = []
        if values.counts:
            remarks.append(
                f"{values.where} holds raw counts, of which {self.name!r} models neither depth nor sampling; use "
                "'poisson_lognormal'."
            )
        elif values.largest < LOG_LIKE:
            remarks.append(
                f"{values.where} has no value above {values.largest:.3g}, as after a logarithm, and {self.name!r} takes "
                "logarithms itself; give the normalised values (scanpy.pp.normalize_total without log1p), or use 'gaussian'."
            )
        return remarks + unused_sizes(self.name, values)

    def learn(self, cells: Cells, design: Design) -> tuple[Moments, ZeroInflatedLognormal]:
        """Moments of z in two passes, and how zeros follow its mean."""
        latent, zeros = zero_inflated_moments(cells, len(design.dose))
        return latent_moments(latent), ZeroInflatedLognormal(np.stack(fit_zeros(latent.n, zeros, latent.mean)))

    def zero_probability(self, mean: np.ndarray) -> np.ndarray:
        """Probability of a zero where z has this mean, ``(n, G)``."""
        intercept, slope, centre = self.zeros
        return expit(np.clip(intercept + slope * (mean - centre), -30, 30))

    def draw(
        self, z: np.ndarray, mean: Mean, group: np.ndarray, size: np.ndarray | None, rng: np.random.Generator
    ) -> np.ndarray:
        """Values ``(n, G)``, with zeros as their means say."""
        return np.where(rng.random(z.shape) < self.zero_probability(mean()), 0.0, np.exp(z))

    def expect(self, layer: Layer, group: np.ndarray, size: np.ndarray | None) -> np.ndarray:
        """``E[y] = (1 - P(zero)) * E[exp(z)]``, ``(r, G)``."""
        mean, log_mean = layer.log_mean()
        return (1 - self.zero_probability(mean)) * np.exp(log_mean)

    def move(self, x: np.ndarray, change: Change, size: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
        """Values ``(n, G)`` that keep their noise; zeros come or go as their probability changes."""
        before, after, variance = change.means()
        zero, still = self.zero_probability(before), self.zero_probability(after)
        return move_zero_inflated(x, after - before, zero, still, before, variance, rng)


def logs(x: Any) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of positive values ``(n, G)``, 0 elsewhere, and where values are positive."""
    values = dense(x)
    there = values > 0
    return np.log(np.where(there, values, 1.0)), there


def zero_inflated_moments(chunks: Callable[[], Iterable[Chunk]], n_contexts: int) -> tuple[Latent, np.ndarray]:
    """Moments of the logarithms, in two passes over the cells.

    Parameters
    ----------
    chunks
        A function without arguments that returns an iterator over ``(values (n, G), contexts (n,))``.

    Returns
    -------
    The moments, and the part of zeros of each context and gene ``(K, G)``.
    """
    n, count, total = np.zeros(n_contexts), None, None
    for x, context in chunks():
        y, there = logs(x)
        of_context = member(context, n_contexts)
        n += np.bincount(context, minlength=n_contexts)
        parts = of_context @ there.astype(float), of_context @ y
        count = parts[0] if count is None else count + parts[0]
        total = parts[1] if total is None else total + parts[1]
    if count is None or total is None:
        raise ValueError("chunks: expected at least one chunk of cells, found none.")
    cells, seen = np.maximum(n, 1)[:, None], np.maximum(count, 1)
    overall = total.sum(axis=0) / np.maximum(count.sum(axis=0), 1)
    mean = np.where(count > 0, total / seen, overall)
    products, pairs = np.zeros((2, count.shape[1], count.shape[1]))
    for x, context in chunks():
        y, there = logs(x)
        e, there = np.where(there, y - mean[context], 0.0), there.astype(np.float32)
        products += e.T @ e
        pairs += there.T @ there
    # estimated means take degrees of freedom; positive values of two genes meet by chance
    share = count / cells
    taken = share.sum(axis=0)[:, None] + share.sum(axis=0) - share.T @ share
    np.fill_diagonal(taken, (count > 0).sum(axis=0))
    freedom = np.maximum(pairs - taken, 1.0)
    within = products / freedom
    variance = np.maximum(np.diag(within), SMALLEST_VARIANCE)
    spread = variance * np.where(count > 0, 1 / seen - 1 / cells, UNKNOWN)
    return Latent(n, mean, spread, within, np.outer(variance, variance) / freedom), 1 - share


def fit_zeros(n: np.ndarray, zeros: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, ...]:
    """Logistic regression of zeros on the mean of the context, gene by gene, by Newton steps with a ridge on the slope.

    Parameters
    ----------
    n
        ``(K,)``; cells.
    zeros
        ``(K, G)``; part of zeros.
    mean
        ``(K, G)``; means of the logarithms.

    Returns
    -------
    Intercept, slope and centre of the means, ``(G,)`` each.
    """
    weight = n[:, None] * np.ones_like(mean)
    centre = (weight * mean).sum(axis=0) / weight.sum(axis=0)
    d = mean - centre
    p = np.clip((weight * zeros).sum(axis=0) / weight.sum(axis=0), 1e-4, 1 - 1e-4)
    a, b = logit(p), np.zeros_like(p)
    for _ in range(N_STEPS):
        q = expit(np.clip(a + b * d, -30, 30))
        w = weight * np.maximum(q * (1 - q), 1e-6)
        r = weight * (zeros - q)
        ga, gb = r.sum(axis=0), (r * d).sum(axis=0) - RIDGE * b
        haa, hab, hbb = w.sum(axis=0) + 1e-6, (w * d).sum(axis=0), (w * d**2).sum(axis=0) + RIDGE
        det = haa * hbb - hab**2
        a = np.clip(a + (hbb * ga - hab * gb) / det, -12, 12)
        b = np.clip(b + (haa * gb - hab * ga) / det, -5, 5)
    return a, b, centre


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
    """
    zero = value <= 0
    lost = np.clip((zero_after - zero_before) / np.maximum(1 - zero_before, 1e-12), 0, 1)
    found = np.clip((zero_before - zero_after) / np.maximum(zero_before, 1e-12), 0, 1)
    chance = rng.random(value.shape)
    z = np.where(zero, mean + np.sqrt(variance) * rng.standard_normal(value.shape), np.log(np.where(zero, 1.0, value)))
    kept = np.where(zero, chance < found, chance >= lost)
    return np.where(kept, np.exp(np.clip(z + change, -50, 50)), 0.0)
