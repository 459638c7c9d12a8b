"""Score and search of linear systems with cycles (layer `_core`; not from the paper).

With ``x = x A + baseline + shift + noise`` the log likelihood of N cells gains ``N log|det(I - A)|``, which is linear
in the coefficients of one gene, so that the best ones given all others have a closed form. Coordinate ascent and greedy
changes of parents do the rest, from several starts (`cyclic_start`). Only stable systems are allowed: else a cycle and
its reverse describe the same cells.
"""

from dataclasses import dataclass, field

import numpy as np

from scgim._core.mechanisms.total import total_effects
from scgim._core.moments.moments import Moments
from scgim._core.structure.cycles.cyclic_start import dense_start
from scgim._core.structure.prior import Prior
from scgim._core.structure.score import ShiftScore
from scgim._core.structure.watch import Watch

LARGEST_RADIUS = 0.98
"""Spectral radius up to which a system counts as stable."""


def is_stable(weight: np.ndarray) -> bool:
    """Whether ``x = x A + u`` settles, for weights A ``(G, G)``."""
    return bool(np.abs(np.linalg.eigvals(weight)).max(initial=0.0) < LARGEST_RADIUS)


class CyclicScore(ShiftScore):
    """Score of one gene's parents given the coefficients of all other genes, which may be its descendants too.

    The score of a gene holds the log determinant relative to that of the present system, ``inverse``.

    Parameters
    ----------
    moments, drug_set, group, prior
        See `ShiftScore`; linear mechanisms.
    """

    n_steps = 4

    def __init__(self, moments: Moments, drug_set: np.ndarray, group: np.ndarray, prior: Prior) -> None:
        super().__init__(moments, drug_set, group, prior)
        if not moments.mechanism.linear:
            found = moments.mechanism.name
            raise ValueError(f"moments: expected those of linear mechanisms for cycles, found {found!r}.")
        self.n_volume = float(moments.n.sum())
        self.inverse = np.eye(self.n_genes)  # (I - A)^-1 of the present system

    def _inverse_row(self, j: int) -> np.ndarray:
        return np.ascontiguousarray(self.inverse[j])

    def _cofactors(self, j: int | np.ndarray, sets: np.ndarray, width: int) -> np.ndarray:
        """Derivative of the determinant, over itself, in the coefficients of gene j: ``(M, width)``, zero for baselines."""
        out = np.zeros((len(sets), width))
        out[:, : sets.shape[1]] = self.inverse[j, sets]
        return out

    def maximum(self, lhs: np.ndarray, rhs: np.ndarray, j: int | np.ndarray, sets: np.ndarray) -> np.ndarray:
        """Coefficients ``(M, F)``: regression, moved along the gradient of the log determinant.

        With cofactors c, ``t = inverse[j, j] - c a`` and ``a = H^-1 (g - N c / t)``, so that
        ``t^2 - t0 t = N c H^-1 c`` with ``t0`` that of the plain regression; of its two roots the positive one is
        connected with the empty graph.
        """
        plain = super().maximum(lhs, rhs, j, sets)
        c = self._cofactors(j, sets, rhs.shape[1])
        if not c.any():
            return plain
        moved = np.linalg.solve(lhs, c[..., None])[..., 0]
        t0 = self.inverse[j, j] - np.einsum("mf,mf->m", c, plain)
        push = self.n_volume * np.maximum(np.einsum("mf,mf->m", c, moved), 0.0)
        t = np.maximum(0.5 * (t0 + np.sqrt(t0**2 + 4 * push)), 1e-12)
        return plain - self.n_volume * moved / t[:, None]

    def volume(self, coef: np.ndarray, j: int | np.ndarray, sets: np.ndarray) -> np.ndarray:
        """``N log(det / present det)`` with new coefficients of gene j, ``(M,)``."""
        t = self.inverse[j, j] - np.einsum("mf,mf->m", self._cofactors(j, sets, coef.shape[1]), coef)
        return self.n_volume * np.log(np.maximum(t, 1e-12))


