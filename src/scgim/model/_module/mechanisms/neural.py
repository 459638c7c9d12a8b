"""One small neural network a gene :cite:p:`schneider2025`, all in one batch (layer `model`)."""

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from scgim._core.mechanisms.neural import Neural, NeuralMechanisms
from scgim.model._module.mechanisms.base import SMOOTH, GeneMechanisms, as_array
from scgim.model._module.mechanisms.pieces import InPieces


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
        if gate is None and u.device.type == "cpu" and not torch.is_autocast_enabled("cpu"):
            weights = self.inner[:, :P], self.bias, self.outer, self.skip[:, :P]
            return InPieces.apply(u, *weights, self.hinges)  # type: ignore[no-any-return, no-untyped-call]
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
        return (square + SMOOTH).sqrt() * self.mask

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
            baseline[:, j] -= mechanisms.origin(j)
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
        for j in range(len(parents)):  # contributions are zero where all parents are zero, the network's are not
            out.baseline[:, j] += out.origin(j)
        out.baseline = loc + scale * out.baseline
        return out
