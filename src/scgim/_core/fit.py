"""The result of a fit: mechanisms, graph, targets and effects (layer `_core`)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from scgim._core.arrays import as_log_odds
from scgim._core.effects import Effects, KindFit, strongest
from scgim._core.kinds import KINDS
from scgim._core.kinds.base import Moved
from scgim._core.mechanisms.additive import Mechanisms
from scgim._core.mechanisms.neural import NeuralMechanisms
from scgim._core.posterior.drift import Drift
from scgim._core.posterior.effects.curves import DoseCurves
from scgim._core.posterior.effects.levels import Levels
from scgim._core.posterior.odds import Support
from scgim._core.posterior.regulation.regulators import RegulatorFit
from scgim._core.posterior.responders.penetrance import Penetrance
from scgim._core.state import savable


@savable
@dataclass(frozen=True)
class Graph:
    """The graph over genes, row causes column."""

    weights: np.ndarray  # (G, G) signed edge sizes, in units of the column's gene per unit of the row's gene
    probability: np.ndarray  # (G, G) of every edge


@savable
@dataclass(frozen=True)
class Fit:
    """A fitted generative intervention model.

    Effects are in units of the modelled expression, or of their kind (`scgim._core.kinds`), once `to_expression` was
    called.
    """

    # names, G and D
    genes: tuple[str, ...]
    drugs: tuple[str, ...]
    # what was asked for, as far as it shapes what follows (`intervention`, `structure`), and the prior that was learned
    settings: dict[str, Any]
    graph: Graph  # edge sizes and probabilities
    mechanisms: Mechanisms | NeuralMechanisms  # of the genes
    kinds: tuple[KindFit, ...]  # targets and effects, by kind of intervention
    curves: DoseCurves  # dose curves of the drugs
    drift: Drift  # differences that no target makes
    levels: Levels  # levels between which effects may differ
    history: list[dict[str, Any]]  # one dict for each stage of the search: `stage`, `score`
    # what targets rest on: shifts are weighed against drift and compared between baseline groups; other kinds have odds
    # of their own, see `Support.not_compared`
    support: Support
    regulators: RegulatorFit  # regulators whose activity drugs change; none of them where no network was given
    # share of the cells that responds to each drug; false where it was not asked for
    penetrance: Penetrance = field(default_factory=Penetrance.none)

    @classmethod
    def stored(cls, **fields: Any) -> Fit:
        """From the fields of a file; the first ones hold no support, with the drugs that can be told apart, or regulators."""
        if fields.get("support") is None:
            of_context, _ = strongest([kind.of_context for kind in fields["kinds"]])
            fields["support"] = Support.not_compared(
                as_log_odds(of_context.probability), np.ones(len(fields["drugs"]), dtype=bool)
            )
        if fields.get("regulators") is None:
            fields["regulators"] = RegulatorFit.none(len(fields["drugs"]), len(fields["genes"]))
        return cls(**fields)

    @cached_property
    def _of_context(self) -> tuple[Effects, np.ndarray]:
        return strongest([kind.of_context for kind in self.kinds])

    @cached_property
    def of_drug(self) -> Effects:
        """``(D, G)``; that a drug targets a gene by any kind, and the effect by the most probable one, at full dose."""
        return strongest([kind.of_drug for kind in self.kinds])[0]

    @property
    def of_context(self) -> Effects:
        """``(K, G)``; the same of the fitted contexts."""
        return self._of_context[0]

    @property
    def acting(self) -> Effects:
        """``(D, G)``; what drugs change in single genes, given the graph: at their targets, and where the graph does not hold.

        A shift that an edge should have passed on, and did not, is no target; but predictions along the graph need it
        like one.
        """
        found, past = strongest([kind.change_of_drug for kind in self.kinds])[0], self.drift.past_graph
        if past is None:
            return found
        return replace(found, probability=found.probability + (1 - found.probability) * past)

    @property
    def kind_of_context(self) -> np.ndarray:
        """``(K, G)`` str; the most probable kind in the fitted contexts."""
        return self.kind_names[self._of_context[1]]

    @property
    def kind_names(self) -> np.ndarray:
        """Names of the kinds that were found, in order."""
        return np.array([kind.kind for kind in self.kinds])

    @property
    def regulated(self) -> np.ndarray:
        """``(T, G)``; what an activity of one adds to the genes, of each regulator."""
        return self.regulators.network.effects(len(self.genes)) * self.mechanisms.scale

    def regulated_at(self, dose: np.ndarray) -> np.ndarray:
        """``(m, G)``; what regulators add to the genes at doses ``(m, D)`` of the drugs, in expectation."""
        added = np.zeros((len(dose), len(self.genes)))
        for d in np.flatnonzero(self.regulators.shift.any(axis=1)):
            on = dose[:, d] > 0
            added[on] += np.outer(self.curves.fraction(int(d), dose[on, d]), self.regulators.shift[d])
        return added

    def kind(self, name: str) -> KindFit:
        """What one kind does; nothing where it was not found."""
        for kind in self.kinds:
            if kind.kind == name:
                return kind
        of_drug, of_context = self.kinds[0].of_drug, self.kinds[0].of_context
        return KindFit.shared(name, Effects.none(*of_drug.shape), Effects.none(*of_context.shape))

    def expected(self) -> Moved:
        """Posterior mean of what happens in every fitted context."""
        moved = Moved.nothing(*self.kinds[0].of_context.shape)
        for part in self.kinds:
            kind = KINDS[part.kind]
            where, effect = kind.point(part.of_context)
            context, gene = np.nonzero(where)
            kind.write(moved, (context, gene), effect[context, gene])
        return moved

    def effect_of(
        self, kind: KindFit, drug: int, dose: np.ndarray, *, level: int | None = None, known: Effects | None = None
    ) -> Effects:
        """What one drug does by one kind at doses ``(m,)``, ``(m, G)``.

        With the fraction h of the full effect a, ``mean = h a`` and ``sd^2 = h^2 (s^2 + deviation^2)``, to which every
        axis of what is not known of the curve adds ``(h da + dh a)^2``. Values go from their origin at no dose to the
        full value.

        Parameters
        ----------
        level
            Level of the covariate by which effects differ; None for their mean, known less well.
        known
            ``(G,)``; full effects to take in place of the fitted ones, counted from the origin of the kind.
        """
        of_level = level is not None
        full = kind.at_level[drug, level] if of_level else kind.of_drug[drug]
        if not of_level:
            full = replace(full, sd=np.hypot(full.sd, self.levels.between_sd))
        moves = kind.level_along_curve[:, drug, level] if of_level else kind.along_curve[:, drug]  # (2, G)
        origin = np.zeros(full.mean.shape) if kind.origin is None else kind.origin
        mean, sd = (full.mean - origin, full.sd) if known is None else (known.mean, known.sd)
        probability = np.broadcast_to(full.probability if known is None else known.probability, (len(dose), len(mean)))
        if self.curves.ec50[drug] <= 0:  # no dependence on dose
            return Effects(probability, *(np.broadcast_to(v, probability.shape) for v in (origin + mean, sd)))
        h = self.curves.fraction(drug, dose)[:, None]  # (m, 1)
        variance = h**2 * sd**2 + h**2 * self.curves.deviation_sd**2
        if self.curves.axes[:, drug].any():
            if known is None:
                variance = np.maximum(variance - h**2 * (moves**2).sum(axis=0), 0)
            for (up, down), move in zip(self.curves.ends(drug, dose), moves, strict=True):
                variance = variance + (h * move + 0.5 * (up - down)[:, None] * mean) ** 2
        return Effects(probability, origin + h * mean, np.sqrt(variance))

    def to_expression(self, scale: np.ndarray) -> Fit:
        """From standard deviations of the genes ``(G,)`` to units of the expression, all but mechanisms and graph."""
        return replace(
            self,
            kinds=tuple(kind.scale(KINDS[kind.kind].units(scale)) for kind in self.kinds),
            curves=self.curves.scale(scale),
            drift=self.drift.scale(scale),
            levels=self.levels.scale(scale),
            regulators=self.regulators.scale(scale),
        )