@dataclass
class CyclicSearch:
    """Greedy search over the parents of all genes, cycles allowed."""

    score: CyclicScore
    candidates: list[np.ndarray]  # genes that may act on each gene
    parents: dict[int, tuple[int, ...]]
    watch: Watch = field(default_factory=Watch)  # ends the search early
    max_parents: int = 20  # of a gene
    weight: np.ndarray = field(init=False)  # (G, G) standardised coefficients

    def __post_init__(self) -> None:
        self.weight = np.zeros((self.score.n_genes, self.score.n_genes))
        self.settle()

    def _look(self) -> None:
        """Takes the determinant at the present weights."""
        self.score.inverse = total_effects(self.weight)

    def _column(self, j: int, parents: tuple[int, ...]) -> tuple[float, np.ndarray]:
        """Score of gene j with these parents given all others, and its column of weights ``(G,)``."""
        scores, coef = self.score.solutions(j, np.array([parents], dtype=int).reshape(1, -1))
        column = np.zeros(len(self.weight))
        column[list(parents)] = coef[0, : len(parents)]
        return float(scores[0]), column

    def settle(self, tolerance: float = 0.01, most: int = 50) -> float:
        """Coordinate ascent in all coefficients; returns the total score."""
        total = -np.inf
        for _ in range(most):
            before = total
            for j, parents in self.parents.items():
                self._look()
                _, column = self._column(j, parents)
                self.weight[:, j] = self._damped(j, column)
            total = self.total()
            if total - before < tolerance:
                break
        return total

    def _damped(self, j: int, column: np.ndarray) -> np.ndarray:
        """The new column, drawn back towards the present one until the system is stable."""
        old, trial = self.weight[:, j].copy(), self.weight.copy()
        for step in (1.0, 0.5, 0.25, 0.1):
            trial[:, j] = old + step * (column - old)
            if is_stable(trial):
                return trial[:, j]
        return old

    def total(self) -> float:
        """Score of the present graph."""
        self._look()
        own = sum(self._column(j, parents)[0] for j, parents in self.parents.items())
        return own + self.score.n_volume * float(np.linalg.slogdet(np.eye(len(self.weight)) - self.weight)[1])

    def _sets(self, j: int) -> list[tuple[int, ...]]:
        """Parents of gene j with one added, dropped or exchanged."""
        now = self.parents[j]
        new = [int(i) for i in self.candidates[j] if i not in now and i != j]
        rests = [tuple(p for p in now if p != i) for i in now]
        added = [(*now, i) for i in new] if len(now) < self.max_parents else []
        return [*added, *rests, *((*rest, i) for rest in rests for i in new)]

    def _values(self, j: int, sets: list[tuple[int, ...]]) -> np.ndarray:
        """Scores of parent sets, those of one size in one batch."""
        size, out = np.array([len(s) for s in sets]), np.full(len(sets), -np.inf)
        for p in np.unique(size):
            rows = np.flatnonzero(size == p)
            out[rows] = self.score.score_sets(j, np.array([sets[r] for r in rows], dtype=int).reshape(len(rows), p))
        return out

    def improve(self, j: int) -> bool:
        """The best change of the parents of gene j that raises the score and leaves the system stable."""
        changed = False
        while True:
            self._look()
            now = self._column(j, self.parents[j])[0]
            sets = self._sets(j)
            gain = self._values(j, sets) - now if sets else np.zeros(0)
            for r in np.argsort(-gain, kind="stable")[:3]:
                if gain[r] <= 1e-3:
                    return changed
                trial = self.weight.copy()
                trial[:, j] = self._column(j, sets[r])[1]
                if is_stable(trial):
                    self.parents[j], self.weight, changed = tuple(sorted(sets[r])), trial, True
                    break
            else:
                return changed

    def turn(self, i: int, j: int) -> bool:
        """Turns the edge from i to j round where that raises the score."""
        if j in self.parents[i] or j not in self.candidates[i] or len(self.parents[i]) >= self.max_parents:
            return False
        kept = self.weight.copy()
        self._look()
        now = self._column(j, self.parents[j])[0]
        rest = tuple(p for p in self.parents[j] if p != i)
        lost, self.weight[:, j] = self._column(j, rest)
        self._look()
        before, more = self._column(i, self.parents[i])[0], (*self.parents[i], j)
        gained, self.weight[:, i] = self._column(i, more)
        if lost - now + gained - before > 1e-3 and is_stable(self.weight):
            self.parents[j], self.parents[i] = rest, tuple(sorted(more))
            return True
        self.weight = kept
        return False

    def climb(self, most: int = 30) -> float:
        """Sweeps over genes and edges until nothing raises the score; returns it."""
        for _ in range(most):
            changed = False
            for j in range(self.score.n_genes):
                changed |= not self.watch.over() and self.improve(j)
            for j in range(self.score.n_genes):
                for i in () if self.watch.over() else self.parents[j]:
                    changed |= i in self.parents[j] and self.turn(i, j)
            self.settle()
            if not changed or self.watch.over():
                break
        return self.total()

    def restart(self, start: np.ndarray) -> float:
        """Climbs from the edges of a dense system reached from `start`; returns the score."""
        allowed = np.zeros(self.weight.shape, dtype=bool)
        for j, candidates in enumerate(self.candidates):
            allowed[candidates, j] = True
        weight = dense_start(self.score, allowed, start)
        radius = np.abs(np.linalg.eigvals(weight)).max(initial=0.0)
        weight *= min(1.0, 0.9 * LARGEST_RADIUS / max(radius, 1e-9))
        for j in range(len(weight)):
            strongest = np.argsort(-np.abs(weight[:, j]))[: self.max_parents]
            self.parents[j] = tuple(sorted(int(i) for i in strongest if weight[i, j]))
            self.weight[:, j] = 0.0
            self.weight[list(self.parents[j]), j] = weight[list(self.parents[j]), j]
        return self.climb()

    def search(self, rng: np.random.Generator, n_starts: int) -> float:
        """Climbs from the present graph, then from other ones until `n_starts` in a row bring nothing."""
        best, idle, G = self.climb(), 0, len(self.weight)
        while idle < n_starts and not self.watch.over():
            self.watch.share("starts in a row that brought nothing", idle, n_starts)
            kept = dict(self.parents), self.weight.copy()
            near = np.zeros((G, G)) if idle == 0 else kept[1] * (idle % 2)
            total = self.restart(near + 0.2 * min(idle, 1) * rng.standard_normal((G, G)))
            if total > best + 0.01:
                best, idle = total, 1
            else:
                (self.parents, self.weight), idle = kept, idle + 1
        self._look()
        return best
