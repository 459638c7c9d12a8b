"""The registered cells and their values, as noise models read them (layer `model`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scgim._core.observation.base import Observation, Values
from scgim._warnings import warn_user
from scgim.model._reading.expression import iterate, locate
from scgim.model._reading.passes import cell_moments

if TYPE_CHECKING:
    from scgim._core.mechanisms.base import Basis
    from scgim._core.moments.moments import Moments
    from scgim.model._reading.cells import Cells
    from scgim.model._study.study import Study


def check_values(observation: Observation, data: Study) -> None:
    """The values suit the noise model; what is odd about them is warned of.

    Raises
    ------
    ValueError
    """
    for remark in observation.check(registered_values(data)):
        warn_user(f"noise: {remark}")


def registered_values(data: Study) -> Values:
    """What the set-up has seen of the values."""
    return Values(
        " and ".join(locate(layer, modality) for modality, layer in data.spec.layers.items()),
        data.counts,
        data.smallest,
        data.largest,
        len(data.genes),
        tuple(data.spec.layers),
        data.spec.size_factor,
        tuple(data.spec.continuous),
    )


@dataclass(frozen=True)
class ObservedCells:
    """The registered cells with their size factors; see `scgim._core.observation.base.Cells`."""

    chunks: Cells  # the cells
    n_contexts: int  # number of contexts K
    # functions and scatter of `moments`, see `scgim._core.moments.moments.compute_moments`
    mechanism: Basis
    pool: np.ndarray | None
    size: np.ndarray | None  # (N,) registered size factors, or None

    @property
    def index(self) -> np.ndarray:
        """``(N,)``; context of each cell."""
        return self.chunks.index

    def __call__(self) -> Iterator[tuple[Any, np.ndarray]]:
        """A pass over the cells."""
        return self.chunks()

    def moments(self) -> Moments:
        """Moments of the values as they are."""
        return cell_moments(self.chunks, self.n_contexts, mechanism=self.mechanism, pool=self.pool)

    def sizes(self) -> np.ndarray:
        """``(N,)``; registered size factors, else library sizes."""
        return library_sizes(self.chunks) if self.size is None else np.asarray(self.size, dtype=float).ravel()


def library_sizes(cells: Cells) -> np.ndarray:
    """Counts of each cell over the modelled genes ``(N,)``; one pass.

    Raises
    ------
    ValueError
        A cell has no counts.
    """
    parts = [np.asarray(x.sum(axis=1), dtype=float).ravel() for _, x in iterate(cells.data, cells.spec)]
    sizes = np.concatenate(parts)
    if (sizes <= 0).any():
        raise ValueError(
            f"size_factor_key: {int((sizes <= 0).sum())} cell(s) have no counts in the modelled genes, so that their depth is "
            "unknown; drop them (scanpy.pp.filter_cells), or name a column with size factors of all genes."
        )
    return sizes
