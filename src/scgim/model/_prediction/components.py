"""Interventions of the rows of a request, before any cell is drawn (layer `model`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np

from scgim._core.arrays import rank_within
from scgim._core.effects import Effects, strongest
from scgim._core.kinds import Kind
from scgim._core.kinds.base import Moved

Key = tuple[tuple[int, float], ...]
"""Drugs of a row and their doses."""
NEVER = 1e-6  # probability by which nothing is divided; single precision has no more digits


@dataclass(frozen=True)
class Part:
    """What one kind of intervention does in rows, c of them; those of one row superpose."""

    kind: Kind  # of the interventions
    row: np.ndarray  # (c,) row that each acts in
    effects: Effects  # (c, G) targets, and effects given these, in the units of the kind (`Kind.units`)

    @classmethod
    def of(cls, kind: Kind, found: Sequence[tuple[int, Effects]], n_genes: int) -> Part:
        """From rows with effects ``(G,)``."""
        empty = np.zeros((0, n_genes))
        arrays = ([e.probability for _, e in found], [e.mean for _, e in found], [e.sd for _, e in found])
        effects = Effects(*(np.stack(values) if values else empty for values in arrays))
        return cls(kind, np.array([row for row, _ in found], dtype=int), effects)

    def superpose(self, n_rows: int) -> Effects:
        """Everything of each row, ``(n_rows, G)``."""
        return self.effects.superpose(self.row, n_rows, self.kind.together)

    def slots(self, n_rows: int) -> np.ndarray:
        """Interventions of each row ``(n_rows, S)``, -1 where a row has fewer."""
        slot = rank_within(self.row)
        out = np.full((n_rows, int(slot.max(initial=-1)) + 1), -1)
        out[self.row, slot] = np.arange(len(slot))
        return out


@dataclass(frozen=True)
class Components:
    """What happens in each row of a request."""

    n_rows: int  # rows m
    parts: tuple[Part, ...]  # one for each kind of intervention that was found
    # small effects beyond the targets, which add up, in units of the causal layer. The first of a row belongs to the
    # first interventions of the row, and so on: a gene that these leave alone is moved by drift first, see `beside`
    drift: Part
    # (m,) share of the cells of each row at whose targets something happens, which is as much more there; None for all
    responding: np.ndarray | None = field(default=None, kw_only=True)

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
        effects, which = strongest([part.superpose(self.n_rows) for part in self.parts])
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

    def shares(self, row: int, n: int, rng: np.random.Generator) -> Iterator[tuple[float, Moved]]:
        """Shares of the cells of a row that respond and that do not, and what happens to n of each, from the same draws."""
        share, state = 1.0 if self.responding is None else float(self.responding[row]), rng.bit_generator.state
        for part, times in (share, 1 / share), (1 - share, 0.0):
            if part > 0:
                rng.bit_generator.state = state
                yield part, self.draw(np.full(n, row), rng, times)

    def draw(self, row: np.ndarray, rng: np.random.Generator, times: float | None = None) -> Moved:
        """What happens to n cells of rows `row`, drawn from the posterior, in units of the causal layer.

        Targets do `times` as much; None draws which cells respond.
        """
        moved = Moved.nothing(len(row), self.n_genes)
        more = np.full(len(row), 1.0 if times is None else times)
        if times is None and self.responding is not None:
            more = (rng.random(len(row)) < self.responding[row]) / self.responding[row]
        slots = (part.slots(self.n_rows)[row].T for part in self.everything)
        for now in zip_longest(*slots, fillvalue=np.full(len(row), -1)):
            hit, none = np.zeros(moved.add.shape, dtype=bool), np.ones(moved.add.shape, dtype=np.float32)
            for part, source in zip(self.parts, now[:-1], strict=True):
                there = np.flatnonzero(source >= 0)
                if not len(there):
                    continue
                probability = part.effects.probability[source[there]]
                cell, gene = np.nonzero(rng.random(probability.shape, dtype=np.float32) < probability)
                at = source[there[cell]], gene
                effect = part.effects.mean[at] + part.effects.sd[at] * rng.standard_normal(len(gene))
                part.kind.write(moved, (there[cell], gene), effect * more[there[cell]])
                hit[there[cell], gene] = True
                none[there] *= 1 - probability
            self._drift_beside(moved, now[-1], hit, none, rng)
        return moved

    def _drift_beside(
        self, moved: Moved, source: np.ndarray, hit: np.ndarray, none: np.ndarray, rng: np.random.Generator
    ) -> None:
        """Adds the drift `source` ``(n,)``, -1 for none, of cells where targets are hit ``(n, G)``, or with this chance not."""
        there = np.flatnonzero(source >= 0)
        source, hit = source[there], hit[there]
        where_hit, elsewhere = beside(self.drift.effects.probability[source], none[there])
        chance = np.where(hit, where_hit, elsewhere)
        acts = chance >= 1
        doubtful = (chance > 0) & ~acts
        acts[doubtful] = rng.random(int(doubtful.sum())) < chance[doubtful]
        noise = rng.standard_normal(chance.shape)
        moved.add[there] += acts * (self.drift.effects.mean[source] + self.drift.effects.sd[source] * noise)


def beside(probability: np.ndarray, none: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Chance that drift acts where a gene is a target, and where it is not, so that it acts with `probability` in all.

    Targets and drift explain the same shift, so that drift acts on genes that are no targets first.

    Parameters
    ----------
    probability
        That drift acts.
    none
        That the gene is not a target.
    """
    target = 1 - none
    on = np.where(target > NEVER, np.maximum(probability - none, 0) / np.maximum(target, NEVER), 1.0)
    off = np.minimum(probability / np.maximum(none, NEVER), 1.0)
    return on, off


def key_of(dose: np.ndarray) -> Key:
    """Drugs and doses of a row ``(D,)`` as a hashable key; doses to nine digits."""
    return tuple((int(d), float(f"{dose[d]:.9g}")) for d in np.flatnonzero(dose > 0))
