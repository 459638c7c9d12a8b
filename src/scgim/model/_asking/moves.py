"""Moves that may bring one state to another: shifts and knock-outs of genes, and measured drugs (layer `model`)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from scgim._core.kinds.base import Moved
from scgim._core.kinds.operation import Operation
from scgim._core.mechanisms.total import total_effects
from scgim.model._asking.operated import KnownLayer
from scgim.model._prediction.request import Request

if TYPE_CHECKING:
    from scgim._core.mechanisms.additive import Mechanisms
    from scgim._core.mechanisms.neural import NeuralMechanisms
    from scgim.model._asking.state import State
    from scgim.model._prediction.components import Components
    from scgim.model._prediction.predictor import Predictor


@dataclass(frozen=True)
class Move:
    """One intervention."""

    kind: str  # `"shift"`, `"knockout"`, `"regulator"` or `"drug"`
    name: str  # gene, regulator, or drugs
    at: int  # index of the gene or regulator, or of the drug among those that may be given
    # limits of its size: of a shift, in units of the causal layer; of an activity; 1 for moves whose size is fixed
    low: float
    high: float
    text: str  # in words, with a place for the size

    @property
    def free(self) -> bool:
        """Whether its size may be chosen."""
        return self.low < self.high


@dataclass(frozen=True)
class Steps:
    """What moves do in a state."""

    predictor: Predictor  # of the model
    state: State  # where the cells are
    absent: np.ndarray  # (G,) what genes are set to where they are knocked out
    doses: np.ndarray  # (M, D) drugs that may be given

    @cached_property
    def regulated(self) -> np.ndarray:
        """What an activity of one adds to the genes, of each regulator, ``(T, G)``."""
        return self.predictor.fit.regulated

    @cached_property
    def _groups(self) -> tuple[np.ndarray, np.ndarray]:
        """Baseline groups of the state, and their shares."""
        shares = self.state.shares(len(self.predictor.data.design.group_names))
        group = np.flatnonzero(shares)
        return group, shares[group]

    def _components(self, dose: np.ndarray) -> Components:
        """What happens under doses ``(m, D)`` in the groups of the state."""
        data = self.predictor.data
        shares = np.tile(self.state.shares(len(data.design.group_names)), (len(dose), 1))
        table = data.table.iloc[np.zeros(len(dose), int)]
        return self.predictor.components(Request(table, data.design.drugs, dose, shares, None), None)

    def operation(self, moves: tuple[Move, ...], sizes: np.ndarray) -> Operation:
        """What moves of given sizes do to genes."""
        out = Operation.nothing(self.predictor.n_genes)
        for move, size in zip(moves, sizes, strict=True):
            if move.kind == "regulator":
                out.value[:] += size * self.regulated[move.at]
        for move, size in zip(moves, sizes, strict=True):
            if move.kind == "knockout":
                out.factor[move.at], out.value[move.at] = 0.0, self.absent[move.at]
            elif move.kind == "shift":
                out.value[move.at] += size
        return out

    def change(
        self,
        moves: tuple[Move, ...],
        sizes: np.ndarray,
        mechanisms: Mechanisms | NeuralMechanisms | None = None,
        rng: np.random.Generator | None = None,
    ) -> np.ndarray:
        """Change of the mean ``(G,)`` of the causal layer; drugs are given to untreated cells of the same groups.

        Parameters
        ----------
        moves, sizes
            Done together.
        mechanisms
            In place of those of the fit.
        rng
            To draw targets and effects of drugs from their posterior; None for what is expected of them.
        """
        mechanisms = self.predictor.fit.mechanisms if mechanisms is None else mechanisms
        operation, drugs = self.operation(moves, sizes), [move.at for move in moves if move.kind == "drug"]
        group, weight, before = self.state.group, self.state.weight, self.state.rows
        if drugs or before is None:
            group, weight = self._groups
            before = Moved.nothing(len(group), self.predictor.n_genes)
        after = before
        if drugs:
            components = self._components(self.doses[drugs].sum(axis=0)[None])
            moved = components.expected() if rng is None else components.draw(np.zeros(1, int), rng)
            after = moved.rows(np.zeros(len(group), int)).keeping_noise()
        there = KnownLayer(operation.changed(mechanisms), operation.on(after), group).mean()
        return np.asarray(weight @ (there - KnownLayer(mechanisms, before, group).mean()))

    @property
    def lines(self) -> bool:
        """Whether changes are proportional to shifts."""
        rows = self.state.rows
        return bool(self.predictor.fit.mechanisms.mechanism.linear) and (rows is None or rows.only_adds)

    def responses(self, moves: list[Move], step: np.ndarray) -> np.ndarray:
        """Changes ``(M, G)`` by moves of size one: exact for lines, else for free sizes a step ``(G,)`` per unit."""
        n_genes = self.predictor.n_genes
        if self.lines:
            total = total_effects(self.predictor.fit.mechanisms.weights())
        out = np.empty((len(moves), n_genes))
        for i, move in enumerate(moves):
            if move.kind == "regulator" and self.lines:
                out[i] = self.regulated[move.at] @ total
            elif move.free and self.lines:
                out[i] = total[move.at]
            elif move.kind == "knockout" and self.lines:  # what returns to a gene in a cycle no longer moves it
                out[i] = (self.absent - self.state.mean)[move.at] * total[move.at] / total[move.at, move.at]
            else:
                size = step[move.at] if move.kind == "shift" else 1.0
                out[i] = self.change((move,), np.array([size])) / size
        return out
