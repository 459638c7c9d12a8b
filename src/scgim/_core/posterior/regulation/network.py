"""A network of regulators, which have no measured value (layer `_core`; not from the paper)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scgim._core.state import savable


@savable
@dataclass(frozen=True)
class Network:
    """What regulators act on: E edges from T regulators to genes.

    Attributes
    ----------
    names
        Of the regulators.
    source, target
        ``(E,)``; regulator and gene of each edge.
    weight
        ``(E,)``; signed size, of root mean square one for each regulator.
    variance
        ``(T,)``; of the activity between the cells of a context, in units of what the average target gene moves by; None where it is
        not known.
    """

    names: tuple[str, ...]
    source: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    variance: np.ndarray | None = None

    def effects(self, n_genes: int) -> np.ndarray:
        """Shift ``(T, G)`` of the genes, in their standard deviations, by an activity of one."""
        out = np.zeros((len(self.names), n_genes))
        np.add.at(out, (self.source, self.target), self.weight)
        return out
