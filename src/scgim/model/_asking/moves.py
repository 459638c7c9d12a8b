"""Moves that may bring one state to another: shifts and knock-outs of genes, regulators, and measured drugs (layer `model`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from scgim._core.kinds.base import Moved
from scgim._core.kinds.operation import Operation
from scgim._core.mechanisms.total import total_effects
from scgim.model._asking.intervene import control_mean
from scgim.model._asking.operated import KnownLayer
from scgim.model._asking.operation import Asked
from scgim.model._prediction.request import Request

if TYPE_CHECKING:
    from scgim._core.mechanisms.additive import Mechanisms
    from scgim._core.mechanisms.neural import NeuralMechanisms
    from scgim.model._asking.state import State
    from scgim.model._prediction.components import Components
    from scgim.model._prediction.predictor import Predictor


@dataclass(frozen=True)
class Move:
    """One intervention; a kind of move says what it does to genes."""

    name: str  # gene, regulator, or drugs
    at: int  # index of the gene or regulator, or of the drug among those that may be given
    # limits of its size: of a shift, in units of the causal layer; of an activity; 1 for moves whose size is fixed
    low: float
    high: float
    text: str  # in words, with a place for the size
    kind: ClassVar[str]
    spreads: ClassVar[bool] = False  # whether it acts on many genes, also on those that other moves set

    @classmethod
    def every(cls, steps: Steps, largest: float, sd: np.ndarray) -> list[Move]:
        """All moves of the kind, of at most `largest` standard deviations ``(G,)``."""
        raise NotImplementedError

    @property
    def free(self) -> bool:
        """Whether its size may be chosen."""
        return self.low < self.high

    def write(self, operation: Operation, size: float, steps: Steps) -> None:
        """Adds to an operation what the move does to genes."""

    def step(self, sd: np.ndarray) -> float:
        """Size by which its response is measured where that is no line."""
        return 1.0

    def line(self, steps: Steps, total: np.ndarray) -> np.ndarray | None:
        """Change ``(G,)`` by a move of size one where mechanisms are lines of total effects ``(G, G)``; None where it has to be tried."""
        return None


class ShiftGene(Move):
    """A shift of one gene."""

    kind = "shift"

    @classmethod
    def every(cls, steps: Steps, largest: float, sd: np.ndarray) -> list[Move]:
        """One for each gene."""
        limit = largest * sd
        return [
            cls(gene, j, -limit[j], limit[j], f"shift {_plain(gene)} {{:+.3g}}") for j, gene in enumerate(steps.genes)
        ]

    def write(self, operation: Operation, size: float, steps: Steps) -> None:
        """Added to its mechanism."""
        operation.value[self.at] += size

    def step(self, sd: np.ndarray) -> float:
        """One standard deviation."""
        return float(sd[self.at])

    def line(self, steps: Steps, total: np.ndarray) -> np.ndarray | None:
        """Its total effects."""
        return np.asarray(total[self.at])


class KnockOut(Move):
    """A gene that is absent."""

    kind = "knockout"

    @classmethod
    def every(cls, steps: Steps, largest: float, sd: np.ndarray) -> list[Move]:
        """One for each gene."""
        _ = steps.absent  # refused where the data have no value that means "absent"
        return [cls(gene, j, 1.0, 1.0, f"knockout {_plain(gene)}") for j, gene in enumerate(steps.genes)]

    def write(self, operation: Operation, size: float, steps: Steps) -> None:
        """In place of its mechanism."""
        operation.factor[self.at], operation.value[self.at] = 0.0, steps.absent[self.at]

    def line(self, steps: Steps, total: np.ndarray) -> np.ndarray | None:
        """What returns to a gene in a cycle no longer moves it."""
        gone = (steps.absent - steps.state.mean)[self.at]
        return np.asarray(gone * total[self.at] / total[self.at, self.at])


class ChangeRegulator(Move):
    """Another activity of a regulator."""

    kind = "regulator"
    spreads = True

    @classmethod
    def every(cls, steps: Steps, largest: float, sd: np.ndarray) -> list[Move]:
        """One for each regulator, in units of its activity."""
        names = steps.predictor.fit.regulators.network.names
        if not names:
            raise ValueError(
                "by: expected a model that was fitted with regulators= for 'regulator', found one without."
            )
        return [cls(name, t, -largest, largest, f"regulator {_plain(name)} {{:+.3g}}") for t, name in enumerate(names)]

    def write(self, operation: Operation, size: float, steps: Steps) -> None:
        """Added to the genes that it acts on."""
        operation.value[:] += size * steps.regulated[self.at]

    def line(self, steps: Steps, total: np.ndarray) -> np.ndarray | None:
        """Total effects of these genes."""
        return np.asarray(steps.regulated[self.at] @ total)


class GiveDrug(Move):
    """Drugs at measured doses."""

    kind = "drug"

    @classmethod
    def every(cls, steps: Steps, largest: float, sd: np.ndarray) -> list[Move]:
        """One for each measured combination of drugs and doses."""
        design, moves = steps.predictor.data.design, list[Move]()
        for row, dose in enumerate(steps.doses):
            there = np.flatnonzero(dose)
            names = [str(design.drugs[d]) for d in there]
            amounts = [f" ({dose[d]:g})" if design.has_dose else "" for d in there]
            text = " + ".join(name + amount for name, amount in zip(names, amounts, strict=True))
            moves.append(cls(" + ".join(names), row, 1.0, 1.0, _plain(text)))
        return moves


MOVES: Mapping[str, type[Move]] = {move.kind: move for move in (ShiftGene, KnockOut, GiveDrug, ChangeRegulator)}
"""By name, in the order in which they are tried."""


def _plain(text: str) -> str:
    """A name that is safe in a format."""
    return text.replace("{", "{{").replace("}", "}}")


@dataclass(frozen=True)
class Steps:
    """What moves do in a state."""

    predictor: Predictor  # of the model
    state: State  # where the cells are

    @property
    def genes(self) -> list[str]:
        """Names of the G genes."""
        return self.predictor.data.genes

    @cached_property
    def absent(self) -> np.ndarray:
        """What genes are set to where they are knocked out, ``(G,)``."""
        predictor, data = self.predictor, self.predictor.data
        asked = Asked({}, {}, {}, tuple(data.genes))
        control = partial(control_mean, predictor)
        return asked.operation(data.genes, predictor.observation, data.smallest, control).value

    @cached_property
    def doses(self) -> np.ndarray:
        """Drugs that may be given, ``(M, D)``."""
        design = self.predictor.data.design
        return np.unique(design.dose[~design.control], axis=0)

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
        pairs = list(zip(moves, sizes, strict=True))
        for move, size in sorted(pairs, key=lambda pair: not pair[0].spreads):  # what sets a gene has the last word
            move.write(out, size, self)
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
        operation = self.operation(moves, sizes)
        drugs = [move.at for move in moves if isinstance(move, GiveDrug)]
        group, weight, before = self.state.group, self.state.weight, self.state.rows
        if drugs or before is None:
            group, weight = self._groups
            before = Moved.nothing(len(group), self.predictor.n_genes)
        after = before
        if drugs:
            components = self._components(self.doses[drugs].sum(axis=0)[None])
            moved = components.expected() if rng is None else components.draw(np.zeros(1, int), rng, 1.0)
            after = moved.rows(np.zeros(len(group), int)).keeping_noise()
        there = KnownLayer(operation.changed(mechanisms), operation.on(after), group).mean()
        return np.asarray(weight @ (there - KnownLayer(mechanisms, before, group).mean()))

    @property
    def lines(self) -> bool:
        """Whether changes are proportional to shifts."""
        rows = self.state.rows
        return bool(self.predictor.fit.mechanisms.mechanism.linear) and (rows is None or rows.only_adds)

    def responses(self, moves: list[Move], sd: np.ndarray) -> np.ndarray:
        """Changes ``(M, G)`` by moves of size one: exact for lines, else tried, shifts by one standard deviation ``(G,)``."""
        total = total_effects(self.predictor.fit.mechanisms.weights()) if self.lines else None
        out = np.empty((len(moves), self.predictor.n_genes))
        for row, move in zip(out, moves, strict=True):
            line = None if total is None else move.line(self, total)
            row[:] = self.change((move,), np.array([move.step(sd)])) / move.step(sd) if line is None else line
        return out
