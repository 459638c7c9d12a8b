"""What is done to genes from outside, beside any drug (layer `_core`; not from the paper).

To set, shift or scale a gene is ``x_j -> factor_j x_j + value_j``, and the genes that it acts on follow. A gene that is
set (factor 0) no longer listens to its parents: Pearl's ``do(x_j = value)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scgim._core.kinds.base import Moved

if TYPE_CHECKING:
    from scgim._core.mechanisms.additive import Mechanisms
    from scgim._core.mechanisms.neural import NeuralMechanisms


@dataclass(frozen=True)
class Operation:
    """``x_j -> factor_j x_j + value_j`` for every gene, in units of the causal layer."""

    factor: np.ndarray  # (G,) 1 for genes that are left alone or shifted, 0 for those that are set
    value: np.ndarray  # (G,) 0 for genes that are left alone or scaled

    @classmethod
    def nothing(cls, n_genes: int) -> Operation:
        """Leaves all genes alone."""
        return cls(np.ones(n_genes), np.zeros(n_genes))

    def under_offset(self, offset: np.ndarray) -> Operation:
        """The same of genes whose data are ``x_j + offset_j``, asked for in terms of the data; `offset` ``(G,)``."""
        return Operation(self.factor, self.value + (self.factor - 1) * offset)

    def on(self, moved: Moved) -> Moved:
        """What is left to happen to rows whose mechanisms are operated on already.

        Mechanisms hold factor and value (`Mechanisms.operated`). What a drug adds is scaled with the gene; and where a
        drug has cut the mechanism, with it the value, that is added here.
        """
        cut = 1 - moved.listen  # (n, G) or (1, 1)
        return Moved(self.factor * moved.add + cut * self.value, moved.listen, moved.speak, moved.noise)

    def changed(self, mechanisms: Mechanisms | NeuralMechanisms) -> Mechanisms | NeuralMechanisms:
        """The mechanisms, operated on."""
        return mechanisms.operated(self.factor, self.value)

    def direct(self, mean: np.ndarray) -> np.ndarray:
        """Change of each gene by what is done to it alone ``(..., G)``, where genes are at `mean` ``(..., G)``."""
        return (self.factor - 1) * mean + self.value
