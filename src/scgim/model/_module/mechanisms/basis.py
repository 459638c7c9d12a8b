"""Mechanisms that are sums of given functions of each parent (layer `model`): lines :cite:p:`schneider2025`, and curves, which are ours."""

from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from scgim._core.mechanisms.additive import STEEP, Additive, Mechanisms
from scgim._core.mechanisms.base import Basis
from scgim._core.mechanisms.linear import Linear
from scgim.model._module.mechanisms.base import SMOOTH, GeneMechanisms, as_array


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
        return (self.coef.square().sum(2) + SMOOTH).sqrt() * self.mask

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
