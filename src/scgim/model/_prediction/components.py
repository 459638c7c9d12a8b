"""Interventions of the rows of a request, before any cell is drawn (layer `model`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scgim._core.effects import Effects, strongest
from scgim._core.kinds import Kind
from scgim._core.kinds.base import Moved


@dataclass(frozen=True)
class Part:
    """What one kind of intervention does in rows, c of them; those of one row superpose.

    Attributes
    ----------
    kind
        Of the interventions.
    row
        ``(c,)``; row that each acts in.
    effects
        ``(c, G)``; targets, and effects given these, in the units of the kind (`Kind.units`).
    """

    kind: Kind
    row: np.ndarray
    effects: Effects

    @classmethod
    def of(cls, kind: Kind, found: Sequence[tuple[int, Effects]], n_genes: int) -> Part:
        """From rows with effects ``(G,)``."""
        empty = np.zeros((0, n_genes))
        arrays = ([e.probability for _, e in found], [e.mean for _, e in found], [e.sd for _, e in found])
        effects = Effects(*(np.stack(values) if values else empty for values in arrays))
        return cls(kind, np.array([row for row, _ in found], dtype=int), effects)

    def slots(self, n_rows: int) -> np.ndarray:
        """Interventions of each row ``(n_rows, S)``, -1 where a row has fewer."""
        count = np.bincount(self.row, minlength=n_rows)
        out = np.full((n_rows, int(count.max(initial=0))), -1)
        order = np.argsort(self.row, kind="stable")
        slot = np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count)
        out[self.row[order], slot] = order
        return out


@dataclass(frozen=True)
class Components:
    """What happens in each row of a request.

    Attributes
    ----------
    n_rows
        Rows m.
    parts
        One for each kind of intervention that was found.
    drift
        Small effects beyond the targets, at all genes, which add up; in units of the causal layer.
    """

    n_rows: int
    parts: tuple[Part, ...]
    drift: Part

    @property
    def n_genes(self) -> int:
        """Number of genes G."""
        return self.drift.effects.shape[1]

    @property
    def additive(self) -> bool:
        """Whether everything adds up."""
        return all(part.kind.additive or not len(part.row) for part in self.parts)

    @property
    def everything(self) -> tuple[Part, ...]:
        """The parts and the drift."""
        return (*self.parts, self.drift)

    @property
    def added(self) -> tuple[Part, ...]:
        """What adds up to the shifts of the rows, where all parts are additive."""
        return self.everything

    def marginal(self) -> tuple[Effects, np.ndarray]:
        """Targets and effects of each row, as tables show them, in the units of the kind, and the name of the kind, ``(m, G)`` each."""
        effects, which = strongest([part.effects.superpose(part.row, self.n_rows) for part in self.parts])
        return effects, np.array([part.kind.name for part in self.parts])[which]

    def mean_added(self) -> np.ndarray:
        """Posterior mean of what is added to each row ``(m, G)``, in units of the causal layer, where all parts are additive."""
        out = np.zeros((self.n_rows, self.n_genes))
        for part in self.added:
            np.add.at(out, part.row, part.effects.expected)
        return out

    def expected(self) -> Moved:
        """Best single interventions of each row ``(m, G)``, in units of the causal layer, see `Kind.point`; a cut mechanism has no noise to keep."""
        moved = Moved.nothing(self.n_rows, self.n_genes)
        for part in self.everything:
            for slot in part.slots(self.n_rows).T:
                row = np.flatnonzero(slot >= 0)
                where, effect = part.kind.point(part.effects[slot[row]])
                cell, gene = np.nonzero(where)
                part.kind.write(moved, (row[cell], gene), effect[cell, gene])
        moved.noise = np.where(moved.listen == 0, 0.0, moved.noise)
        return moved

    def draw(self, row: np.ndarray, rng: np.random.Generator) -> Moved:
        """What happens to n cells, drawn from the posterior, in units of the causal layer; `row` ``(n,)`` is that of each cell."""
        moved = Moved.nothing(len(row), self.n_genes)
        for part in self.parts:
            for slot in part.slots(self.n_rows).T:
                there = np.flatnonzero(slot[row] >= 0)
                source = slot[row[there]]
                chance = rng.random((len(there), self.n_genes), dtype=np.float32)
                cell, gene = np.nonzero(chance < part.effects.probability[source])
                at = source[cell], gene
                effect = part.effects.mean[at] + part.effects.sd[at] * rng.standard_normal(len(gene))
                part.kind.write(moved, (there[cell], gene), effect)
        for slot in self.drift.slots(self.n_rows).T:
            there = np.flatnonzero(slot[row] >= 0)
            source, noise = slot[row[there]], rng.standard_normal((len(there), self.n_genes))
            moved.add[there] += self.drift.effects.mean[source] + self.drift.effects.sd[source] * noise
        return moved


def key_of(dose: np.ndarray) -> tuple[tuple[int, float], ...]:
    """Drugs and doses of a row ``(D,)`` as a hashable key; doses to nine digits."""
    return tuple((int(d), float(f"{dose[d]:.9g}")) for d in np.flatnonzero(dose > 0))
