"""Mechanisms of all genes as one batched torch module (layer `model`).

The mechanisms of :cite:p:`schneider2025`, linear or one small neural network a gene, and additive basis functions,
which are not from the paper. Each mechanism reads its own short list of candidate parents, padded to P, so that cost
grows with G * P and not with G^2. Everything is standardised.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from scgim._core.mechanisms.additive import STEEP, Additive, Mechanisms
from scgim._core.mechanisms.base import Basis, Mechanism
from scgim._core.mechanisms.linear import Linear
from scgim._core.mechanisms.neural import Neural, NeuralMechanisms


def as_array(tensor: torch.Tensor) -> np.ndarray:
    """A tensor as an array of float64."""
    return tensor.detach().double().cpu().numpy()


class GeneMechanisms(nn.Module, ABC):
    """M mechanisms of standardised genes, without baselines: cells ``(n, G)`` -> ``(n, M)``.

    Parameters
    ----------
    n_mechanisms
        M; the number of genes G in the model, the number of proposals in the structure search.
    n_parents
        P, most candidate parents of a mechanism.
    n_hidden
        H, hidden units of a network.
    generator
        For the initial weights of networks.

    Attributes
    ----------
    mechanism
        Their form.
    most_parents
        P of a gene, where it is not given.
    """

    mechanism: ClassVar[Mechanism]
    most_parents: ClassVar[int]
    largest_batch: ClassVar[int] = 2048
    """Cells of a minibatch."""
    candidates: torch.Tensor
    mask: torch.Tensor

    def __init__(
        self,
        n_mechanisms: int,
        n_parents: int,
        *,
        n_hidden: int = 16,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self._used: tuple[tuple[int, int], int] | None = None
        self.register_buffer("candidates", torch.zeros(n_mechanisms, max(n_parents, 1), dtype=torch.long))
        self.register_buffer("mask", torch.zeros(n_mechanisms, max(n_parents, 1)))

    @staticmethod
    def n_epochs(n_cells: int) -> int:
        """Epochs that suffice: few where closed forms are at the optimum already."""
        return int(np.clip(round(5 * 10_000 / max(n_cells, 1)), 1, 5))

    def set_parents(self, parents: list[Any], generator: torch.Generator | None = None) -> None:
        """Sets the candidates of every mechanism; networks get fresh weights of a size that fits their number."""
        self.mask.zero_()
        self.candidates.zero_()
        for m, pa in enumerate(parents):
            if len(pa) > self.mask.shape[1]:
                raise ValueError(
                    f"max_parents: expected at least {len(pa)}, the parents of gene {m}, found {self.mask.shape[1]}."
                )
            self.candidates[m, : len(pa)] = torch.as_tensor(np.asarray(pa, dtype=np.int64), device=self.mask.device)
            self.mask[m, : len(pa)] = 1.0

    def inputs(self, z: torch.Tensor) -> torch.Tensor:
        """Candidate parents of every mechanism: cells ``(n, G)`` -> ``(M, n, P)``, both in standard deviations of the genes."""
        return (z[:, self.candidates] * self.mask).transpose(0, 1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Contributions of the parents to every mechanism: cells ``(n, G)`` -> ``(n, M)``, both in standard deviations of the genes."""
        P = self.n_used()
        u = (z[:, self.candidates[:, :P]] * self.mask[:, :P]).transpose(0, 1).contiguous()
        return self.evaluate(u)

    def n_used(self) -> int:
        """Leading columns of the candidates that hold all parents in use, at least one; the rest is padding."""
        if self.mask.is_meta:
            return self.mask.shape[1]
        state = (self.mask.data_ptr(), -1 if self.mask.is_inference() else self.mask._version)
        if state[1] < 0 or self._used is None or self._used[0] != state:
            columns = self.mask.any(0).nonzero()
            self._used = state, int(columns.max()) + 1 if len(columns) else 1
        return self._used[1]

    def used_columns(self) -> list[np.ndarray]:
        """Columns of the candidates of each mechanism that are in use."""
        return [np.flatnonzero(row) for row in as_array(self.mask)]

    def parents(self) -> list[np.ndarray]:
        """Parents of each mechanism."""
        candidates = self.candidates.cpu().numpy()
        return [candidates[j][columns] for j, columns in enumerate(self.used_columns())]

    @abstractmethod
    def evaluate(self, u: torch.Tensor, gate: torch.Tensor | None = None) -> torch.Tensor:
        """Contributions ``(n, M)`` from the first P candidate parents ``(M, n, P)``, which are zero where there is none.

        Both are in standard deviations of the genes.

        With a `gate` ``(M, n, P)`` between 0 and 1, each parent acts as much as it says.
        """

    @abstractmethod
    def slopes(self, u: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        """Derivatives of `evaluate` by each candidate parent, ``(M, n, P)``: standard deviations of the child a standard deviation of the parent."""

    @abstractmethod
    def group_norms(self) -> torch.Tensor:
        """Size of each candidate edge ``(M, P)``: the norm of all weights that read the parent."""

    @abstractmethod
    def weight_square(self) -> torch.Tensor:
        """Sum of squares of a network's weights, for the small ridge that keeps them finite."""

    @abstractmethod
    def from_fit(self, mechanisms: Any) -> np.ndarray:
        """Takes over parents and coefficients of a fit; returns the baselines ``(C, G)`` that go with them, in standard deviations."""

    @abstractmethod
    def to_fit(
        self,
        order: np.ndarray,
        baseline: np.ndarray,
        noise_sd: np.ndarray,
        loc: np.ndarray,
        scale: np.ndarray,
        strength: np.ndarray,
    ) -> Mechanisms | NeuralMechanisms:
        """The mechanisms of all genes as plain arrays on the expression scale.

        Parameters
        ----------
        order
            ``(G,)``; genes, causes first.
        baseline
            ``(C, G)``; standardised.
        noise_sd
            ``(G,)``; on the expression scale.
        loc, scale
            ``(G,)``; standardisation.
        strength
            ``(G, G)``; signed size of each edge.
        """


class BasisGenes(GeneMechanisms):
    """Sums of given functions of each parent, with coefficients ``(M, P, B)``."""

    mechanism: ClassVar[Basis]
    most_parents = 20  # as many as the search gives a gene

    @staticmethod
    def n_epochs(n_cells: int) -> int:
        """None: closed forms are at the optimum already."""
        return 0

    def __init__(self, n_mechanisms: int, n_parents: int, **kwargs: Any) -> None:
        super().__init__(n_mechanisms, n_parents, **kwargs)
        self.coef = nn.Parameter(torch.zeros(n_mechanisms, max(n_parents, 1), self.mechanism.n_functions))

    def group_norms(self) -> torch.Tensor:
        """The norm of the coefficients of each parent, ``(M, P)``."""
        return (self.coef.square().sum(2) + 1e-12).sqrt() * self.mask

    def weight_square(self) -> torch.Tensor:
        """Zero: coefficients are not drawn towards zero."""
        return self.coef.square().sum() * 0

    def at_zero(self, j: int, parents: np.ndarray, coef: np.ndarray, loc: np.ndarray, scale: np.ndarray) -> float:
        """Contribution of the parents of a gene where their expression is zero."""
        return float((self.mechanism.functions(-loc[parents] / scale[parents]) * coef).sum())

    @torch.no_grad()
    def from_fit(self, mechanisms: Any) -> np.ndarray:
        """Takes over parents and coefficients of a fit; returns the standardised baselines ``(C, G)``."""
        self.set_parents(mechanisms.parents)
        self.coef.zero_()
        loc, scale = mechanisms.loc, mechanisms.scale
        baseline = (mechanisms.baseline - loc) / np.where(scale > 0, scale, 1.0)  # (C, G)
        for j, (pa, coef) in enumerate(zip(mechanisms.parents, mechanisms.coef, strict=True)):
            if len(pa):
                self.coef[j, : len(pa)] = torch.as_tensor(coef, dtype=torch.float32)
                baseline[:, j] -= self.at_zero(j, pa, coef, loc, scale)
        return baseline

    def to_fit(
        self,
        order: np.ndarray,
        baseline: np.ndarray,
        noise_sd: np.ndarray,
        loc: np.ndarray,
        scale: np.ndarray,
        strength: np.ndarray,
    ) -> Mechanisms:
        """The mechanisms of all genes as plain arrays on the expression scale."""
        parents, baseline = self.parents(), baseline.copy()
        coef = [c[columns] for c, columns in zip(as_array(self.coef), self.used_columns(), strict=True)]
        for j, (pa, c) in enumerate(zip(parents, coef, strict=True)):
            baseline[:, j] += self.at_zero(j, pa, c, loc, scale)
        return Mechanisms(self.mechanism, order, parents, coef, loc + scale * baseline, noise_sd, loc, scale, strength)


class LinearGenes(BasisGenes):
    """``f_m(u) = sum_p coef_mp u_p``."""

    mechanism = Linear()

    def evaluate(self, u: torch.Tensor, gate: torch.Tensor | None = None) -> torch.Tensor:
        """Contributions ``(n, M)`` from parents ``(M, n, P)``, gated where a `gate` of that shape is given."""
        u = u if gate is None else u * gate
        return torch.bmm(u, self.coef[:, : u.shape[2]]).squeeze(2).T

    def slopes(self, u: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        """The coefficients, gated, ``(M, n, P)``."""
        P = u.shape[2]
        return gate * self.mask[:, None, :P] * self.coef[:, None, :P, 0]


class AdditiveGenes(BasisGenes):
    """``f_m(u) = sum_p sum_b coef_mpb phi_b(u_p)``, with the functions of `scgim._core.mechanisms.additive.Additive`."""

    mechanism = Additive()

    @staticmethod
    def functions(z: torch.Tensor) -> torch.Tensor:
        """Torch twin of `Additive.functions`: ``(...)`` -> ``(..., B)``."""
        middle = torch.tanh(STEEP * z)
        return torch.stack([z, middle, middle**2, torch.tanh(STEEP * (z - 1)), torch.tanh(STEEP * (z + 1))], -1)

    @staticmethod
    def derivatives(z: torch.Tensor) -> torch.Tensor:
        """Torch twin of `Additive.derivatives`: ``(...)`` -> ``(..., B)``."""
        middle = torch.tanh(STEEP * z)
        slope = STEEP * (1 - middle**2)
        low, high = (STEEP * (1 - torch.tanh(STEEP * (z + s)) ** 2) for s in (-1, 1))
        return torch.stack([torch.ones_like(z), slope, 2 * middle * slope, low, high], -1)

    def evaluate(self, u: torch.Tensor, gate: torch.Tensor | None = None) -> torch.Tensor:
        """Contributions ``(n, M)`` from parents ``(M, n, P)``, gated where a `gate` of that shape is given."""
        P = u.shape[2]
        f = self.functions(u) * self.mask[:, None, :P, None]  # (M, n, P, B)
        f = f if gate is None else f * gate[..., None]
        return torch.bmm(f.flatten(2), self.coef[:, :P].flatten(1)[:, :, None]).squeeze(2).T

    def slopes(self, u: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        """``sum_b coef_mpb phi_b'(u_p)``, gated, ``(M, n, P)``."""
        P = u.shape[2]
        return gate * self.mask[:, None, :P] * (self.derivatives(u) * self.coef[:, None, :P]).sum(3)


class NeuralGenes(GeneMechanisms):
    """``f_m(u) = outer_m act(inner_m u + bias_m) + skip_m u``; weights ``(M, P, H)``, ``(M, H)``, ``(M, H)``, ``(M, P)``.

    Attributes
    ----------
    hinges
        ``(M, H)`` bool; hidden units that are hinges, see `scgim._core.mechanisms.neural.activate`.
    """

    mechanism = Neural()
    most_parents = 12
    largest_batch = 512
    hinges: torch.Tensor

    def __init__(
        self, n_mechanisms: int, n_parents: int, *, n_hidden: int = 16, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(n_mechanisms, n_parents)
        M, P, H = n_mechanisms, max(n_parents, 1), n_hidden
        self.inner = nn.Parameter(torch.randn(M, P, H, generator=generator) / math.sqrt(P))
        self.bias = nn.Parameter(0.7 * torch.randn(M, H, generator=generator))
        self.outer = nn.Parameter(0.3 / math.sqrt(H) * torch.randn(M, H, generator=generator))
        self.skip = nn.Parameter(torch.zeros(M, P))
        self.register_buffer("hinges", torch.zeros(M, H, dtype=torch.bool), persistent=False)
        self._bent = False

    def set_hinges(self, n: np.ndarray | None) -> None:
        """Makes hinges of the last hidden units of each mechanism, ``(M,)``; None for none."""
        H = self.hinges.shape[1]
        count = torch.zeros(len(self.hinges), dtype=torch.long) if n is None else torch.as_tensor(n, dtype=torch.long)
        self.hinges.copy_(torch.arange(H) >= (H - count)[:, None])
        self._bent = bool((count > 0).any())

    def n_hinges(self) -> np.ndarray:
        """Hidden units of each mechanism that are hinges, ``(M,)``."""
        return np.asarray(self.hinges.sum(1).cpu().numpy())

    def activate(self, a: torch.Tensor) -> torch.Tensor:
        """Torch twin of `scgim._core.mechanisms.neural.activate`: ``(M, n, H)``."""
        if not self._bent:
            return torch.tanh(a)
        return torch.where(self.hinges[:, None], 0.5 * (a + (a.square() + 1).sqrt()), torch.tanh(a))

    def activation_slope(self, a: torch.Tensor) -> torch.Tensor:
        """Torch twin of `scgim._core.mechanisms.neural.activation_slope`: ``(M, n, H)``."""
        smooth = 1 - torch.tanh(a).square()
        if not self._bent:
            return smooth
        return torch.where(self.hinges[:, None], 0.5 + 0.5 * a / (a.square() + 1).sqrt(), smooth)

    @staticmethod
    def n_epochs(n_cells: int) -> int:
        """About 700 steps."""
        return int(np.clip(round(40 * 10_000 / max(n_cells, 1)), 5, 100))

    @torch.no_grad()
    def set_parents(self, parents: list[Any], generator: torch.Generator | None = None) -> None:
        """Sets the candidates of every network, which gets fresh weights of a size that fits their number."""
        super().set_parents(parents, generator)
        count = self.mask.sum(1).clamp(min=1).sqrt()[:, None, None]
        fresh = torch.randn(self.inner.shape, generator=generator).to(self.inner)
        self.inner.copy_(fresh / count)

    def evaluate(self, u: torch.Tensor, gate: torch.Tensor | None = None) -> torch.Tensor:
        """Contributions ``(n, M)`` from parents ``(M, n, P)``, gated where a `gate` of that shape is given."""
        P = u.shape[2]
        u = u if gate is None else u * gate
        hidden = self.activate(torch.baddbmm(self.bias[:, None], u, self.inner[:, :P]))  # (M, n, H)
        return ((hidden * self.outer[:, None]).sum(2) + (u * self.skip[:, None, :P]).sum(2)).T

    def slopes(self, u: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        """``inner_m (outer_m act') + skip_m``, gated, ``(M, n, P)``."""
        P = u.shape[2]
        gate = gate * self.mask[:, None, :P]
        bend = self.activation_slope(torch.baddbmm(self.bias[:, None], u * gate, self.inner[:, :P]))  # (M, n, H)
        inner = torch.bmm(bend * self.outer[:, None], self.inner[:, :P].transpose(1, 2))
        return gate * (inner + self.skip[:, None, :P])

    def group_norms(self) -> torch.Tensor:
        """The norm of all weights that read each parent, ``(M, P)``."""
        square = (self.inner * self.outer[:, None]).square().sum(2) + self.skip.square()
        return (square + 1e-12).sqrt() * self.mask

    def weight_square(self) -> torch.Tensor:
        """Sum of squares of the weights of the hidden layer."""
        return self.inner.square().sum() + self.outer.square().sum()

    @torch.no_grad()
    def from_fit(self, mechanisms: NeuralMechanisms) -> np.ndarray:
        """Takes over parents and weights of a fit; returns the baselines ``(C, G)`` that go with them, in standard deviations."""
        self.set_parents(mechanisms.parents)
        self.set_hinges(mechanisms.n_hinges)
        loc, scale = mechanisms.loc, mechanisms.scale
        baseline = (mechanisms.baseline - loc) / np.where(scale > 0, scale, 1.0)  # (C, G)
        self.inner.zero_()
        self.skip.zero_()
        for j, pa in enumerate(mechanisms.parents):
            self.inner[j, : len(pa)] = torch.as_tensor(mechanisms.inner[j])
            self.skip[j, : len(pa)] = torch.as_tensor(mechanisms.skip[j])
            self.bias[j], self.outer[j] = torch.as_tensor(mechanisms.bias[j]), torch.as_tensor(mechanisms.outer[j])
            baseline[:, j] -= mechanisms.network(j, -loc[pa] / scale[pa])
        return baseline

    def to_fit(
        self,
        order: np.ndarray,
        baseline: np.ndarray,
        noise_sd: np.ndarray,
        loc: np.ndarray,
        scale: np.ndarray,
        strength: np.ndarray,
    ) -> NeuralMechanisms:
        """The networks of all genes as plain arrays on the expression scale."""
        parents, columns = self.parents(), self.used_columns()
        out = NeuralMechanisms(
            order,
            parents,
            inner=[w[k] for w, k in zip(as_array(self.inner), columns, strict=True)],
            bias=list(as_array(self.bias)),
            outer=list(as_array(self.outer)),
            skip=[w[k] for w, k in zip(as_array(self.skip), columns, strict=True)],
            baseline=baseline.copy(),
            noise_sd=noise_sd,
            loc=loc,
            scale=scale,
            strength=strength,
            n_hinges=self.n_hinges(),
        )
        for j, pa in enumerate(parents):  # contributions are zero where all parents are zero, the network's are not
            out.baseline[:, j] += out.network(j, -loc[pa] / scale[pa])
        out.baseline = loc + scale * out.baseline
        return out


GENES: dict[str, type[GeneMechanisms]] = {g.mechanism.name: g for g in (LinearGenes, AdditiveGenes, NeuralGenes)}
