"""Which interventions bring one state to another? (layer `model`; not from the paper)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scgim._checks import DATA, POPULATION, SEED, checked, count, number, one_of, or_none, some_of
from scgim._core.kinds.reach import reach_by_one, reach_by_two
from scgim.model._asking.answer import N_DRAWS, doubt_of
from scgim.model._asking.intervene import Population
from scgim.model._asking.moves import MOVES, Move, Steps
from scgim.model._asking.state import State, metric, read_state, within_state

if TYPE_CHECKING:
    from scgim.model._prediction.predictor import Predictor

Chosen = tuple[tuple[Move, ...], np.ndarray]
"""Moves that are done together, and their sizes."""
MOST_PARTNERS = 1000
"""Moves, the best alone, of which pairs are formed."""
IDLE = 1e-3
"""Part of the largest shift below which a move does nothing in a pair."""
SAME = 1e-9
"""Distance between states that are one, in standard deviations."""


class SuggestMixin:
    """Moves between states, with a trained :class:`scgim.model.GIM`."""

    @checked(
        adata=or_none(DATA),
        goal=or_none(POPULATION),
        start=or_none(POPULATION),
        by=some_of(*MOVES),
        together=count(1, 2),
        distance=one_of("standardised", "mahalanobis"),
        largest=number(0, above=True),
        n_top=count(),
        rng=SEED,
    )
    def suggest(
        self,
        adata: Any = None,
        *,
        goal: Population | None,
        start: Population | None = None,
        by: str | Iterable[str] = ("shift", "drug"),
        together: int = 1,
        distance: str = "standardised",
        largest: float = 5.0,
        n_top: int = 20,
        rng: int | np.random.Generator | None = 0,
    ) -> pd.DataFrame:
        """Interventions that bring cells from one state to another, see :func:`scgim.tl.suggest`.

        Parameters
        ----------
        adata, goal, start, by, together, distance, largest, n_top, rng
            See :func:`scgim.tl.suggest`.

        Returns
        -------
        Table, see :func:`scgim.tl.suggest`.

        Raises
        ------
        RuntimeError, KeyError, TypeError, ValueError
            See :func:`scgim.tl.suggest`.

        Examples
        --------
        >>> model.suggest(goal={"drug": "IFNB", "dose": 1.0})
        """
        rng = np.random.default_rng(rng)
        predictor: Predictor = self._predictor()  # type: ignore[attr-defined]
        own, adjustment = self.adata, self.adjustment_  # type: ignore[attr-defined]
        begin = read_state("start", start, adata, own, predictor, adjustment)
        end = read_state("goal", goal, adata, own, predictor, adjustment)
        kinds = [by] if isinstance(by, str) else list(by)
        search = _search(predictor, begin, end, kinds, largest, rng, standardised=distance == "standardised")
        found = search.best(together, n_top)
        return search.table(found, together, rng)


@dataclass(frozen=True)
class MoveSearch:
    """Moves from a state, and where they should lead."""

    steps: Steps  # what moves do
    moves: list[Move]  # M of them
    metric: np.ndarray  # (G, Q) distances are plain in its units
    difference: np.ndarray  # (Q,) from the start to the goal
    sd: np.ndarray  # (G,) of the causal layer in the state

    def left(self, change: np.ndarray) -> float:
        """Distance that a change of the means ``(G,)`` leaves."""
        return float(np.linalg.norm(self.difference - change @ self.metric))

    def best(self, together: int, n_top: int) -> list[Chosen]:
        """Moves, alone or in pairs, with their sizes; those that leave least first."""
        response = self.steps.responses(self.moves, self.sd) @ self.metric  # (M, Q)
        low, high = (np.array([getattr(move, end) for move in self.moves]) for end in ("low", "high"))
        size, left = reach_by_one(response, self.difference, low, high)
        order, found = np.argsort(left, kind="stable"), list[Chosen]()
        if together == 1:
            found = [((self.moves[i],), size[[i]]) for i in order[:n_top]]
        else:
            at = order[:MOST_PARTNERS]
            sizes, left = reach_by_two(response[at], self.difference, low[at], high[at])
            names = np.array([self.moves[i].name for i in at])
            idle = np.abs(sizes) < IDLE * np.stack([high[at][:, None] + 0 * left, high[at] + 0 * left])
            left[(names[:, None] == names) | idle.any(axis=0) | ~np.triu(np.ones(left.shape, bool), 1)] = np.inf
            pairs = np.argsort(left, axis=None, kind="stable")[: min(n_top, int(np.isfinite(left).sum()))]
            first, second = np.unravel_index(pairs, left.shape)
            found = [
                ((self.moves[at[a]], self.moves[at[b]]), sizes[:, a, b]) for a, b in zip(first, second, strict=True)
            ]
        refined = [(moves, self._refined(moves, sizes)) for moves, sizes in found]
        return sorted(refined, key=lambda entry: self.left(self.steps.change(*entry)))

    def _refined(self, moves: tuple[Move, ...], sizes: np.ndarray) -> np.ndarray:
        """Sizes stretched once by what the moves really do, where that is not proportional to them."""
        if self.steps.lines or not any(move.free for move in moves):
            return sizes
        change = self.steps.change(moves, sizes) @ self.metric
        stretch = change @ self.difference / max(float(change @ change), 1e-12)
        other = np.array(
            [np.clip(s * stretch, m.low, m.high) if m.free else s for m, s in zip(moves, sizes, strict=True)]
        )
        return min((sizes, other), key=lambda s: self.left(self.steps.change(moves, s)))

    def table(self, found: list[Chosen], together: int, rng: np.random.Generator) -> pd.DataFrame:
        """One row for each of the moves that were found, with distances over graphs and effects that the fit holds possible."""
        before = float(np.linalg.norm(self.difference))
        after = np.array([self.left(self.steps.change(moves, sizes)) for moves, sizes in found])
        mechanisms, doubt = self.steps.predictor.fit.mechanisms, doubt_of(self.steps.predictor)
        drawn = np.empty((N_DRAWS, len(found)))
        for row in drawn:
            other = doubt.draw(mechanisms, self.steps.state.mean, rng)
            row[:] = [self.left(self.steps.change(moves, sizes, other, rng)) for moves, sizes in found]
        out = pd.DataFrame(
            {
                "intervention": [
                    " + ".join(m.text.format(s) for m, s in zip(moves, sizes, strict=True)) for moves, sizes in found
                ],
                "kind": [" + ".join(move.kind for move in moves) for moves, _ in found],
            }
        )
        for i in range(together):
            end = "" if together == 1 else f"_{i + 1}"
            out[f"name{end}"] = [moves[i].name for moves, _ in found]
            out[f"shift{end}"] = [sizes[i] if moves[i].free else np.nan for moves, sizes in found]
        out["distance_before"], out["distance_after"] = before, after
        out["distance_after_sd"] = np.sqrt(((drawn - after) ** 2).mean(axis=0))
        out["share"] = 1 - after / before
        out["p_closer"] = (drawn < before).mean(axis=0)
        return out


def _search(
    predictor: Predictor,
    start: State,
    goal: State,
    kinds: list[str],
    largest: float,
    rng: np.random.Generator,
    *,
    standardised: bool,
) -> MoveSearch:
    """From what was asked, checked."""
    if start.rows is None:
        raise ValueError("start: expected cells or a context, found means alone; name a population of cells.")
    known, mechanisms = np.isfinite(goal.mean), predictor.fit.mechanisms
    covariance = within_state(start, mechanisms, rng)
    sd = np.sqrt(np.diag(covariance))
    lengths = metric(covariance, known, standardised=standardised)
    difference = np.where(known, goal.mean - start.mean, 0.0) @ lengths
    if np.linalg.norm(difference) < SAME:
        raise ValueError("goal: expected another state than start, found the same means.")
    steps = Steps(predictor, start)
    moves = [move for kind in MOVES if kind in kinds for move in MOVES[kind].every(steps, largest, sd)]
    return MoveSearch(steps, moves, lengths, difference, sd)
