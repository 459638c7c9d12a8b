"""Best parents of single genes among those allowed, with every score remembered (layer `_core`; not from the paper)."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scgim._core.structure.compiled import choice, moves
from scgim._core.structure.score import ShiftScore

ROOM = 4096  # parent sets that there is room for at first
PAST = 8192  # choices that are remembered


@dataclass
class Parents:
    """Best parents of single genes, with every score remembered."""

    score: ShiftScore
    candidates: list[np.ndarray]  # screened candidates of each gene
    max_parents: int = 20
    tables: tuple[np.ndarray, ...] = field(init=False, repr=False)  # see `choice`
    engine: tuple[Any, ...] = field(init=False, repr=False)  # see `ShiftScore.engine`

    def __post_init__(self) -> None:
        G, widest = self.score.n_genes, max([1, *map(len, self.candidates)])
        self.listed = np.zeros((G, G), dtype=bool)  # [i, j]: i is a candidate of j
        table = np.zeros((G, widest), dtype=np.int64)
        for j, listed in enumerate(self.candidates):
            self.listed[listed, j] = True
            table[j, : len(listed)] = np.sort(listed)
        n = np.array([len(listed) for listed in self.candidates], dtype=np.int64)
        member, own = np.random.default_rng(0).integers(1, 2**62, (2, G))  # names of genes in sets, and as children
        added = np.zeros(2 * ROOM, dtype=np.int64), np.zeros(2 * ROOM, dtype=np.int64)
        single = np.zeros(2 * ROOM, dtype=np.int64), np.zeros(2 * ROOM)
        rows = np.empty((ROOM, widest)), np.empty((ROOM, widest), dtype=bool)
        past = [np.zeros(PAST, dtype=np.int64) for _ in range(2)]
        chosen = past[0], np.zeros((PAST, self.max_parents + 1), dtype=np.int64), past[1], np.zeros(PAST)
        self.tables = (table, n, member, own, *added, *single, *rows, np.zeros(6, dtype=np.int64), *chosen)
        self.engine = self.score.engine()
        counts, sets, values = np.zeros(1, dtype=np.int64), np.zeros((1, 1), dtype=np.int64), np.zeros(1)
        room = counts, sets, counts, values
        idle = moves.room_of(room, room)
        self.idle = (counts, counts, sets, counts, values, counts), room, idle, np.zeros(1, dtype=bool)  # no move
        self.ask = np.zeros(8 + (self.max_parents + 1) ** 2 + widest, dtype=np.int64)

    @property
    def n_scored(self) -> int:
        """Parent sets that were scored so far, coarsely or exactly."""
        return int(self.tables[10][choice.N_SCORED])

    def answer(self) -> None:
        """Does what a compiled function asked for: more room, or scores that are not known yet."""
        asked = moves.ANSWER, 0, 0, 0.0, self.listed
        state, log, room, touched = self.idle
        if moves.drive(*asked, state, self.tables, self.ask, log, room, touched, self.engine) == 0:
            return
        kind, j, n, many = (int(x) for x in self.ask[:4])
        numbers, score = self.ask[4:], self.score
        if kind == choice.ASK_ROOM:
            self._enlarge()
        elif kind == choice.ASK_SETS:
            sets = numbers[: n * many].reshape(many, n).copy()
            choice.keep_values(j, sets, score.score_sets(j, sets), self.tables)
        else:
            parents, places = numbers[:n].copy(), numbers[n : n + many].copy()
            base, genes = tuple(parents.tolist()), self.tables[0][j, places]
            if kind == choice.ASK_EXACT:
                choice.keep_exact(j, parents, n, places, score.score_added(j, base, genes), self.tables)
            else:
                few = many <= choice.N_REFINED
                added = score.score_added if few else score.coarse_added
                found = added(j, base, genes) if many else np.zeros(0)  # no candidates are left
                choice.keep_added(j, parents, n, places, found, few, self.tables)
        self.tables[10][choice.N_SCORED] += many * (kind != choice.ASK_ROOM)

    def _enlarge(self) -> None:
        """Twice the room in the tables that are nearly full."""
        tables = list(self.tables)
        used = tables[10]
        for at, n in ((4, used[choice.N_ROWS]), (6, used[choice.N_VALUES])):
            if 2 * (n + self.max_parents + 1) > len(tables[at]):
                keys, values = (np.zeros(2 * len(tables[k]), dtype=tables[k].dtype) for k in (at, at + 1))
                choice.enlarge(tables[at], tables[at + 1], keys, values)
                tables[at], tables[at + 1] = keys, values
        if used[choice.N_ROWS] + 1 > len(tables[8]):
            for k in (8, 9):
                tables[k] = np.concatenate([tables[k], np.empty_like(tables[k])])
        self.tables = tuple(tables)

    def forget(self, n_chosen: int = 0) -> None:
        """Begins a new choice, from none or from so many parents: one that was broken off is not gone on with."""
        used = self.tables[10]
        used[choice.STAGE], used[choice.N_CHOSEN] = choice.FORWARD if n_chosen else 0, n_chosen
        used[choice.PENDING] = 0  # begun anew where it is from none

    def value(self, j: int, parents: tuple[int, ...]) -> float:
        """Score of gene j with these (sorted) parents."""
        return float(self.values(j, [parents])[0])

    def values(self, j: int, sets: list[tuple[int, ...]]) -> np.ndarray:
        """Scores ``(M,)`` of gene j with M parent sets of equal size."""
        array, out = np.array(sets, dtype=np.int64).reshape(len(sets), -1), np.empty(len(sets))
        while not choice.set_values(j, array, self.tables, self.ask, out):
            self.answer()
        return out

    def with_one_more(self, j: int, parents: tuple[int, ...]) -> np.ndarray:
        """Scores with one parent added ``(G,)``, coarse unless they were needed; minus infinity where it can not be."""
        array = np.array(parents, dtype=np.int64)
        while (row := choice.added_row(j, array, len(array), self.tables, self.ask)) < 0:
            self.answer()
        out, n = np.full(self.score.n_genes, -np.inf), self.tables[1][j]
        out[self.tables[0][j, :n]] = self.tables[8][row, :n]
        return out

    def best(
        self, j: int, allowed: np.ndarray, most: int | None = None, first: tuple[int, ...] = ()
    ) -> tuple[tuple[int, ...], float]:
        """Greedy forward-backward choice of at most `most` of the allowed genes, a mask ``(G,)``; from none, or from `first`, sorted."""
        most = self.max_parents if most is None else min(most, self.max_parents)
        out = np.empty(self.max_parents + 1, dtype=np.int64)
        if first:
            self.value(j, first)  # which a choice is gone on from
            out[: len(first)] = first
        self.forget(len(first))
        while True:
            n, value = choice.best_parents(j, allowed, most, self.tables, self.ask, out)
            if n >= 0:
                return tuple(out[:n].tolist()), float(value)
            self.answer()
