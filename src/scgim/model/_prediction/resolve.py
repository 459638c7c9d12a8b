"""From a request to the interventions of its rows (layer `model`).

A fitted context keeps its own posterior. Otherwise the drugs of a row superpose: a known drug follows its dose curve, an
unknown one is read from its features.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from scgim._core.effects import Effects, strongest
from scgim._core.fit import Fit
from scgim._core.kinds import KINDS
from scgim._core.kinds.shift import Shift
from scgim.model._prediction.components import Components, Key, Part, key_of
from scgim.model._prediction.known import Known
from scgim.model._prediction.mixed import Mixed
from scgim.model._prediction.request import Request
from scgim.model._published.maps import AmortisedMaps

if TYPE_CHECKING:
    from scgim._core.features import FeatureModel
    from scgim.model._study.features import Features
    from scgim.model._study.study import Study

SHIFT = Shift()
InRow = tuple[int, Effects]
"""A row, and something that happens in it ``(G,)``."""


class Unread(NamedTuple):
    """A drug that is to be read from its features."""

    row: int
    source: int  # row of the table of features
    dose: float
    label: int  # the same for doses of one drug


@dataclass
class Read:
    """What was read for the rows of a request, each by its own way."""

    found: list[tuple[int, list[Effects]]] = field(default_factory=list)  # row, and its interventions by kind
    drift: list[InRow] = field(default_factory=list)  # what adds to a row beyond targets
    unread: list[Unread] = field(default_factory=list)
    mapped: list[int] = field(default_factory=list)  # rows that the maps of the published estimator are asked for
    # of the sum of the drugs, of rows that are read from the fitted drugs alone
    shares: dict[int, float] = field(default_factory=dict)


@dataclass
class Resolver:
    """What a fit says of any perturbation, by drug, dose, level and features."""

    fit: Fit  # the fitted model; effects are in units of the modelled expression
    data: Study  # what was registered
    feature_model: FeatureModel | AmortisedMaps | None = None  # map from features to interventions, or None
    # whether predictions of what was not measured are mixed with simple baselines, as far as left-out contexts favour
    # these, and allow for what the model misses at doses nearby
    mixes: bool = True

    @property
    def _learned(self) -> FeatureModel | None:
        """The map that was learned from the fitted drugs, or None."""
        return None if isinstance(self.feature_model, AmortisedMaps) else self.feature_model

    @property
    def _maps(self) -> AmortisedMaps | None:
        """The maps of the published estimator, or None."""
        return self.feature_model if isinstance(self.feature_model, AmortisedMaps) else None

    @cached_property
    def _known(self) -> Known:
        return Known(self.fit, self.data.design, self._learned)

    @cached_property
    def _mixed(self) -> Mixed:
        return Mixed(self.fit, self.data.design)

    @cached_property
    def _usual(self) -> int:
        """The most frequent kind among the fitted ones, which drugs that are read from features are taken to act by."""
        which = strongest([kind.of_drug for kind in self.fit.kinds])[1]
        return int(np.bincount(which.ravel(), minlength=1).argmax())

    def components(self, request: Request, features: np.ndarray | None) -> Components:
        """Interventions of each row of a request.

        Parameters
        ----------
        features
            ``(U, Q)`` of the unknown drugs, or ``(m, Q)`` of the rows, see `read_new_features`.
        """
        read = self._read(request, features)
        of_kind = [[(row, effects[kind]) for row, effects in read.found] for kind in range(len(self.fit.kinds))]
        of_kind[self._usual] += self._decode(read.unread, features) if read.unread else []
        of_kind[self._usual] += self._amortised(np.array(read.mapped), request, features) if read.mapped else []
        parts = [
            Part.of(KINDS[kind.kind], rows, len(self.fit.genes))
            for kind, rows in zip(self.fit.kinds, of_kind, strict=True)
        ]
        read.drift = read.drift if self.fit.drift.found else []
        drift = read.drift + self._differences(request, read) + self._regulated(request)
        beside = Part.of(SHIFT, drift, len(self.fit.genes))
        responding = self.fit.penetrance.at(request.dose)[0] if self.fit.penetrance else None
        return Components(len(request.table), tuple(parts), beside, responding=responding)

    def _read(self, request: Request, features: np.ndarray | None) -> Read:
        """Every row by the way that is there for it: a fitted context, the published maps, its features, or its drugs."""
        read, labels = Read(), dict[tuple[int, ...], int]()
        by_row = self.data.features is not None and self.data.features.rows_are == "context"
        for row, (dose, group) in enumerate(zip(request.dose, request.group, strict=True)):
            key = key_of(dose)
            if not key:
                continue
            drugs = tuple(drug for drug, _ in key)
            new = max(drugs) >= len(self.fit.drugs)
            context = None if new else self._known.context(key, group)
            if context is not None:
                read.shares[row] = 1.0
                read.found.append((row, context))
                read.drift += [(row, small) for small in self._known.drift_of_context(key, group)]
            elif self._maps is not None and (not by_row or features is not None):
                read.mapped.append(row)
            elif new and by_row:  # features of the row describe all of its drugs together
                label = labels.setdefault(drugs, len(labels))
                read.unread.append(Unread(row, row, max(amount for _, amount in key), label))
            else:
                self._read_drugs(row, key, group, read)
        return read

    def _read_drugs(self, row: int, key: Key, group: np.ndarray, read: Read) -> None:
        """A row drug by drug: those that were fitted follow their curves, others are asked for by their features."""
        known, n_known, level = self._known, len(self.fit.drugs), self._known.level(group)
        old = [(drug, dose) for drug, dose in key if drug < n_known]
        share = known.share_of_sum if len(old) > 1 else 1.0
        for first, (drug, dose) in enumerate(old):
            effects = known.drug(drug, dose, level)
            read.found.append((row, [effect.scale(share) for effect in effects]))
            small = known.drift(drug, dose, level, new_context=first == 0, targets=effects[0].probability)
            read.drift.append((row, small.scale(share)))
        for drug, dose in old:
            read.drift += [(row, more.scale(share)) for more in known.in_groups(drug, dose, group)]
        if self.mixes and len(old) == len(key) == 1:
            read.drift += [(row, more) for more in known.between_doses(*old[0])]
        read.unread += [Unread(row, drug - n_known, dose, drug) for drug, dose in key if drug >= n_known]
        if len(old) == len(key):
            read.shares[row] = share

    def _differences(self, request: Request, read: Read) -> list[InRow]:
        """What simple baselines change of rows, see `Mixed`."""
        if not self.mixes or len(self.fit.kinds) > 1:
            return []
        expected = np.zeros((len(request.table), len(self.fit.genes)))
        for row, effects in read.found:
            expected[row] += effects[0].expected
        for row, small in read.drift:
            expected[row] += small.expected
        out = []
        for row, share in read.shares.items():
            key, group = key_of(request.dose[row]), request.group[row]
            contexts = self._known.contexts.get(key) if self._known.context(key, group) is not None else None
            more = self._mixed.difference(key, contexts, group, expected[row] / share) if share else None
            out += [] if more is None else [(row, more.scale(share))]
        return out

    def _regulated(self, request: Request) -> list[InRow]:
        """What regulators add to rows under known drugs."""
        return [
            (row, more)
            for row, doses in enumerate(request.dose)
            for drug, dose in key_of(doses)
            if drug < len(self.fit.drugs)
            for more in self._known.regulated(drug, dose)
        ]

    def _decode(self, unread: list[Unread], features: np.ndarray | None) -> list[InRow]:
        """Interventions of unknown drugs from their features, in the units of the usual kind."""
        if self._learned is None or features is None:
            raise RuntimeError("model: no map from features was fitted; run train() first.")
        row, source, dose, label = (np.array(column) for column in zip(*unread, strict=True))
        probability, mean, sd = self._learned.decode(features[source], dose, label)
        if self.fit.levels.differ:
            sd = np.hypot(sd, self._learned.fraction(dose)[:, None] * self.fit.levels.between_sd)
        origin = self.fit.kinds[self._usual].origin
        found = Effects(probability, mean if origin is None else origin + mean, sd)
        return [(int(at), found[i]) for i, at in enumerate(row)]

    def _amortised(self, rows: np.ndarray, request: Request, features: np.ndarray | None) -> list[InRow]:
        """Interventions of rows by the maps of the published estimator, all drugs of a row together."""
        maps, of = cast("AmortisedMaps", self._maps), cast("Features", self.data.features)
        if of.rows_are == "context":
            table = cast("np.ndarray", features)[rows]
        else:
            known = of.of_drugs(self.data.design.drugs)
            table = known if features is None else np.vstack([known, features])
        found = Effects(*maps.interventions(request.dose[rows], table))
        return [(int(row), found[i]) for i, row in enumerate(rows)]
