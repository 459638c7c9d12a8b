"""Causal mechanisms x_j = f_j(x_pa(j)) + baseline_j + noise_j that are sums of functions of the parents (layer `_core`).

The structural causal model of :cite:p:`schneider2025`, section 3; additive functions are not from the paper. On the
modelled expression scale outside, standardised inside.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from scgim._core.mechanisms.base import Basis
from scgim._core.state import savable

STEEP = 1.5  # of the steps: most of a rise within two thirds of a standard deviation around its middle


@savable
@dataclass(frozen=True)
class Additive:
    """``f(z) = sum_b beta_b phi_b(z)``: a line, a step at the mean, its square, and steps a standard deviation off."""

    name: ClassVar[str] = "additive"
    linear: ClassVar[bool] = False
    closed_form: ClassVar[bool] = True
    n_functions: ClassVar[int] = 5

    @property
    def basis(self) -> Additive:
        """Itself."""
        return self

    def functions(self, z: np.ndarray) -> np.ndarray:
        """``z, t, t^2, tanh(s (z - 1)), tanh(s (z + 1))`` with ``t = tanh(s z)``: ``(..., G)`` -> ``(..., G, 5)``."""
        middle = np.tanh(STEEP * z)
        return np.stack([z, middle, middle**2, np.tanh(STEEP * (z - 1)), np.tanh(STEEP * (z + 1))], axis=-1)

    def derivatives(self, z: np.ndarray) -> np.ndarray:
        """Of the functions, ``(..., G)`` -> ``(..., G, 5)``."""
        middle = np.tanh(STEEP * z)
        slope = STEEP * (1 - middle**2)
        low, high = (STEEP * (1 - np.tanh(STEEP * (z + s)) ** 2) for s in (-1, 1))
        return np.stack([np.ones_like(z), slope, 2 * middle * slope, low, high], axis=-1)

    def slope_sums(self, z: np.ndarray) -> np.ndarray:
        """Sums of the derivatives over cells, ``(n, G)`` -> ``(G, 5)``."""
        return self.derivatives(z).sum(axis=0)


@savable
@dataclass
class Mechanisms:
    """Mechanisms of G genes along a topological order."""

    mechanism: Basis  # their form, linear or additive
    order: np.ndarray  # (G,) genes, causes first
    parents: list[np.ndarray]  # of each gene, indices
    coef: list[np.ndarray]  # of each gene, `(p, B)` coefficients on the basis functions of its parents, standardised
    baseline: np.ndarray  # (C, G) intercept of each gene in each baseline group
    noise_sd: np.ndarray  # (G,) standard deviation of the noise
    # (G,) standardisation
    loc: np.ndarray
    scale: np.ndarray
    # (G, G) signed size of each edge: the slope for linear mechanisms, otherwise the standard deviation of the parent's
    # contribution over that of the parent, with the sign of the average slope
    strength: np.ndarray
    # whether genes act on each other in cycles (linear mechanisms only); then `order` is not topological
    cyclic: bool = False
    # (G,) expression at which a gene does nothing, around which changes of its activity scale what children see; None
    # for zero
    off: np.ndarray | None = None

    @property
    def n_genes(self) -> int:
        """Number of genes G."""
        return len(self.noise_sd)

    def parent_contributions(self, j: int, x: np.ndarray) -> np.ndarray:
        """Contribution of each parent to gene j, zero where the parent is zero: cells ``(n, G)`` -> ``(n, p)``."""
        pa = self.parents[j]
        if len(pa) == 0:
            return np.zeros((len(x), 0))
        z = (x[:, pa] - self.loc[pa]) / self.scale[pa]
        f = self.mechanism.functions(z)  # (n, p, B)
        origin = self.mechanism.functions(-self.loc[pa] / self.scale[pa])  # (p, B)
        return self.scale[j] * np.einsum("npb,pb->np", f - origin, self.coef[j])

    def contribution(self, j: int, x: np.ndarray) -> np.ndarray:
        """Contribution of all parents to gene j: cells ``(n, G)`` -> ``(n,)``."""
        return self.parent_contributions(j, x).sum(axis=1)

    def active_contribution(self, j: int, x: np.ndarray, speak: np.ndarray) -> np.ndarray:
        """The same where the contribution of each parent is scaled by `speak` ``(n, p)``, around that of a gene that is off."""
        each = self.parent_contributions(j, x)
        rest = 0.0 if self.off is None else self.parent_contributions(j, self.off[None])
        return np.asarray((rest + speak * (each - rest)).sum(axis=1))

    def weights(self) -> np.ndarray:
        """Signed edge sizes ``(G, G)``, row causes column."""
        return self.strength

    def operated(self, factor: np.ndarray, value: np.ndarray) -> Mechanisms:
        """Mechanisms of genes that are ``factor x_j + value``, ``(G,)`` each, in place of ``x_j``: what follows sees that."""
        return replace(
            self,
            coef=[f * coef for f, coef in zip(factor, self.coef, strict=True)],
            baseline=factor * self.baseline + value,
            noise_sd=np.abs(factor) * self.noise_sd,
            strength=self.strength * factor,
        )

    def with_edges(self, multiplier: np.ndarray, reference: np.ndarray) -> Mechanisms:
        """Contributions of parents times `multiplier` ``(G, G)``; a gene whose parents are at `reference` ``(G,)`` stays."""
        coef, baseline = [], self.baseline.copy()
        for j, pa in enumerate(self.parents):
            by = multiplier[pa, j]  # (p,)
            coef.append(self.coef[j] * by[:, None])
            baseline[:, j] += self.parent_contributions(j, reference[None])[0] @ (1 - by)
        return replace(self, coef=coef, baseline=baseline, strength=self.strength * multiplier)


def from_standardised(
    mechanism: Basis,
    order: np.ndarray,
    parents: list[np.ndarray],
    coef: list[np.ndarray],
    baseline: np.ndarray,
    variance: np.ndarray,
    loc: np.ndarray,
    scale: np.ndarray,
    slope: np.ndarray,
    within: np.ndarray,
) -> Mechanisms:
    """Mechanisms on the expression scale from standardised fits.

    Parameters
    ----------
    baseline
        ``(C, G)`` standardised intercepts.
    variance
        ``(G,)`` standardised noise variances.
    slope
        ``(G, B)`` average derivatives of the basis functions.
    within
        ``(G*B, G*B)`` pooled covariance of the basis functions.
    """
    G = len(loc)
    B = mechanism.n_functions
    strength, shifted = np.zeros((G, G)), np.array(baseline, dtype=float)
    for j in range(G):
        for i, c in zip(parents[j], coef[j], strict=True):
            block = slice(i * B, (i + 1) * B)
            sd = np.sqrt(max(float(c @ within[block, block] @ c), 0.0) / max(within[i * B, i * B], 1e-12))
            sign = np.sign(float(c @ slope[i])) or 1.0
            strength[i, j] = sign * sd * scale[j] / scale[i]
        if len(parents[j]):
            origin = mechanism.functions(-loc[parents[j]] / scale[parents[j]])
            shifted[:, j] += float((origin * coef[j]).sum())
    return Mechanisms(
        mechanism,
        np.asarray(order),
        parents,
        coef,
        loc + scale * shifted,
        scale * np.sqrt(variance),
        loc,
        scale,
        strength,
    )
