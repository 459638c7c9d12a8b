"""What a mechanism is: how a gene follows from its parents (layer `_core`).

A mechanism is one of :cite:p:`schneider2025` or ours, and is named in ``GIM(mechanism=...)``. A new one is a file of
this folder, a line in its ``__init__.py``, and its twin in torch (`scgim.model._module.mechanisms`).
"""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np


class Mechanism(Protocol):
    """A form of mechanism; without state."""

    name: ClassVar[str]  # as in `GIM(mechanism=...)`
    # whether contributions are proportional to parents: means then propagate exactly, cycles have a solution, and
    # moments may be standardised after the pass over the cells
    linear: ClassVar[bool]
    # whether parents and coefficients follow exactly from moments, so that a training by minibatches is not needed
    closed_form: ClassVar[bool]

    @property
    def basis(self) -> Basis:
        """The mechanism in which graphs are searched: itself, where it is a sum of functions."""


class Basis(Mechanism, Protocol):
    """A mechanism that is a sum of `n_functions` given functions of each parent; the first is the parent itself.

    Residuals and shifts therefore keep the units of the gene.
    """

    n_functions: ClassVar[int]

    def functions(self, z: np.ndarray) -> np.ndarray:
        """Of standardised values: ``(..., G)`` -> ``(..., G, B)``."""

    def derivatives(self, z: np.ndarray) -> np.ndarray:
        """Of the functions, ``(..., G)`` -> ``(..., G, B)``."""

    def slope_sums(self, z: np.ndarray) -> np.ndarray:
        """Sums of the derivatives over cells, ``(n, G)`` -> ``(G, B)``."""
