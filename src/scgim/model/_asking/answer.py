"""What follows from an operation on genes: cells, means and their uncertainty (layer `model`; not from the paper)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd

from scgim._core.kinds.base import Moved
from scgim._core.kinds.operation import Operation
from scgim._core.mechanisms.additive import Mechanisms
from scgim._core.mechanisms.doubt import Doubt
from scgim._core.mechanisms.total import total_effects
from scgim.model._asking.operated import KnownLayer, Operated
from scgim.model._prediction.cells import PredictedCells, PredictedLayer
from scgim.model._prediction.counterfactual import MovedCells
from scgim.model._prediction.forecast import labels

if TYPE_CHECKING:
    from scgim._core.mechanisms.neural import NeuralMechanisms
    from scgim.model._asking.population import Given
    from scgim.model._prediction.components import Components
    from scgim.model._prediction.predictor import Predictor
    from scgim.model._prediction.request import Request

N_DRAWS = 50
"""Graphs that are drawn where the uncertainty of a change has no closed form."""
MOST_CELLS = 256
"""Given cells whose change is computed anew under each of them."""


class Answer(Protocol):
    """A population before and after an operation."""

    def cells(self, n_cells: int, rng: np.random.Generator) -> tuple[np.ndarray, pd.DataFrame]:
        """Cells after the operation ``(n, G)``, in units of the data, and their table."""

    def means(self) -> tuple[np.ndarray, np.ndarray]:
        """Means before and after ``(G,)``, in units of the data."""

    def error(self, rng: np.random.Generator) -> np.ndarray:
        """Root mean squared error ``(G,)`` of the change, over graphs and effects that the fit holds possible."""


def doubt_of(predictor: Predictor) -> Doubt:
    """Uncertainty of the edges of a fit."""
    fit, design = predictor.fit, predictor.data.design
    n_cells = float(np.sum(design.n_cells) - len(design.n_cells))
    return Doubt.of(fit.mechanisms, fit.graph.probability, n_cells, float(fit.settings.get("slope_sd", 0.0)))


def change_of_rows(
    predictor: Predictor,
    operation: Operation,
    mechanisms: Mechanisms | NeuralMechanisms,
    moved: Moved,
    group: np.ndarray,
    size: np.ndarray | None,
) -> np.ndarray:
    """Change ``(r, G)`` of the data by an operation, in rows to which known things happen, of baseline groups and sizes ``(r,)``."""
    expect = predictor.observation.expect
    after = KnownLayer(operation.changed(mechanisms), operation.on(moved), group)
    return expect(after, group, size) - expect(KnownLayer(mechanisms, moved, group), group, size)


def has_closed_form(predictor: Predictor, components: Components) -> bool:
    """Whether changes are linear in what is done: the layer is the data, and mechanisms are lines without cycles that no drug changes."""
    mechanisms = predictor.fit.mechanisms
    lines = isinstance(mechanisms, Mechanisms) and mechanisms.mechanism.linear and not mechanisms.cyclic
    return lines and predictor.observation.direct and components.additive


@dataclass(frozen=True)
class DrawnAnswer:
    """Cells that the model draws under one row of columns."""

    predictor: Predictor  # of the model
    request: Request  # one row
    components: Components  # what happens there
    operation: Operation  # what is done to genes, in units of the causal layer
    absent: np.ndarray  # (G,) bool; genes of which nothing is to be seen

    @cached_property
    def _after(self) -> PredictedCells:
        components = Operated.by(self._operation, self.components)
        mechanisms = self._operation.changed(self.predictor.fit.mechanisms)
        return PredictedCells(mechanisms, self.predictor.observation, self.request, components)

    @property
    def _operation(self) -> Operation:
        """On the scale without continuous covariates."""
        return self.operation if self.request.offset is None else self.operation.under_offset(self.request.offset[0])

    def cells(self, n_cells: int, rng: np.random.Generator) -> tuple[np.ndarray, pd.DataFrame]:
        """Cells ``(n, G)``, each with its own draw of targets and effects of the drugs."""
        x, row, group = (np.concatenate(parts) for parts in zip(*self._after.sample(n_cells, rng), strict=True))
        return np.where(self.absent, 0.0, x), labels(self.request, self.predictor.data, row, group)

    def means(self) -> tuple[np.ndarray, np.ndarray]:
        """Exact where the mean of a prediction is."""
        before, after = self.predictor.mean(self.request, self.components)[0], self._after.mean()[0]
        return before, np.where(self.absent, 0.0, after)

    def error(self, rng: np.random.Generator) -> np.ndarray:
        """Closed form for lines, else over draws of the graph and of the drugs' effects."""
        fit, operation = self.predictor.fit, self._operation
        group = np.flatnonzero(self.request.group[0])
        weight = self.request.group[0, group]
        layer = PredictedLayer(fit.mechanisms, self.components, np.zeros(len(group), int), group)
        reference, doubt = weight @ layer.mean(), doubt_of(self.predictor)  # (G,)
        if has_closed_form(self.predictor, self.components):
            variance, total = np.zeros(len(reference)), total_effects(fit.mechanisms.weights())
            for e in (part.effects for part in self.components.added):
                variance += (e.probability * (e.mean**2 + e.sd**2) - e.expected**2).sum(axis=0) @ total**2
            factor, direct = operation.factor, operation.direct(reference)
            spread = doubt.spread(fit.mechanisms, factor, direct, (factor - 1) ** 2 * variance)
            return np.sqrt(np.maximum(spread, 0.0))
        error = np.tile(np.subtract(*self.means()), (N_DRAWS, 1))
        size = None if self.request.size is None else np.repeat(self.request.size, len(group))
        for row in error:
            drawn = doubt.draw(fit.mechanisms, reference, rng)
            for share, moved in self.components.shares(0, 1, rng):
                moved = moved.rows(np.zeros(len(group), int))
                row += share * weight @ change_of_rows(self.predictor, operation, drawn, moved, group, size)
        return _root_mean_square(np.where(self.absent, 0.0, error))


