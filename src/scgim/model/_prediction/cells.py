"""Cells and means of rows whose interventions are known (layer `model`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from scgim._core.effects import Effects
from scgim._core.kinds.base import Moved
from scgim._core.kinds.cells import even_noise, mean_cells, propagate, sample_cells
from scgim._core.mechanisms.total import total_effects
from scgim._core.observation import Observation
from scgim.model._prediction.components import Components, beside
from scgim.model._prediction.request import Request

if TYPE_CHECKING:
    from scgim._core.mechanisms.additive import Mechanisms
    from scgim._core.mechanisms.neural import NeuralMechanisms

BLOCK_VALUES = 2_000_000
"""Values of predicted expression held at once."""
SMALLEST_PROBABILITY = 1e-4
"""Targets less probable than this do not enter means of observed data."""
FEWEST_DRAWS, MOST_DRAWS = 256, 1024
"""Cells averaged where the mean has no closed form."""
MEAN_VALUES = 2**16
"""Values of these cells, where more cells than the fewest keep within it: 1024 cells of up to 64 genes."""
LARGEST_MOVE = 50.0
"""Moves of a logarithm are kept within it: its exponential stays finite."""


@dataclass(frozen=True)
class PredictedCells:
    """The cells that a request asks for."""

    mechanisms: Mechanisms | NeuralMechanisms  # of the fit
    observation: Observation  # from the causal layer to the data
    request: Request  # rows m, with their baseline groups
    components: Components  # what happens in them

    def sample(self, n_cells: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Blocks of ``(cells (n, G), row (n,), group (n,))``; all cells of a row before those of the next.

        Cells are in units of the data, and each has its own draw of targets and effects from the posterior.
        """
        total, size = n_cells * len(self.request.table), max(1, BLOCK_VALUES // self.components.n_genes)
        cumulative = self.request.group.cumsum(axis=1)
        for start in range(0, total, size):
            row = np.arange(start, min(start + size, total)) // n_cells
            group = (rng.random((len(row), 1)) >= cumulative[row]).sum(axis=1).clip(max=self.request.group.shape[1] - 1)
            moved = self.components.draw(row, rng)
            x = sample_cells(self.mechanisms, moved, group, rng)
            depth = None if self.request.size is None else self.request.size[row]
            x = self.observation.draw(x, partial(mean_cells, self.mechanisms, moved, group), group, depth, rng)
            yield (x if self.request.offset is None else x + self.request.offset[row]), row, group

    def mean(self) -> np.ndarray:
        """Mean cell of each row ``(m, G)``, in units of the data: exact for shifts of linear mechanisms, else an average over draws."""
        row, group = np.nonzero(self.request.group)
        size = None if self.request.size is None else self.request.size[row]
        means = self.observation.expect(PredictedLayer(self.mechanisms, self.components, row, group), group, size)
        out = np.zeros((len(self.request.table), self.components.n_genes))
        np.add.at(out, row, self.request.group[row, group][:, None] * means)
        return out if self.request.offset is None else out + self.request.offset


@dataclass(frozen=True)
class PredictedLayer:
    """The causal layer of rows in baseline groups, for a noise model to take to the data."""

    mechanisms: Mechanisms | NeuralMechanisms  # of the fit
    components: Components  # what happens in the rows of a request
    # (r,) each; row of the request and baseline group
    row: np.ndarray
    group: np.ndarray

    def mean(self) -> np.ndarray:
        """Means ``(r, G)``, in units of the causal layer: exact for shifts of linear mechanisms, else an average over draws."""
        if self.mechanisms.mechanism.linear and self.components.additive:
            moved = Moved.adding(self.components.mean_added()).rows(self.row)
            return mean_cells(self.mechanisms, moved, self.group)
        return np.stack([self.average(int(r), int(g)) for r, g in zip(self.row, self.group, strict=True)])

    @cached_property
    def noise(self) -> np.ndarray:
        """``(n, G)``; the same for every row, so that rows differ smoothly."""
        n_genes = self.components.n_genes
        most = np.clip(MEAN_VALUES // n_genes, FEWEST_DRAWS, MOST_DRAWS)
        return even_noise(2 ** int(np.log2(most)), n_genes)

    def average(self, row: int, group: int) -> np.ndarray:
        """Mean cell ``(G,)``, in units of the causal layer."""
        n, out = len(self.noise), np.zeros(self.components.n_genes)
        for share, moved in self.components.shares(row, n, np.random.default_rng(0)):
            out += share * propagate(self.mechanisms, moved, np.full(n, group), self.noise).mean(axis=0)
        return out

    def log_mean(self) -> tuple[np.ndarray, np.ndarray]:
        """Means, and logarithms of the means of the exponential, ``(r, G)`` each in units of the causal layer (logarithms).

        Mechanisms are linear and interventions shifts. A shift of gene i moves the logarithm of gene j by its total effect;
        targets are independent of each other.
        """
        components, mechanisms, n_genes = self.components, self.mechanisms, self.components.n_genes
        total = total_effects(mechanisms.weights())  # (G, G), row causes column
        nothing = Moved.nothing(components.n_rows, n_genes)
        baseline = mean_cells(mechanisms, nothing.rows(self.row), self.group)
        log_mean = np.zeros((components.n_rows, n_genes))
        slots = (part.slots(components.n_rows).T for part in components.added)
        for now in zip_longest(*slots, fillvalue=np.full(components.n_rows, -1)):
            for r, (*targets, drift) in enumerate(zip(*now, strict=True)):
                log_mean[r] += self._log_factor([int(c) for c in targets], int(drift), total)
        mean = components.mean_added() @ total
        noise = 0.5 * (mechanisms.noise_sd**2) @ total**2
        return baseline + mean[self.row], baseline + log_mean[self.row] + noise

    def _log_factor(self, targets: list[int], drift: int, total: np.ndarray) -> np.ndarray:
        """Log of the mean of the exponential ``(G,)`` of what targets, by kind, and the drift beside them add; -1 for none."""
        n_genes, (*parts, drifts) = self.components.n_genes, self.components.added
        found = [part.effects[c] for part, c in zip(parts, targets, strict=True) if c >= 0]
        small = Effects.none(n_genes) if drift < 0 else drifts.effects[drift]
        out = np.zeros(n_genes)
        for effects in found or [Effects.none(n_genes)]:
            on, off = beside(small.probability, 1 - effects.probability)
            moved = np.flatnonzero((effects.probability > SMALLEST_PROBABILITY) | (small.mean != 0) | (small.sd > 0))
            by_target, by_drift = (_growth(total[moved], e.mean[moved], e.sd[moved]) for e in (effects, small))
            p, on, off = (v[moved, None] for v in (effects.probability, on, off))
            hit = by_target + on * by_drift * (1 + by_target)
            out += np.log1p(p * hit + (1 - p) * off * by_drift).sum(axis=0)
            small = Effects.none(n_genes)  # once
        return out


def _growth(total: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Factor less one ``(g, G)`` by which the mean of the exponential grows with Gaussian shifts ``(g,)`` of genes."""
    move = total * mean[:, None] + 0.5 * (total * sd[:, None]) ** 2
    return np.asarray(np.expm1(np.clip(move, -LARGEST_MOVE, LARGEST_MOVE)))
