"""Search over gene orders with an exact decomposable score (layer `_core`; not from the paper).

Each gene takes its best parents among earlier genes; every score is kept, so that a proposal costs look-ups. Moves: one gene to any
other place, until none improves; then random kicks, kept where they end higher. It stops by the score, never by the clock.

The effort must not grow with the number of cells. Sharp evidence sees every trace of a wrong order, and a gene that lost a parent could
take ever more others; so a proposal may give a gene only few more parents than it has, and `settle` chooses without that limit at the end.
"""

import math
from collections.abc import Callable

import numpy as np

from scgim._core.structure.compiled import choice, moves
from scgim._core.structure.compiled.moves import EXTRA, GAIN
from scgim._core.structure.parents import Parents
from scgim._core.structure.screening import response_order
from scgim._core.structure.watch import Watch

__all__ = ["EXTRA", "GAIN", "OrderSearch", "search"]

AT_ONCE = 100  # genes that are mended between two chances to stop
MOST_NEAR = 200  # genes that are moved after a kick
REACH = 20  # places that a kick moves a gene by, at the most
MOST_KICKED = 3  # genes of a kick
LEAST_WINDOW, PLACES = 10, 20_000  # places that a gene is tried at, at the least, and those of all genes, about
FEW_GENES = 50  # up to which every search is thorough, begins from several starts, and trusts covariances
MOST_WISHES = 50  # that are granted against the score where genes are more
SWEEP_GAIN = 0.05  # of a sweep, in nats a gene, where more sweeps will follow anyway
State = tuple[np.ndarray, ...]  # order, place, parents, their numbers, scores, usual numbers


