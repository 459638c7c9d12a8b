"""What a fit says of contexts and drugs that it knows, in any row (layer `model`)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from scgim._core.effects import Effects
from scgim._core.fit import Fit
from scgim.model._prediction.components import Key, key_of

if TYPE_CHECKING:
    from scgim._core.design import Design
    from scgim._core.features import FeatureModel

logger = logging.getLogger(__name__)
NO_VARIANCE = 1e-12
"""Added to variances, in squared units of the data, before they are inverted."""


@dataclass
class Known:
    """Fitted contexts, and drugs at any dose and level; `group` are the weights ``(C,)`` of a row's baseline groups."""

    fit: Fit  # effects are in units of the modelled expression
    design: Design  # of the fitted contexts
    features: FeatureModel | None  # what the features of drugs say, or None

    @cached_property
    def contexts(self) -> Mapping[Key, np.ndarray]:
        """Contexts of each combination of drugs and doses."""
        table: dict[Key, list[int]] = {}
        for context, dose in enumerate(self.design.dose):
            table.setdefault(key_of(dose), []).append(context)
        return {key: np.array(contexts) for key, contexts in table.items()}

    def context(self, key: Key, group: np.ndarray) -> list[Effects] | None:
        """Posterior ``(G,)`` of a fitted context, by kind and in its units; that of the row's group, else over the groups in which it was measured.

        None where it was not measured, at the row's level if effects differ between levels.
        """
        contexts = self.contexts.get(key)
        if contexts is not None and self.fit.levels.differ:
            contexts = contexts[self.fit.levels.of_group[self.design.group[contexts]] == self.level(group)]
        if contexts is None or len(contexts) == 0:
            return None
        own = contexts[group[self.design.group[contexts]] > 0]
        contexts = own if len(own) else contexts
        out = []
        for kind in self.fit.kinds:
            found = kind.of_context[contexts]
            weight = 1 / (found.sd**2 + NO_VARIANCE)
            total = weight.sum(axis=0)
            mean = (weight * found.mean).sum(axis=0) / total
            out.append(Effects(found.probability.mean(axis=0), mean, np.sqrt(1 / total)))
        return out

    def level(self, group: np.ndarray) -> int | None:
        """Level of a row; None if effects do not differ, or it is not known."""
        levels = np.unique(self.fit.levels.of_group[group > 0])
        return int(levels[0]) if self.fit.levels.differ and len(levels) == 1 else None

    @cached_property
    def _at_levels(self) -> set[tuple[int, int]]:
        """Drugs and levels that were measured together."""
        context, drug = np.nonzero(self.design.dose)
        level = self.fit.levels.of_group[self.design.group[context]]
        return set(zip(drug.tolist(), level.tolist(), strict=True))

    def drug(self, drug: int, dose: float, level: int | None) -> list[Effects]:
        """Posterior ``(G,)`` of a drug at any dose, by kind and in its units; with what its features say, where these are informative.

        At a level where it was measured, its effects there stand as they are. Features say nothing of the kind, so that
        they are left aside where several are weighed.
        """
        features = self.features.known if self.features is not None and len(self.fit.kinds) == 1 else None
        level = level if level is not None and (drug, level) in self._at_levels else None
        said = None
        if features is not None and level is None:
            said = replace(features[drug], sd=np.hypot(features.sd[drug], self.fit.levels.between_sd))
        out = []
        for kind in self.fit.kinds:
            found = self.fit.effect_of(kind, drug, np.array([dose]), level=level, known=said)[0]
            out.append(found if features is None else replace(found, probability=features.probability[drug]))
        return out

    @cached_property
    def share_of_sum(self) -> float:
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

    def drift(
        self, drug: int, dose: float, level: int | None, *, new_context: bool, targets: np.ndarray | None = None
    ) -> Effects:
        """What a drug does beyond its targets ``(G,)``; `targets`: their probabilities where features have a say in these.

        `new_context`: with the differences of a context of its own.
        """
        fraction = float(self.fit.curves.fraction(drug, dose))
        small = self.fit.drift.of(drug, fraction, level=level, new_context=new_context)
        if targets is None or len(self.fit.kinds) > 1:
            return small
        freed = self.fit.of_drug.probability[drug] - targets
        return replace(small, probability=np.clip(small.probability + freed, 0.0, 1.0))

    def drift_of_context(self, key: Key, group: np.ndarray) -> list[Effects]:
        """What a fitted context has beyond targets: small effects of its drugs and, in groups where it was measured, its own."""
        contexts = self.contexts[key]
        weight = group[self.design.group[contexts]]
        measured = bool((weight > 0).any())
        level = self.level(group)
        small = [
            self.drift(drug, dose, level, new_context=not measured and first == 0)
            for first, (drug, dose) in enumerate(key)
        ]
        if len(small) > 1:  # targets of a context are those of all of its drugs
            mean = np.sum([part.expected for part in small], axis=0)
            variance = np.sum([part.probability * part.sd**2 for part in small], axis=0)
            small = [Effects(np.ones(len(mean)), mean, np.sqrt(variance))]
        else:
            small += self.in_groups(*key[0], group)
        own = self.fit.drift.of_context
        if measured and own is not None:
            of, share = contexts[weight > 0], weight[weight > 0] / weight.sum()
            small.append(Effects(np.ones(own.shape[1]), share @ own.mean[of], np.sqrt(share @ own.sd[of] ** 2)))
        return small

    def in_groups(self, drug: int, dose: float, group: np.ndarray) -> list[Effects]:
        """What a drug does more in the baseline groups of a row, if these differ."""
        more = self.fit.drift.in_groups(drug, float(self.fit.curves.fraction(drug, dose)), group)
        return [] if more is None else [more]

    def between_doses(self, drug: int, dose: float) -> list[Effects]:
        """What a drug does beyond all else at a dose that was not measured, by the doses nearby."""
        contexts, curves = self.design.alone(drug), self.fit.curves
        height = curves.fraction(drug, self.design.dose[contexts, drug])
        more = self.fit.drift.between_doses(contexts, height, float(curves.fraction(drug, dose)))
        return [] if more is None else [more]

    def regulated(self, drug: int, dose: float) -> list[Effects]:
        """What regulators add to the genes under a drug; none where no network was given."""
        found = self.fit.regulators
        if not found:
            return []
        fraction = float(self.fit.curves.fraction(drug, dose))
        return [Effects(np.ones(len(self.fit.genes)), fraction * found.shift[drug], fraction * found.shift_sd[drug])]
