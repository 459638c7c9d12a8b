"""From a request to the interventions of its rows (layer `model`).

A fitted context keeps its own posterior. Otherwise the drugs of a row superpose: a known drug follows its dose curve, an
unknown one is read from its features.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np

from scgim._core.effects import Effects, strongest
from scgim._core.features.model import FeatureModel
from scgim._core.fit import Fit
from scgim._core.kinds import KINDS
from scgim._core.kinds.shift import Shift
from scgim.model._prediction.components import Components, Part, key_of
from scgim.model._prediction.mixed import Mixed
from scgim.model._prediction.request import Request
from scgim.model._published.maps import AmortisedMaps

if TYPE_CHECKING:
    from scgim.model._study.features import Features
    from scgim.model._study.study import Study

logger = logging.getLogger(__name__)
SHIFT = Shift()
NO_VARIANCE = 1e-12
"""Added to variances, in squared units of the data, before they are inverted."""


@dataclass
class Read:
    """What was read for the rows of a request, each by its own way."""

    found: list[tuple[int, list[Effects]]] = field(default_factory=list)  # row, and its interventions by kind
    drift: list[tuple[int, Effects]] = field(default_factory=list)  # row, and what adds to it beyond targets
    # row, row of features, dose, and label of a drug that is to be read from its features
    asked: list[tuple[int, int, float, int]] = field(default_factory=list)
    mapped: list[int] = field(default_factory=list)  # rows that the maps of the published estimator are asked for
    # of the sum of the drugs, of rows that are read from the fitted drugs alone
    shares: dict[int, float] = field(default_factory=dict)


@dataclass
class Resolver:
    """What a fit says of any perturbation, by drug, dose, level and features."""

    fit: Fit  # the fitted model; effects are in units of the modelled expression
    data: Study  # what was registered
    feature_model: FeatureModel | AmortisedMaps | None = None  # from features to interventions
    # whether predictions of what was not measured are mixed with simple baselines, as far as left-out contexts favour
    # these, and allow for what the model misses at doses nearby
    mixes: bool = True

    @cached_property
    def _fitted(self) -> dict[tuple, np.ndarray]:
        """Contexts of each combination of drugs and doses."""
        table: dict[tuple, list[int]] = {}
        for k, dose in enumerate(self.data.design.dose):
            table.setdefault(key_of(dose), []).append(k)
        return {key: np.array(ks) for key, ks in table.items()}

    def _context(self, key: tuple, group: np.ndarray) -> list[Effects] | None:
        """Posterior ``(G,)`` of a fitted context, by kind and in its units; that of the row's group, else over the groups in which it was measured.

        None where it was not measured, at the row's level if effects differ between levels.
        """
        contexts = self._fitted.get(key)
        if contexts is not None and self.fit.levels.differ:
            level = self._level(group)
            contexts = contexts[self.fit.levels.of_group[self.data.design.group[contexts]] == level]
        if contexts is None or len(contexts) == 0:
            return None
        own = contexts[group[self.data.design.group[contexts]] > 0]
        contexts = own if len(own) else contexts
        out = []
        for kind in self.fit.kinds:
            found = kind.of_context[contexts]
            weight = 1 / (found.sd**2 + NO_VARIANCE)
            total = weight.sum(axis=0)
            mean = (weight * found.mean).sum(axis=0) / total
            out.append(Effects(found.probability.mean(axis=0), mean, np.sqrt(1 / total)))
        return out

    def _level(self, group: np.ndarray) -> int | None:
        """Level of a row with the weights ``(C,)`` of groups; None if effects do not differ, or it is not known."""
        levels = np.unique(self.fit.levels.of_group[group > 0])
        return int(levels[0]) if self.fit.levels.differ and len(levels) == 1 else None

    @cached_property
    def _at_levels(self) -> set[tuple[int, int]]:
        """Drugs and levels that were measured together."""
        context, drug = np.nonzero(self.data.design.dose)
        level = self.fit.levels.of_group[self.data.design.group[context]]
        return set(zip(drug.tolist(), level.tolist(), strict=True))

    def _drug(self, d: int, dose: float, level: int | None) -> list[Effects]:
        """Posterior ``(G,)`` of a known drug at any dose, by kind and in its units; with what its features say, where these are informative.

        At a level where it was measured, its effects there stand as they are. Features say nothing of the kind, so that
        they are left aside where several are weighed.
        """
        features = getattr(self.feature_model, "known", None) if len(self.fit.kinds) == 1 else None
        level = level if level is not None and (d, level) in self._at_levels else None
        known = None
        if features is not None and level is None:
            known = replace(features[d], sd=np.hypot(features.sd[d], self.fit.levels.between_sd))
        out = []
        for kind in self.fit.kinds:
            found = self.fit.effect_of(kind, d, np.array([dose]), level=level, known=known)[0]
            out.append(found if features is None else replace(found, probability=features.probability[d]))
        return out

    @cached_property
    def _share_of_sum(self) -> float:
        """How much of the sum of its drugs a combination that was not measured is given, see `scgim._core.posterior.combine`."""
        learned = self.fit.settings
        share = float(learned.get("combination_share", 1.0))
        if share != 1.0:
            logger.info(
                "new combinations: %.2f of the sum of their drugs; measured ones are predicted with an error of %.3g by it, "
                "of %.3g by the sum, left out in turn",
                share,
                learned["combination_error"],
                learned["combination_error_of_sum"],
            )
        return share

    def _drift(
        self, d: int, dose: float, level: int | None, *, new_context: bool, features: np.ndarray | None = None
    ) -> Effects:
        """What a known drug does beyond its targets, which are those that its `features` leave, if given, ``(G,)``.

        `new_context`: with the differences of a context of its own.
        """
        fraction = float(self.fit.curves.fraction(d, dose))
        small = self.fit.drift.of(d, fraction, level=level, new_context=new_context)
        if features is None or len(self.fit.kinds) > 1:
            return small
        freed = self.fit.of_drug.probability[d] - features
        return replace(small, probability=np.clip(small.probability + freed, 0.0, 1.0))

    def _drift_of_context(self, key: tuple, group: np.ndarray) -> list[Effects]:
        """What a fitted context has beyond targets: small effects of its drugs and, in groups where it was measured, its own."""
        contexts = self._fitted[key]
        weight = group[self.data.design.group[contexts]]
        measured = bool((weight > 0).any())
        level = self._level(group)
        small = [self._drift(d, v, level, new_context=not measured and i == 0) for i, (d, v) in enumerate(key)]
        if len(small) > 1:  # targets of a context are those of all of its drugs
            mean = np.sum([part.expected for part in small], axis=0)
            variance = np.sum([part.probability * part.sd**2 for part in small], axis=0)
            small = [Effects(np.ones(len(mean)), mean, np.sqrt(variance))]
        else:
            small += self._in_groups(int(key[0][0]), float(key[0][1]), group)
        own = self.fit.drift.of_context
        if measured and own is not None:
            of, share = contexts[weight > 0], weight[weight > 0] / weight.sum()
            small.append(Effects(np.ones(own.shape[1]), share @ own.mean[of], np.sqrt(share @ own.sd[of] ** 2)))
        return small

    def _in_groups(self, d: int, dose: float, group: np.ndarray) -> list[Effects]:
        """What a known drug does more in the baseline groups of a row, if these differ."""
        more = self.fit.drift.in_groups(d, float(self.fit.curves.fraction(d, dose)), group)
        return [] if more is None else [more]

    def _between_doses(self, d: int, dose: float) -> list[Effects]:
        """What a known drug does beyond all else at a dose that was not measured, by the doses nearby."""
        contexts, curves = self.data.design.alone(d), self.fit.curves
        height = curves.fraction(d, self.data.design.dose[contexts, d])
        more = self.fit.drift.between_doses(contexts, height, float(curves.fraction(d, dose)))
        return [] if more is None or not self.mixes else [more]

    def _regulated(self, d: int, dose: float) -> list[Effects]:
        """What regulators add to the genes under a known drug; none where no network was given."""
        found = self.fit.regulators
        if not found:
            return []
        fraction = float(self.fit.curves.fraction(d, dose))
        return [Effects(np.ones(len(self.fit.genes)), fraction * found.shift[d], fraction * found.shift_sd[d])]

    def components(self, request: Request, features: np.ndarray | None) -> Components:
        """Interventions of each row of a request.

        Parameters
        ----------
        features
            ``(U, Q)`` of the unknown drugs, or ``(m, Q)`` of the rows, see `read_new_features`.
        """
        read = self._read(request, features)
        of_kind = [[(r, effects[k]) for r, effects in read.found] for k in range(len(self.fit.kinds))]
        of_kind[self._usual] += self._decode(read.asked, features) if read.asked else []
        of_kind[self._usual] += self._amortised(np.array(read.mapped), request, features) if read.mapped else []
        parts = [
            Part.of(KINDS[kind.kind], rows, len(self.fit.genes), kind.origin)
            for kind, rows in zip(self.fit.kinds, of_kind, strict=True)
        ]
        read.drift = read.drift if self.fit.drift.found else []
        drift = read.drift + self._differences(request, read)
        for r, dose in enumerate(request.dose):
            drift += [(r, e) for d, v in key_of(dose) if d < len(self.fit.drugs) for e in self._regulated(d, v)]
        beside = Part.of(SHIFT, drift, len(self.fit.genes))
        responding = self.fit.penetrance.at(request.dose)[0] if self.fit.penetrance else None
        return Components(len(request.table), tuple(parts), beside, responding=responding)

    def _read(self, request: Request, features: np.ndarray | None) -> Read:
        """Every row by the way that is there for it: a fitted context, the published maps, its features, or its drugs."""
        read, labels = Read(), dict[tuple, int]()
        by_row = self.data.features is not None and self.data.features.rows_are == "context"
        for r, dose in enumerate(request.dose):
            key = key_of(dose)
            if not key:
                continue
            new = any(d >= len(self.fit.drugs) for d, _ in key)
            context = None if new else self._context(key, request.group[r])
            if context is not None:
                read.shares[r] = 1.0
                read.found.append((r, context))
                read.drift += [(r, small) for small in self._drift_of_context(key, request.group[r])]
            elif self._maps is not None and (not by_row or features is not None):
                read.mapped.append(r)
            elif new and by_row:  # features of the row describe all of its drugs together
                label = labels.setdefault(tuple(d for d, _ in key), len(labels))
                read.asked.append((r, r, max(v for _, v in key), label))
            else:
                self._read_drugs(r, key, request.group[r], read)
        return read

    def _read_drugs(self, r: int, key: tuple, group: np.ndarray, read: Read) -> None:
        """A row drug by drug: those that were fitted follow their curves, others are asked for by their features."""
        n_known, level = len(self.fit.drugs), self._level(group)
        old = [(d, v) for d, v in key if d < n_known]
        share = self._share_of_sum if len(old) > 1 else 1.0
        effects = [self._drug(d, v, level) for d, v in old]
        read.found += [(r, [e.scale(share) for e in effect]) for effect in effects]
        for i, ((d, v), effect) in enumerate(zip(old, effects, strict=True)):
            small = self._drift(d, v, level, new_context=i == 0, features=effect[0].probability)
            read.drift.append((r, small.scale(share)))
        read.drift += [(r, more.scale(share)) for d, v in old for more in self._in_groups(d, v, group)]
        read.drift += [(r, more) for d, v in old if len(key) == 1 for more in self._between_doses(d, v)]
        read.asked += [(r, d - n_known, v, d) for d, v in key if d >= n_known]
        if len(old) == len(key):
            read.shares[r] = share

    def _differences(self, request: Request, read: Read) -> list[tuple[int, Effects]]:
        """What simple baselines change of rows, see `Mixed`."""
        if not self.mixes or len(self.fit.kinds) > 1:
            return []
        expected = np.zeros((len(request.table), len(self.fit.genes)))
        for r, effects in read.found:
            expected[r] += effects[0].expected
        for r, small in read.drift:
            expected[r] += small.expected
        out = []
        for r, share in read.shares.items():
            key, group = key_of(request.dose[r]), request.group[r]
            contexts = self._fitted.get(key) if self._context(key, group) is not None else None
            more = self._mixed.difference(key, contexts, group, expected[r] / share) if share else None
            out += [] if more is None else [(r, more.scale(share))]
        return out

    @cached_property
    def _mixed(self) -> Mixed:
        return Mixed(self.fit, self.data.design)

    @cached_property
    def _usual(self) -> int:
        """The most frequent kind among the fitted ones, which drugs that are read from features are taken to act by."""
        which = strongest([kind.of_drug for kind in self.fit.kinds])[1]
        return int(np.bincount(which.ravel(), minlength=1).argmax())

    def _decode(
        self, asked: list[tuple[int, int, float, int]], features: np.ndarray | None
    ) -> list[tuple[int, Effects]]:
        """Interventions ``(G,)`` of unknown drugs from their features, in the units of the usual kind."""
        feature_model = self.feature_model
        if feature_model is None or isinstance(feature_model, AmortisedMaps) or features is None:
            raise RuntimeError("model: no map from features was fitted; run train() first.")
        row, source, dose, label = (np.array(column) for column in zip(*asked, strict=True))
        probability, mean, sd = feature_model.decode(features[source], dose, label)
        if self.fit.levels.differ:
            sd = np.hypot(sd, feature_model.fraction(dose)[:, None] * self.fit.levels.between_sd)
        origin = self.fit.kinds[self._usual].origin
        found = Effects(probability, mean if origin is None else origin + mean, sd)
        return [(int(r), found[i]) for i, r in enumerate(row)]

    @property
    def _maps(self) -> AmortisedMaps | None:
        """The maps of the published estimator, or None."""
        return self.feature_model if isinstance(self.feature_model, AmortisedMaps) else None

    def _amortised(self, rows: np.ndarray, request: Request, features: np.ndarray | None) -> list[tuple[int, Effects]]:
        """Interventions of rows by the maps of the published estimator, all drugs of a row together."""
        maps, of = cast("AmortisedMaps", self._maps), cast("Features", self.data.features)
        if of.rows_are == "context":
            table = cast("np.ndarray", features)[rows]
        else:
            known = of.of_drugs(self.data.design.drugs)
            table = known if features is None else np.vstack([known, features])
        found = Effects(*maps.interventions(request.dose[rows], table))
        return [(int(r), found[i]) for i, r in enumerate(rows)]
