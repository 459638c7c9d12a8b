"""Search over gene orders with an exact decomposable score (layer `_core`; not from the paper).

The state is an order of the genes; each gene takes its best parents among earlier genes. Every score that was ever
computed is kept, so that a proposal costs look-ups. Moves: one gene to any other place, steepest first, until none
improves; then random kicks, kept where they end higher. It stops by the score, never by the clock.

The effort must not grow with the number of cells. Sharp evidence sees every trace of a wrong order, and a gene that lost
a parent could take ever more others in its place; so a proposal may give a gene only few more parents than it has. A
better order has fewer edges, not more, and `settle` chooses without that limit where the search ends. Kicks reach a
fixed number of places, and only what they touch is mended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from scgim._core.structure.score import ShiftScore
from scgim._core.structure.screening import response_order

TOLERANCE = 1e-6  # of parent sets
EXTRA = 2  # parents that a gene may gain at once in a proposal: how many pay depends on the number of cells
REACH = 20  # places that a kick moves a gene by, at the most
GAIN = 0.1  # of a move, in nats: smaller ones are not worth an evaluation
SWEEP_GAIN = 0.05  # of a sweep, in nats a gene, where more sweeps will follow anyway
Move = tuple[float, int, dict[int, tuple[tuple[int, ...], float]]]  # gain, new place, changed parents and scores


@dataclass
class Parents:
    """Best parents of single genes, with every score remembered."""

    score: ShiftScore
    candidates: list[np.ndarray]  # screened candidates of each gene
    max_parents: int = 20
    n_refined: int = 5  # candidates scored in full at a time; the others coarsely
    single: dict[tuple[int, tuple[int, ...]], float] = field(default_factory=dict)
    added: dict[tuple[int, tuple[int, ...]], tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        G = self.score.n_genes
        self.listed = np.zeros((G, G), dtype=bool)  # [i, j]: i is a candidate of j
        for j, listed in enumerate(self.candidates):
            self.listed[listed, j] = True

    def value(self, j: int, parents: tuple[int, ...]) -> float:
        """Score of gene j with these (sorted) parents."""
        return self.values(j, [parents])[0]

    def values(self, j: int, sets: list[tuple[int, ...]]) -> list[float]:
        """Scores of gene j with parent sets of equal size."""
        missing = [s for s in sets if (j, s) not in self.single]
        if missing:
            scores = self.score.score_sets(j, np.array(missing, dtype=int).reshape(len(missing), -1))
            self.single.update({(j, s): float(v) for s, v in zip(missing, scores, strict=True)})
        return [self.single[(j, s)] for s in sets]

    def with_one_more(self, j: int, parents: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Scores with one parent added ``(G,)``, minus infinity where it can not be, and which are exact ``(G,)``."""
        key = (j, parents)
        if key not in self.added:
            out = np.full(self.score.n_genes, -np.inf)
            free = self.candidates[j]
            free = free[~np.isin(free, parents)]
            few = len(free) <= self.n_refined
            if len(free):
                out[free] = (self.score.score_added if few else self.score.coarse_added)(j, parents, free)
            self.added[key] = out, np.full(len(out), few)
        return self.added[key]

    def best_added(self, j: int, parents: tuple[int, ...], allowed: np.ndarray) -> tuple[int, float]:
        """The allowed gene that is best added to the parents, and the exact score with it."""
        scores, exact = self.with_one_more(j, parents)
        while True:
            masked = np.where(allowed, scores, -np.inf)
            x = int(masked.argmax())
            if exact[x] or masked[x] == -np.inf:
                return x, float(masked[x])
            masked[exact] = -np.inf
            top = np.argpartition(-masked, self.n_refined)[: self.n_refined]
            top = top[masked[top] > -np.inf]
            scores[top] = self.score.score_added(j, parents, top)
            exact[top] = True

    def best(self, j: int, allowed: np.ndarray, most: int | None = None) -> tuple[tuple[int, ...], float]:
        """Greedy forward-backward choice of at most `most` of the allowed genes, a mask ``(G,)``."""
        parents: tuple[int, ...] = ()
        value = self.value(j, parents)
        most = self.max_parents if most is None else min(most, self.max_parents)
        while len(parents) < most:
            x, score = self.best_added(j, parents, allowed)
            if not score > value + TOLERANCE:
                break
            value = score
            parents = tuple(sorted((*parents, x)))
            self.single[(j, parents)] = value
        while len(parents) > 1:
            rests = [tuple(y for y in parents if y != x) for x in parents]
            values = self.values(j, rests)
            k = int(np.argmax(values))
            if values[k] <= value + TOLERANCE:
                break
            parents, value = rests[k], values[k]
        return parents, value