class OrderSearch:
    """Local search over orders; `order` and `parents` tell the current state."""

    def __init__(
        self, chooser: Parents, order: np.ndarray, window: int, watch: Watch | None = None, *, keeps: bool = False
    ) -> None:
        self.chooser, self.window, self.keeps = chooser, window, keeps
        self.watch = Watch() if watch is None else watch
        self.G = G = len(order)
        self.reach = min(window, REACH)
        most = chooser.max_parents
        self.arrays: State = (
            np.array(order, dtype=np.int64),
            np.argsort(order).astype(np.int64),
            np.zeros((G, most), dtype=np.int64),
            np.zeros(G, dtype=np.int64),
            np.zeros(G),
            np.full(G, most, dtype=np.int64),
        )
        self.room = moves.room_of(*(self._room(G + 3, G + 3) for _ in range(2)))
        self.log = self._room(1, 2 * G + 3)
        self.touched = np.zeros(G, dtype=bool)  # genes whose parents changed
        self.mend(0, G - 1)
        if np.isnan(self.total):  # which the compiled moves would take for a question
            raise ValueError(
                "adata: the score of a gene is not a number; bring the expression to an ordinary scale, such as that of "
                "scanpy.pp.log1p, and look for outliers."
            )
        self.note()

    def _room(self, first: int, n: int) -> tuple[np.ndarray, ...]:
        """Room for what a move would change: genes, their parents, the number of these, and scores."""
        sets = np.zeros((n, self.chooser.max_parents), dtype=np.int64)
        return np.zeros(first, dtype=np.int64), sets, np.zeros(n, dtype=np.int64), np.zeros(n)

    def mend(self, first: int, last: int) -> None:
        """Chooses the parents of the genes at these places anew: at most a few more than now, or than before this sweep, kick or wish."""
        for k in range(first, last + 1, AT_ONCE):
            self.room[4][1:4] = k, min(k + AT_ONCE - 1, last), self.keeps
            self._drive(moves.MEND, 0, moves.MENDS)

    @property
    def order(self) -> list[int]:
        """Genes, causes first."""
        return [int(g) for g in self.arrays[0]]

    @property
    def parents(self) -> dict[int, tuple[int, ...]]:
        """Parents of each gene."""
        return {g: self.of(g) for g in range(self.G)}

    @property
    def value(self) -> np.ndarray:
        """``(G,)``; score of each gene."""
        return self.arrays[4]

    def of(self, g: int) -> tuple[int, ...]:
        """Parents of gene g."""
        return tuple(self.arrays[2][g, : self.arrays[3][g]].tolist())

    def give(self, g: int, parents: tuple[int, ...], value: float) -> None:
        """Gives gene g other parents, with their score."""
        self.arrays[2][g, : len(parents)], self.arrays[3][g], self.value[g] = parents, len(parents), value

    def put(self, i: int, q: int) -> None:
        """Moves the gene at place i to place q."""
        order, place = self.arrays[:2]
        first, last, step = min(i, q), max(i, q) + 1, 1 if q < i else -1
        order[first:last] = np.roll(order[first:last], step)
        place[order[first:last]] = np.arange(first, last)

    def note(self) -> None:
        """Takes the present numbers of parents as usual."""
        self.arrays[5][:] = self.arrays[3]

    def mask(self, k: int) -> np.ndarray:
        """Genes before place k."""
        allowed = np.zeros(self.G, dtype=bool)
        allowed[self.arrays[0][:k]] = True
        return allowed

    @property
    def total(self) -> float:
        """Score of the state."""
        return float(self.value.sum())

    @property
    def n_edges(self) -> int:
        """Edges of the state."""
        return int(self.arrays[3].sum())

    def improve_gene(self, g: int) -> float:
        """Moves one gene to its best place; the gain."""
        return self._drive(moves.IMPROVE, g, moves.RIGHT)

    def reorient(self, g: int) -> float:
        """Lets gene g take a parent that stands later in the order, if the score rises; the gain."""
        return self._drive(moves.REORIENT, g, moves.LISTS)

    def turn(self, g: int, x: int, hope: float, *, least: float = GAIN) -> float:
        """Moves gene g behind x where that gains more than `least`; the gain, see `moves.turn`."""
        found, hopes, at = self.room[2:]
        found[0], hopes[0], at[1], at[2] = x, hope, 0, 1
        return self._drive(moves.TURN, g, moves.TURNS, least)

    def _drive(self, kind: int, g: int, stage: int, least: float = GAIN) -> float:
        """A move of `moves.drive`, with what only Python can answer; the gain."""
        chooser, self.log[0][0], self.room[4][0] = self.chooser, 0, stage
        chooser.forget()
        asked = kind, g, self.window, float(least), chooser.listed, self.arrays
        while True:
            gain = moves.drive(*asked, chooser.tables, chooser.ask, self.log, self.room, self.touched, chooser.engine)
            if not math.isnan(gain):
                return float(gain)
            chooser.answer()

    def exchange(self, i: int, q: int, most: np.ndarray, log_chance: float) -> None:
        """Lets the genes at places i and q change places, with so many parents, where the score gains enough."""
        order = self.arrays[0]
        new = np.concatenate([order[q : q + 1], order[i + 1 : q], order[i : i + 1]])
        allowed, gain, found = self.mask(i), 0.0, []
        for x in new.tolist():
            found.append(self.chooser.best(x, allowed, int(most[x])))
            gain += found[-1][1] - self.value[x]
            allowed[x] = True
        if log_chance < gain:
            order[i : q + 1] = new
            self.arrays[1][new] = np.arange(i, q + 1)
            for x, (parents, value) in zip(new.tolist(), found, strict=True):
                self.give(x, parents, value)

    def settle(self) -> float:
        """Parents of every gene chosen without the limit on proposals, where that is better; the gain."""
        before = self.total
        for k, g in enumerate(self.order):
            parents, value = self.chooser.best(g, self.mask(k))
            if value > self.value[g] + choice.TOLERANCE:
                self.give(g, parents, value)
        return self.total - before

    def sweep(self, move: Callable[[int], float]) -> float:
        """Moves every gene once, unless the search has to end; the gain."""
        gain = 0.0
        for k, g in enumerate(self.order):
            if self.watch.over():
                return 0.0
            gain += move(g)
            self.watch.share("a sweep over genes", k + 1, self.G)
        return gain

    def climb(self, *, thorough: bool = True) -> None:
        """Sweeps until no move improves; otherwise until a sweep of new orientations brings next to nothing."""
        least = GAIN if thorough else SWEEP_GAIN * self.G
        moved = True
        while moved:
            while self.sweep(self.reorient) > least:
                self.note()
            self.note()
            moved = thorough and self.sweep(self.improve_gene) + self.settle() > GAIN
            moved = moved and not self.watch.over()
        self.note()

    def climb_near(self, genes: set[int]) -> None:
        """Moves of some genes, and of those that these change, until none improves."""
        queue = sorted(genes)
        for _ in range(MOST_NEAR):
            if not queue or self.watch.over():
                break
            g = queue.pop()
            self.touched[:] = False
            if self._drive(moves.EITHER, g, moves.LISTS) > 0:
                queue += sorted(set(np.flatnonzero(self.touched).tolist()).difference(queue))

    def wishes(self, most: int) -> list[tuple[int, int, float]]:
        """Genes and the later gene that each would most gain from as a parent, with the gain; largest gains first."""
        place = self.arrays[1]
        out = []
        for g in self.order:
            gain = self.chooser.with_one_more(g, self.of(g)) - self.value[g]
            gain[place <= place[g]] = -np.inf
            x = int(gain.argmax())
            if gain[x] > GAIN:
                out.append((g, x, float(gain[x])))
        return sorted(out, key=lambda wish: -wish[2])[:most]

    def grant(self, most: int) -> float:
        """Grants the largest wishes against the score, mends what follows, and keeps what ends higher; the gain."""
        began = self.total
        for g, x, _ in self.wishes(most):
            kept, total = self.state(), self.total
            if self.arrays[1][x] < self.arrays[1][g] or self.watch.over():
                continue
            self.touched[:] = False
            self.turn(g, x, np.inf, least=-np.inf)
            near = set(np.flatnonzero(self.touched).tolist())
            near |= {x} | {y for y, parents in self.parents.items() if g in parents or x in parents}
            self.climb_near(near - {g})
            self.climb_near({g})
            if self.total <= total + GAIN:
                self.restore(kept)
        return self.total - began

    def state(self) -> State:
        """A copy of the state, without the usual numbers of parents."""
        return tuple(a.copy() for a in self.arrays[:5])

    def restore(self, state: State) -> None:
        """Back to a copied state."""
        for now, kept in zip(self.arrays[:5], state, strict=True):
            now[:] = kept

    def kick(self, rng: np.random.Generator, size: int) -> set[int]:
        """Moves `size` random genes to random nearby places; the genes that moved or whose parents changed."""
        self.touched[:] = False
        first, last = self.G, -1
        for _ in range(size):
            i = int(rng.integers(self.G))
            q = int(np.clip(i + rng.integers(-self.reach, self.reach + 1), 0, self.G - 1))
            self.touched[self.arrays[0][i]] = True
            self.put(i, q)
            first, last = min(first, i, q), max(last, i, q)
        self.mend(first, last)
        return set(np.flatnonzero(self.touched).tolist())


