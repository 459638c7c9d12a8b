"""A network of regulators, which have no measured value (layer `_core`; not from the paper)."""

from dataclasses import dataclass

import numpy as np

from scgim._core.state import savable

RIGHT = 0.7  # probability that an edge of the network is right
RELATIVE_SD = 0.4  # of the size of an edge


@savable
@dataclass(frozen=True)
class Network:
    """What regulators act on: E edges from T regulators to genes."""

    names: tuple[str, ...]  # of the regulators
    # (E,) regulator and gene of each edge
    source: np.ndarray
    target: np.ndarray
    weight: np.ndarray  # (E,) signed size, of root mean square one for each regulator
    # (T,) of the activity between the cells of a context, in units of what the average target gene moves by; None where
    # it is not known
    variance: np.ndarray | None = None
    right: np.ndarray | None = None  # (E,) probability of the edge; None for `RIGHT`
    sd: np.ndarray | None = None  # (E,) standard deviation of `weight`; None for `RELATIVE_SD` of it

    @property
    def probability(self) -> np.ndarray:
        """``(E,)``; that edges are right."""
        return np.full(self.weight.shape, RIGHT) if self.right is None else self.right

    @property
    def weight_sd(self) -> np.ndarray:
        """``(E,)``; standard deviation of weights."""
        return RELATIVE_SD * np.abs(self.weight) if self.sd is None else self.sd

    def effects(self, n_genes: int) -> np.ndarray:
        """Shift ``(T, G)`` of the genes, in standard deviations, by an activity of one along edges that are likely."""
        out, likely = np.zeros((len(self.names), n_genes)), self.probability > 0.5
        np.add.at(out, (self.source[likely], self.target[likely]), self.weight[likely])
        return out
