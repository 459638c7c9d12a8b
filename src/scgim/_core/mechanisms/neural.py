"""Neural mechanisms, one small network a gene, as plain arrays (layer `_core`).

Those of :cite:p:`schneider2025`; the linear path and the hinges, which keep them sane outside the data, are not from
the paper. Layer `model` trains them; prediction needs no torch. Standardised inside, on the modelled expression scale
outside.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from scgim._core.mechanisms.additive import Additive
from scgim._core.state import savable

FADE = 0.5  # standard deviations beyond the data within which a mechanism ceases to follow a parent
N_NODES = 16  # of the quadrature that shares a contribution out between parents


@dataclass(frozen=True)
class Neural:
    """``f(z) = outer act(inner z + bias) + skip z``, one network a gene; graphs are searched with additive functions first."""

    name: ClassVar[str] = "neural"
    linear: ClassVar[bool] = False
    closed_form: ClassVar[bool] = False

    @property
    def basis(self) -> Additive:
        """Additive functions: what comes closest, and has a closed form."""
        return Additive()


def activate(a: np.ndarray, n_hinges: int) -> np.ndarray:
    """Hidden units ``(..., H)``: ``tanh``, and smooth hinges ``(a + sqrt(a^2 + 1)) / 2`` for the last ones.

    Outside the data units of ``tanh`` are constant, so that a network goes on with one slope to all sides; hinges let
    it have another slope on each side.
    """
    first = a.shape[-1] - n_hinges
    bent = a[..., first:]
    return np.concatenate([np.tanh(a[..., :first]), 0.5 * (bent + np.sqrt(bent**2 + 1))], axis=-1)


def activation_slope(a: np.ndarray, n_hinges: int) -> np.ndarray:
    """Derivative of `activate`, ``(..., H)``."""
    first = a.shape[-1] - n_hinges
    bent = a[..., first:]
    return np.concatenate([1 - np.tanh(a[..., :first]) ** 2, 0.5 + 0.5 * bent / np.sqrt(bent**2 + 1)], axis=-1)


@savable
@dataclass
class NeuralMechanisms:
    """``f_j(x) = scale_j * (outer @ act(z @ inner + bias) + z @ skip)`` less its value at ``x = 0``, ``z`` standardised."""

    order: np.ndarray  # (G,) genes, causes first
    parents: list[np.ndarray]  # of each gene, indices `(p,)`
    # of each gene, `(p, H)`, `(H,)`, `(H,)` and `(p,)`
    inner: list[np.ndarray]
    bias: list[np.ndarray]
    outer: list[np.ndarray]
    skip: list[np.ndarray]
    baseline: np.ndarray  # (C, G) intercepts
    # (G,)
    noise_sd: np.ndarray
    loc: np.ndarray
    scale: np.ndarray
    strength: np.ndarray  # (G, G) signed size of each edge
    # (G,) expression at which a gene does nothing, around which changes of its activity scale what children see; None
    # for zero
    off: np.ndarray | None = None
    # (G,) hidden units of each network, the last ones, that are hinges, see `activate`; None for none
    n_hinges: np.ndarray | None = None
    # (2, G) smallest and largest value of each gene in the cells, in standard deviations like z; None for no end
    reach: np.ndarray | None = None
    mechanism: ClassVar[Neural] = Neural()

    @property
    def n_genes(self) -> int:
        """Number of genes G."""
        return len(self.noise_sd)

    def hinges(self, j: int) -> int:
        """Hidden units of gene j that are hinges."""
        return 0 if self.n_hinges is None else int(self.n_hinges[j])

    def network(self, j: int, z: np.ndarray) -> np.ndarray:
        """Standardised parents ``(n, p)`` -> ``(n,)``."""
        return activate(z @ self.inner[j] + self.bias[j], self.hinges(j)) @ self.outer[j] + z @ self.skip[j]

    def _beyond(self, j: int, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Standardised parents inside what cells cover, and by how much they are beyond it: cells ``(n, G)`` -> ``(n, p)`` each."""
        pa = self.parents[j]
        z = (x[..., pa] - self.loc[pa]) / self.scale[pa]
        inside = z if self.reach is None else np.clip(z, *self.reach[:, pa])
        return inside, z - inside

    def _standardised(self, j: int, x: np.ndarray) -> np.ndarray:
        """``z``, by ``e`` beyond the data at ``FADE (1 - exp(-e / FADE))`` beyond: what a mechanism does there is not known."""
        inside, beyond = self._beyond(j, x)
        return inside - np.sign(beyond) * FADE * np.expm1(-np.abs(beyond) / FADE)

    def origin(self, j: int) -> float:
        """Value of gene j's network where all parents are zero."""
        return float(self.network(j, self._standardised(j, np.zeros((1, self.n_genes))))[0])

    def contribution(self, j: int, x: np.ndarray) -> np.ndarray:
        """Contribution of all parents to gene j: cells ``(n, G)`` -> ``(n,)``."""
        if len(self.parents[j]) == 0:
            return np.zeros(len(x))
        return self.scale[j] * (self.network(j, self._standardised(j, x)) - self.origin(j))

    def reaching(self, smallest: np.ndarray, largest: np.ndarray) -> NeuralMechanisms:
        """The same mechanisms in cells ``(G,)`` to ``(G,)``, in standard deviations; a parent beyond is soon followed no more."""
        out = replace(self, reach=np.stack([smallest, largest]))
        moved = [out.origin(j) - self.origin(j) for j in range(self.n_genes)]
        out.baseline = self.baseline + self.scale * np.array(moved)
        return out

    def active_contribution(self, j: int, x: np.ndarray, speak: np.ndarray) -> np.ndarray:
        """The same where gene j sees its parents scaled by `speak` ``(n, p)``: at 0, as if they were off."""
        seen, pa = np.array(x, dtype=float), self.parents[j]
        off = 0.0 if self.off is None else self.off[pa]
        seen[:, pa] = off + speak * (seen[:, pa] - off)
        return self.contribution(j, seen)

    def parent_contributions(self, j: int, x: np.ndarray) -> np.ndarray:
        """Contribution of each parent, by integrated gradients from zero: cells ``(n, G)`` -> ``(n, p)``.

        The rows sum to :meth:`contribution`, up to the error of the quadrature.
        """
        pa = self.parents[j]
        if len(pa) == 0:
            return np.zeros((len(x), 0))
        node, weight = np.polynomial.legendre.leggauss(N_NODES)
        gradient = np.zeros((len(x), len(pa)))
        for t, w in zip((node + 1) / 2, weight / 2, strict=True):
            gradient += w * self.slopes(j, t * x)
        return gradient * x[:, pa]

    def slopes(self, j: int, x: np.ndarray) -> np.ndarray:
        """Derivative of gene j's mechanism in each parent: cells ``(n, G)`` -> ``(n, p)``, expression scale."""
        z = self._standardised(j, x)
        bend = activation_slope(z @ self.inner[j] + self.bias[j], self.hinges(j))  # (n, H)
        slope = bend * self.outer[j] @ self.inner[j].T + self.skip[j]
        slope *= np.exp(-np.abs(self._beyond(j, x)[1]) / FADE)
        return slope * self.scale[j] / self.scale[self.parents[j]]

    def weights(self) -> np.ndarray:
        """Signed edge sizes ``(G, G)``, row causes column."""
        return self.strength

    def operated(self, factor: np.ndarray, value: np.ndarray) -> NeuralMechanisms:
        """Mechanisms of genes that are ``factor x_j + value``, ``(G,)`` each, in place of ``x_j``: what follows sees that."""
        return replace(
            self,
            outer=[f * outer for f, outer in zip(factor, self.outer, strict=True)],
            skip=[f * skip for f, skip in zip(factor, self.skip, strict=True)],
            baseline=factor * self.baseline + value,
            noise_sd=np.abs(factor) * self.noise_sd,
            strength=self.strength * factor,
        )

    def with_edges(self, multiplier: np.ndarray, reference: np.ndarray) -> NeuralMechanisms:
        """Networks that see ``reference + multiplier (x - reference)`` of their parents; `multiplier` ``(G, G)``.

        With ``z_0`` the reference, ``inner (m z + (1 - m) z_0) = (m inner) z + inner (1 - m) z_0``.
        """
        out = replace(self, inner=list(self.inner), bias=list(self.bias), skip=list(self.skip))
        out.baseline, out.strength = self.baseline.copy(), self.strength * multiplier
        for j, pa in enumerate(self.parents):
            if not len(pa):
                continue
            by = multiplier[pa, j]  # (p,)
            stays = (1 - by) * self._standardised(j, reference[None])[0]  # (p,)
            out.inner[j] = by[:, None] * self.inner[j]
            out.bias[j] = self.bias[j] + stays @ self.inner[j]
            out.skip[j] = by * self.skip[j]
            moved = out.origin(j) + stays @ self.skip[j] - self.origin(j)
            out.baseline[:, j] += self.scale[j] * moved
        return out