def search(
    chooser: Parents,
    *,
    rng: np.random.Generator,
    order: np.ndarray | None = None,
    n_kicks: int = 20,
    window: int | None = None,
    thorough: bool = True,
    dense: bool = False,
    progress: Callable[[float], None] | None = None,
    watch: Watch | None = None,
) -> OrderSearch:
    """Best order found: climb, then kicks until `n_kicks` in a row brought nothing, or until the watch says that it is over.

    Where a graph may be `dense`, a kick leaves genes the parents that they may keep, for a choice of many parents from none
    seldom finds back to what moves have led to, and as many kicks as there are edges have to bring nothing.
    """
    start = response_order(chooser.score) if order is None else order
    G = chooser.score.n_genes
    usual = min(G, max(LEAST_WINDOW, PLACES // G))
    state = OrderSearch(chooser, start, usual if window is None else window, watch, keeps=dense)
    state.climb(thorough=thorough)
    most = min(MOST_WISHES, G // 4) if G > FEW_GENES else 0  # small systems are kicked more
    while thorough and n_kicks and most and state.grant(most) > SWEEP_GAIN * G:
        state.climb()

    def needed() -> int:
        return max(n_kicks, state.n_edges) if dense and n_kicks else n_kicks

    failed = 0
    while failed < needed() and not state.watch.over():
        if progress is not None:
            progress(state.total)
        state.watch.share("restarts in a row that brought nothing", failed, needed())
        kept, total = state.state(), state.total
        state.climb_near(state.kick(rng, size=int(rng.integers(1, MOST_KICKED + 1))))
        if state.total > total + GAIN:
            failed = 0
            state.climb()
        else:
            failed += 1
            state.restore(kept)
    return state
