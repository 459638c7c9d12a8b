"""Mechanisms of all genes as one batched torch module (layer `model`).

The mechanisms of :cite:p:`schneider2025`, linear or one small neural network a gene, and additive basis functions,
which are not from the paper. Each mechanism reads its own short list of candidate parents, padded to P, so that cost
grows with G * P and not with G^2.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from scgim._core.mechanisms import basis

KINDS = ("linear", "additive", "neural")


def basis_functions(z: torch.Tensor, kind: str) -> torch.Tensor:
    """Torch twin of `scgim._core.mechanisms.basis.evaluate`: ``(...)`` -> ``(..., B)``."""
    if kind == "linear":
        return z[..., None]
    middle = torch.tanh(1.5 * z)
    return torch.stack([z, middle, middle**2, torch.tanh(1.5 * (z - 1)), torch.tanh(1.5 * (z + 1))], -1)


def basis_slopes(z: torch.Tensor) -> torch.Tensor:
    """Derivatives of the additive `basis_functions`, ``(...)`` -> ``(..., B)``."""
    middle = torch.tanh(1.5 * z)
    slope = 1.5 * (1 - middle**2)
    low, high = (1.5 * (1 - torch.tanh(1.5 * (z + s)) ** 2) for s in (-1, 1))
    return torch.stack([torch.ones_like(z), slope, 2 * middle * slope, low, high], -1)


class GeneMechanisms(nn.Module):
    """M mechanisms of standardised genes, without baselines: cells ``(n, G)`` -> ``(n, M)``.

    Parameters
    ----------
    n_mechanisms
        M; the number of genes G in the model, the number of proposals in the structure search.
    n_parents
        P, most candidate parents of a mechanism.
    kind
        ``"linear"``, ``"additive"`` or ``"neural"``.
    n_hidden
        H, hidden units of a network.
    generator
        For the initial weights of networks.
    """

    candidates: torch.Tensor
    mask: torch.Tensor

    def __init__(
        self,
        n_mechanisms: int,
        n_parents: int,
        *,
        kind: str = "linear",
        n_hidden: int = 16,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"mechanism: expected one of {list(KINDS)}, found {kind!r}.")
        M, P, H = n_mechanisms, max(n_parents, 1), n_hidden
        self.kind = kind
        self._used: tuple[tuple[int, int], int] | None = None
        self.register_buffer("candidates", torch.zeros(M, P, dtype=torch.long))
        self.register_buffer("mask", torch.zeros(M, P))
        if kind == "neural":
            self.inner = nn.Parameter(torch.randn(M, P, H, generator=generator) / math.sqrt(P))
            self.bias = nn.Parameter(0.7 * torch.randn(M, H, generator=generator))
            self.outer = nn.Parameter(0.3 / math.sqrt(H) * torch.randn(M, H, generator=generator))
            self.skip = nn.Parameter(torch.zeros(M, P))
        else:
            self.coef = nn.Parameter(torch.zeros(M, P, basis.N_FUNCTIONS[kind]))

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
        if self.kind == "neural":
            count = self.mask.sum(1).clamp(min=1).sqrt()[:, None, None]
            with torch.no_grad():
                fresh = torch.randn(self.inner.shape, generator=generator).to(self.inner)
                self.inner.copy_(fresh / count)

    def inputs(self, z: torch.Tensor) -> torch.Tensor:
        """Candidate parents of every mechanism: cells ``(n, G)`` -> ``(M, n, P)``."""
        return (z[:, self.candidates] * self.mask).transpose(0, 1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Contributions of the parents to every mechanism: cells ``(n, G)`` -> ``(n, M)``."""
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

    def evaluate(self, u: torch.Tensor, gate: torch.Tensor | None = None) -> torch.Tensor:
        """The same from the first P candidate parents ``(M, n, P)``, which are zero where there is none.

        With a `gate` ``(M, n, P)`` between 0 and 1, each parent acts as much as it says.
        """
        P = u.shape[2]
        if gate is not None and self.kind != "additive":
            u = u * gate
        if self.kind == "linear":
            return torch.bmm(u, self.coef[:, :P]).squeeze(2).T
        if self.kind == "additive":
            f = basis_functions(u, self.kind) * self.mask[:, None, :P, None]  # (M, n, P, B)
            f = f if gate is None else f * gate[..., None]
            return torch.bmm(f.flatten(2), self.coef[:, :P].flatten(1)[:, :, None]).squeeze(2).T
        hidden = torch.tanh(torch.baddbmm(self.bias[:, None], u, self.inner[:, :P]))  # (M, n, H)
        return ((hidden * self.outer[:, None]).sum(2) + (u * self.skip[:, None, :P]).sum(2)).T

    def slopes(self, u: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        """Derivatives of `evaluate` by the expression of each candidate parent, ``(M, n, P)``."""
        P = u.shape[2]
        gate = gate * self.mask[:, None, :P]
        if self.kind == "linear":
            return gate * self.coef[:, None, :P, 0]
        if self.kind == "additive":
            return gate * (basis_slopes(u) * self.coef[:, None, :P]).sum(3)
        hidden = torch.tanh(torch.baddbmm(self.bias[:, None], u * gate, self.inner[:, :P]))  # (M, n, H)
        inner = torch.bmm((1 - hidden.square()) * self.outer[:, None], self.inner[:, :P].transpose(1, 2))
        return gate * (inner + self.skip[:, None, :P])

    def group_norms(self) -> torch.Tensor:
        """Size of each candidate edge ``(M, P)``: the norm of all weights that read the parent."""
        if self.kind == "neural":
            square = (self.inner * self.outer[:, None]).square().sum(2) + self.skip.square()
        else:
            square = self.coef.square().sum(2)
        return (square + 1e-12).sqrt() * self.mask

    def weight_square(self) -> torch.Tensor:
        """Sum of squares of a network's weights, for the small ridge that keeps them finite."""
        if self.kind != "neural":
            return self.coef.square().sum() * 0
        return self.inner.square().sum() + self.outer.square().sum()
