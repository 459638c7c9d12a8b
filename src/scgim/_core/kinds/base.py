"""What a kind of intervention is, and the one form that all of them take in a cell (layer `_core`).

Shift and hard interventions are those of :cite:p:`schneider2025`; changes of activity are not from the paper.
A new kind is a file of this folder and a line in its ``__init__.py``; where mechanisms that are trained shall learn it,
also a class in `scgim.model._module.kinds`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol

import numpy as np

from scgim._core.design import Design
from scgim._core.effects import Effects, KindFit, Together
from scgim._core.moments.moments import Moments
from scgim._core.posterior.drift import Drift
from scgim._core.posterior.effects.curves import Curves
from scgim._core.posterior.evidence import Evidence
from scgim._core.posterior.odds import Support
from scgim._core.posterior.regulation.regulators import RegulatorFit
from scgim._core.posterior.shifts import ShiftsAt
from scgim._core.structure.prior import Prior
from scgim._core.structure.score import ShiftScore

At = tuple[np.ndarray, np.ndarray]
"""Rows and genes of t interventions, ``(t,)`` each, every pair once."""


@dataclass
class Moved:
    """What happens to n rows, cells or contexts, in the form that all kinds of intervention write.

    ``x_j = listen_j (baseline_j + f_j(speak x)) + add_j + noise_j sd_j e_j``, with ``e_j`` standard normal.
    """

    add: np.ndarray  # (n, G) added to the gene
    listen: np.ndarray  # how far the gene follows its mechanism: 1, or 0 where that is cut
    speak: np.ndarray  # what the outgoing effects of the gene are multiplied by
    # what its noise is multiplied by; as `listen` and `speak` `(n, G)`, or `(1, 1)` where nothing happens
    noise: np.ndarray

    @classmethod
    def nothing(cls, n: int, n_genes: int) -> Moved:
        """Rows in which nothing happens yet."""
        return cls.adding(np.zeros((n, n_genes)))

    @classmethod
    def adding(cls, add: np.ndarray) -> Moved:
        """Rows to which `add` ``(n, G)`` is added."""
        return cls(add, np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 1)))

    def of_rows(self, name: Literal["listen", "speak", "noise"]) -> np.ndarray:
        """A part as ``(n, G)``, to write into."""
        part = getattr(self, name)
        if part.shape != self.add.shape:
            part = np.broadcast_to(part, self.add.shape).copy()
            setattr(self, name, part)
        return part

    def rows(self, index: np.ndarray) -> Moved:
        """The same for chosen rows, with repeats allowed."""
        parts = (part if part.shape == (1, 1) else part[index] for part in (self.listen, self.speak, self.noise))
        return Moved(self.add[index], *parts)

    def keeping_noise(self) -> Moved:
        """The same where also a gene whose mechanism is cut has its noise."""
        return replace(self, noise=np.ones((1, 1)))

    @property
    def only_adds(self) -> bool:
        """Whether every mechanism is as it was, so that effects add up."""
        return bool((self.listen == 1).all() and (self.speak == 1).all())

    @property
    def hides_noise(self) -> bool:
        """Whether the noise of some gene cannot be read from what it is."""
        return bool((self.listen == 0).any())


def column(part: np.ndarray, j: int) -> np.ndarray:
    """Gene j of a part of `Moved`, ``(n,)`` or ``(1,)``."""
    return part[:, j if part.shape[1] > 1 else 0]


class Kind(Protocol):
    """A kind of intervention."""

    name: str  # as tables name it
    # whether its effects add to the expression, so that those of linear systems are exact in expectation
    additive: bool
    together: Together  # what becomes of effects of several drugs at one gene, see `Effects.superpose`
    # of what second moments are needed beside the pooled ones: of no one's, of each set of drugs, or of each context
    scatter: Literal["none", "drug_set", "context"]
    # whether parents can be scored with its effects integrated out, so that the graph is found by one search over
    # orders; else graph and interventions are learned in turn
    scored: bool

    def units(self, scale: np.ndarray) -> np.ndarray:
        """What an effect of one is in units of the expression ``(G,)``, for genes with these standard deviations."""

    def point(self, effects: Effects) -> tuple[np.ndarray, np.ndarray]:
        """Where a single best intervention acts, and what it does: bool and values of the shape of the effects."""

    def write(self, moved: Moved, at: At, effect: np.ndarray) -> None:
        """Superposes effects ``(t,)`` on what happens already."""


class Learned(NamedTuple):
    """What is known of a kind once the graph is: everything in standard deviations of the genes."""

    kind: KindFit
    curves: Curves
    drift: Drift
    support: Support
    regulators: RegulatorFit | None = None  # where a network of them was given
    settings: Mapping[str, float | str] = {}  # what was learned of all drugs and genes together
    baseline: np.ndarray | None = None  # (C, G) to be added to the baselines, where these were found to be off


class ScoredKind(Kind, Protocol):
    """A kind that `scored`."""

    def score(self, moments: Moments, design: Design, prior: Prior) -> ShiftScore:
        """Scores of parents, with the effects of this kind integrated out."""

    def posterior(
        self,
        evidence: Evidence,
        own: np.ndarray,
        design: Design,
        prior: Prior,
        known: np.ndarray | None,
        shifts: ShiftsAt,
    ) -> Learned:
        """Targets and effects given the mechanisms.

        Parameters
        ----------
        own
            ``(K, G)``; means of the genes themselves, in standard deviations, counted from an expression of zero.
        known
            ``(D, G)``; 1 for known targets, 0 for known others, NaN where nothing is known; or None.
        shifts
            What mechanisms leave of the means, for given fractions of the full effects.
        """
