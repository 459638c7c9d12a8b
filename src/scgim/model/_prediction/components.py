"""Interventions that superpose in the rows of a request (layer `model`)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from scgim._core.kinds.cells import Atomic

KINDS = ("shift", "hard", "activity")
Posterior = tuple[np.ndarray, ...]
"""Probability, effect, its standard deviation and kind, ``(G,)`` each."""


@dataclass(frozen=True)
class Components:
    """Interventions that superpose in rows, c of them.

    Attributes
    ----------
    row
        ``(c,)``; row that each acts in.
    probability, effect, effect_sd
        ``(c, G)``; targets, effects given that, and their standard deviations.
    kind
        ``(c, G)``; index into `KINDS`.
    diffuse
        ``(c,)`` bool; small effects beyond the targets, which do not count as targets; no row of them by default.
    second
        ``(c,)`` bool; effects of the kind that is less probable at each gene, which tables do not name; none by default.
    """

    row: np.ndarray
    probability: np.ndarray
    effect: np.ndarray
    effect_sd: np.ndarray
    kind: np.ndarray
    diffuse: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    second: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))

    def __post_init__(self) -> None:
        for name in ("diffuse", "second"):
            if len(getattr(self, name)) < len(self.row):
                object.__setattr__(self, name, np.zeros(len(self.row), bool))

    def slots(self, n_rows: int) -> np.ndarray:
        """Components of each row ``(n_rows, S)``, -1 where a row has fewer."""
        count = np.bincount(self.row, minlength=n_rows)
        out = np.full((n_rows, max(int(count.max(initial=0)), 1)), -1)
        order = np.argsort(self.row, kind="stable")
        slot = np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count)
        out[self.row[order], slot] = order
        return out


def key_of(dose: np.ndarray) -> tuple[tuple[int, float], ...]:
    """Drugs and doses of a row ``(D,)`` as a hashable key; doses to nine digits."""
    return tuple((int(d), float(f"{dose[d]:.9g}")) for d in np.flatnonzero(dose > 0))


def compose(atomic: Atomic, at: tuple[np.ndarray, np.ndarray], effect: np.ndarray, kind: np.ndarray) -> None:
    """Superpose further interventions on those that act already.

    Shifts add; activities multiply; of two hard interventions on one gene the values are averaged.

    Parameters
    ----------
    at
        Rows and genes of t interventions, each pair once.
    effect, kind
        ``(t,)``.
    """
    row, gene = at
    shift, hard, active = (kind == code for code in range(3))
    atomic.shift[row[shift], gene[shift]] += effect[shift]
    if atomic.hard is not None and atomic.value is not None:
        r, g = row[hard], gene[hard]
        atomic.value[r, g] = np.where(atomic.hard[r, g], (atomic.value[r, g] + effect[hard]) / 2, effect[hard])
        atomic.hard[r, g] = True
    if atomic.activity is not None:
        r, g = row[active], gene[active]
        atomic.activity[r, g] = (1 + atomic.activity[r, g]) * (1 + effect[active]) - 1


def nothing(n: int, n_genes: int, kinds: set[int]) -> Atomic:
    """Atomic interventions of n rows in which nothing happens yet."""
    out = Atomic(shift=np.zeros((n, n_genes)))
    if 1 in kinds:
        out.hard, out.value = np.zeros((n, n_genes), bool), np.zeros((n, n_genes))
    if 2 in kinds:
        out.activity = np.zeros((n, n_genes))
    return out