@dataclass(frozen=True)
class GivenAnswer:
    """Given cells, which keep their noise and the drugs that they are under."""

    predictor: Predictor  # of the model
    given: Given  # the cells
    components: Components  # what happens in the distinct rows that the cells are under
    # see `DrawnAnswer`
    operation: Operation
    absent: np.ndarray
    rng: np.random.Generator  # for counts and zeros

    @cached_property
    def _moved(self) -> Moved:
        """What drugs do to the cells ``(n, G)``; a gene whose mechanism is cut keeps what it is."""
        return self.components.expected().rows(self.given.row).keeping_noise()

    def _change(self, drawn: Mechanisms | NeuralMechanisms, at: np.ndarray | None = None) -> MovedCells:
        """The cells in some rows, or all of them, before and after."""
        at = np.arange(len(self.given.x)) if at is None else at
        before = self._moved.rows(at)
        after = self.operation.on(before)
        after.add = after.add + (self.operation.factor - 1) * self.given.held[at]
        return MovedCells(drawn, before, after, self.given.group[at], self.operation.changed(drawn))

    @cached_property
    def _after(self) -> np.ndarray:
        """Cells ``(n, G)`` after the operation, in units of the data."""
        given, observation = self.given, self.predictor.observation
        change = self._change(self.predictor.fit.mechanisms)
        out = observation.move(given.x - given.held, change, given.size, self.rng) + given.held
        if not observation.direct and (self.operation.factor == 0).any():
            size = given.x.sum(axis=1) if given.size is None else given.size
            mean = change.means()[1]
            anew = observation.draw(mean, lambda: mean, given.group, size, self.rng)
            out = np.where(self.operation.factor == 0, anew, out)
        return np.where(self.absent, 0.0, out)

    def cells(self, n_cells: int, rng: np.random.Generator) -> tuple[np.ndarray, pd.DataFrame]:
        """The cells ``(n, G)``, in their order; all of them, whatever `n_cells`."""
        return self._after, self.given.obs

    def means(self) -> tuple[np.ndarray, np.ndarray]:
        """Of the cells."""
        return self.given.x.mean(axis=0), self._after.mean(axis=0)

    def error(self, rng: np.random.Generator) -> np.ndarray:
        """Closed form for lines, else over draws of the graph; the state of the cells, or of the rows that they are under, is known."""
        predictor, given, operation = self.predictor, self.given, self.operation
        mechanisms, doubt = predictor.fit.mechanisms, doubt_of(predictor)
        reference = (given.x - given.held).mean(axis=0)
        if has_closed_form(predictor, self.components):
            direct = operation.direct(given.x.mean(axis=0))
            spread = doubt.spread(mechanisms, operation.factor, direct, np.zeros(len(direct)))
            return np.sqrt(np.maximum(spread, 0.0))
        if predictor.observation.direct:
            at = rng.permutation(len(given.x))[:MOST_CELLS]
            x = given.x[at] - given.held[at]

            def change(drawn: Mechanisms | NeuralMechanisms) -> np.ndarray:
                return np.asarray((self._change(drawn, at).replay(x) - x).mean(axis=0))

        else:
            size, group = given.request.size, given.request.group.argmax(axis=1)
            weight = np.bincount(given.row, minlength=len(group)) / len(given.row)
            moved = self.components.expected().keeping_noise()
            reference = weight @ KnownLayer(mechanisms, moved, group).mean()

            def change(drawn: Mechanisms | NeuralMechanisms) -> np.ndarray:
                return np.asarray(weight @ change_of_rows(predictor, operation, drawn, moved, group, size))

        changes = np.array([change(doubt.draw(mechanisms, reference, rng)) for _ in range(N_DRAWS)])
        return _root_mean_square(np.where(self.absent, 0.0, changes - change(mechanisms)))


def _root_mean_square(error: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt((error**2).mean(axis=0)))