class OrderSearch:
    """Local search over orders; `order` and `parents` hold the current state."""

    def __init__(self, chooser: Parents, order: np.ndarray, window: int) -> None:
        self.chooser, self.window = chooser, window
        self.reach = min(window, REACH)
        self.G = len(order)
        self.order = [int(g) for g in order]
        self.parents: dict[int, tuple[int, ...]] = {}
        self.value = np.zeros(self.G)
        self.touched: set[int] = set()  # genes whose parents changed
        for k, g in enumerate(self.order):
            self.parents[g], self.value[g] = chooser.best(g, self.mask(k))
        self.note()

    def choose(self, j: int, allowed: np.ndarray) -> tuple[tuple[int, ...], float]:
        """Best parents of gene j in a proposal: at most a few more than now, or than before this sweep, kick or wish."""
        return self.chooser.best(j, allowed, max(self.usual[j], len(self.parents[j])) + EXTRA)

    def note(self) -> None:
        """Takes the present numbers of parents as usual."""
        self.usual = [len(self.parents[g]) for g in range(self.G)]

    def mask(self, k: int) -> np.ndarray:
        """Genes before place k."""
        allowed = np.zeros(self.G, dtype=bool)
        allowed[self.order[:k]] = True
        return allowed

    @property
    def total(self) -> float:
        """Score of the state."""
        return float(self.value.sum())

    def _right(self, i: int) -> Move:
        """Best place to the right for the gene at place i."""
        g, allowed = self.order[i], self.mask(i)
        ceiling = allowed.copy()
        ceiling[self.order[i + 1 : i + 1 + self.window]] = True
        most = self.choose(g, ceiling)[1] - self.value[g]
        best: Move = (0.0, i, {})
        if most <= GAIN:
            return best
        lost, changed = 0.0, {}
        before = self.mask(i)
        before[g] = True
        for q in range(i + 1, min(self.G, i + 1 + self.window)):
            x = self.order[q]
            if g in self.parents[x]:
                without = before.copy()
                without[g] = False
                changed[x] = self.choose(x, without)
                lost += changed[x][1] - self.value[x]
            before[x] = True
            allowed[x] = True
            if lost + most <= GAIN:
                break
            if not self.chooser.listed[x, g]:
                continue
            own = self.choose(g, allowed)
            gain = lost + own[1] - self.value[g]
            if gain > best[0] + GAIN:
                best = (gain, q, {**changed, g: own})
        return best

    def _left(self, i: int) -> Move:
        """Best place to the left for the gene at place i."""
        g, allowed = self.order[i], self.mask(i)
        best: Move = (0.0, i, {})
        own = (self.parents[g], float(self.value[g]))
        gained, changed = 0.0, {}
        before = self.mask(i)
        for q in range(i - 1, max(-1, i - 1 - self.window), -1):
            x = self.order[q]
            before[x] = False
            allowed[x] = False
            if self.chooser.listed[g, x]:
                before[g] = True
                new = self.choose(x, before)
                before[g] = False
                if new[1] > self.value[x] + GAIN:
                    changed[x] = new
                    gained += new[1] - self.value[x]
            if x in own[0]:
                own = self.choose(g, allowed)
            gain = gained + own[1] - self.value[g]
            if gain > best[0] + GAIN:
                best = (gain, q, {**changed, g: own})
        return best

    def improve_gene(self, g: int) -> float:
        """Moves one gene to its best place; the gain."""
        i = self.order.index(g)
        right, left = self._right(i), self._left(i)
        gain, q, changed = max(right, left, key=lambda move: move[0])
        if gain <= GAIN:
            return 0.0
        self.order.pop(i)
        self.order.insert(q, g)
        for x, (parents, value) in changed.items():
            self.parents[x], self.value[x] = parents, value
        self.touched.update(changed)
        return gain

    def reorient(self, g: int, most: int = 10) -> float:
        """Lets gene g take a parent that stands later in the order, if the score rises; the gain."""
        place = np.empty(self.G, dtype=int)
        place[self.order] = np.arange(self.G)
        gain = self.chooser.with_one_more(g, self.parents[g])[0] - self.value[g]
        later = np.flatnonzero((gain > GAIN) & (place > place[g]))
        for x in later[np.argsort(-gain[later], kind="stable")][:most]:
            delta = self.turn(g, int(x), place, float(gain[later].sum()))
            if delta > 0:
                return delta
        return 0.0

    def turn(self, g: int, x: int, place: np.ndarray, hope: float, *, least: float = GAIN) -> float:
        """Moves gene g behind x where that gains more than `least`; the gain.

        Descendants of g that x does not need move along, so that only genes on the way from g to x lose g. Given up early
        where they lose more than `hope`.
        """
        i, q = int(place[g]), int(place[x])
        stay, go = self._split(g, x, self.order[i + 1 : q + 1])
        allowed, delta = self.mask(i), 0.0
        changed: dict[int, tuple[tuple[int, ...], float]] = {}
        for y in stay:
            if g in self.parents[y]:
                changed[y] = self.choose(y, allowed)
                delta += changed[y][1] - self.value[y]
            allowed[y] = True
        if delta + hope <= least:
            return 0.0
        changed[g] = self.choose(g, allowed)
        delta += changed[g][1] - self.value[g]
        if delta <= least:
            return 0.0
        self.order[i : q + 1] = [*stay, g, *go]
        for y, (parents, value) in changed.items():
            self.parents[y], self.value[y] = parents, value
        self.touched.update(changed)
        return delta

    def _split(self, g: int, x: int, between: list[int]) -> tuple[list[int], list[int]]:
        """Genes between g and x that stay before g, and descendants of g that x does not need, which go along."""
        below, needed = {g}, {x}
        for y in between:
            if below.intersection(self.parents[y]):
                below.add(y)
        for y in reversed(between):
            if y in needed:
                needed.update(self.parents[y])
        go = [y for y in between if y in below and y not in needed]
        gone = set(go)
        return [y for y in between if y not in gone], go

    def settle(self) -> float:
        """Parents of every gene chosen without the limit on proposals, where that is better; the gain."""
        before = self.total
        for k, g in enumerate(self.order):
            parents, value = self.chooser.best(g, self.mask(k))
            if value > self.value[g] + TOLERANCE:
                self.parents[g], self.value[g] = parents, value
        return self.total - before

    def climb(self, *, thorough: bool = True) -> None:
        """Sweeps until no move improves; otherwise until a sweep of new orientations brings next to nothing."""
        least = GAIN if thorough else SWEEP_GAIN * self.G
        moved = True
        while moved:
            while sum(self.reorient(g) for g in list(self.order)) > least:
                self.note()
            self.note()
            moved = thorough and sum(self.improve_gene(g) for g in list(self.order)) + self.settle() > GAIN
        self.note()

    def climb_near(self, genes: set[int], most: int = 200) -> None:
        """Moves of some genes, and of those that these change, until none improves."""
        queue = sorted(genes)
        for _ in range(most):
            if not queue:
                break
            g = queue.pop()
            self.touched = set()
            if self.reorient(g) > 0 or self.improve_gene(g) > 0:
                queue += sorted(self.touched.difference(queue))

    def wishes(self, most: int) -> list[tuple[int, int, float]]:
        """Genes and the later gene that each would most gain from as a parent, with the gain; largest gains first."""
        place = np.argsort(self.order)
        out = []
        for g in self.order:
            gain = self.chooser.with_one_more(g, self.parents[g])[0] - self.value[g]
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
            place = np.argsort(self.order)
            if place[x] < place[g]:
                continue
            self.touched = set()
            self.turn(g, x, place, np.inf, least=-np.inf)
            near = self.touched | {x} | {y for y in range(self.G) if g in self.parents[y] or x in self.parents[y]}
            self.climb_near(near - {g})
            self.climb_near({g})
            if self.total <= total + GAIN:
                self.restore(kept)
        return self.total - began

    def state(self) -> tuple[list[int], dict[int, tuple[int, ...]], np.ndarray]:
        """A copy of the state."""
        return list(self.order), dict(self.parents), self.value.copy()

    def restore(self, state: tuple[list[int], dict[int, tuple[int, ...]], np.ndarray]) -> None:
        """Back to a copied state."""
        self.order, self.parents, self.value = list(state[0]), dict(state[1]), state[2].copy()

    def kick(self, rng: np.random.Generator, size: int) -> set[int]:
        """Moves `size` random genes to random nearby places; the genes that moved or whose parents changed."""
        moved, first, last = set(), self.G, -1
        for _ in range(size):
            i = int(rng.integers(self.G))
            q = int(np.clip(i + rng.integers(-self.reach, self.reach + 1), 0, self.G - 1))
            moved.add(self.order[i])
            self.order.insert(q, self.order.pop(i))
            first, last = min(first, i, q), max(last, i, q)
        for k in range(first, last + 1):
            g = self.order[k]
            parents, self.value[g] = self.choose(g, self.mask(k))
            if parents != self.parents[g]:
                self.parents[g] = parents
                moved.add(g)
        return moved


def search(
    chooser: Parents,
    *,
    rng: np.random.Generator,
    order: np.ndarray | None = None,
    n_kicks: int = 20,
    window: int | None = None,
    thorough: bool = True,
    progress: Callable[[float], None] | None = None,
) -> OrderSearch:
    """Best order found: climb, then kicks until `n_kicks` in a row brought nothing."""
    start = response_order(chooser.score) if order is None else order
    G = chooser.score.n_genes
    state = OrderSearch(chooser, start, window=min(G, max(10, 20_000 // G)) if window is None else window)
    state.climb(thorough=thorough)
    most = min(50, G // 4) if G > 50 else 0  # small systems are kicked more
    while thorough and n_kicks and most and state.grant(most) > SWEEP_GAIN * G:
        state.climb()
    failed = 0
    while failed < n_kicks:
        if progress is not None:
            progress(state.total)
        kept, total = state.state(), state.total
        state.climb_near(state.kick(rng, size=int(rng.integers(1, 4))))
        if state.total > total + GAIN:
            failed = 0
            state.climb()
        else:
            failed += 1
            state.restore(kept)
    return state
