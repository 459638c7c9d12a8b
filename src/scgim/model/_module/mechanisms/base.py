"""What mechanisms of all genes are, as one batched torch module (layer `model`).

Each mechanism reads its own short list of candidate parents, padded to P, so that cost grows with G * P and not with G^2.
Everything is standardised.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from scgim._core.mechanisms.additive import Mechanisms
from scgim._core.mechanisms.base import Mechanism
from scgim._core.mechanisms.neural import NeuralMechanisms

SMOOTH = 1e-12  # added under the root of norms, whose gradient is then finite at zero


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
        u = z.T[self.candidates[:, :P]] * self.mask[:, :P, None]  # (M, P, n), whole rows at a time
        return self.evaluate(u.transpose(1, 2))

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
