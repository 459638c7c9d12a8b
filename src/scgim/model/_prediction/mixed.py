"""How predictions of what was not measured differ from those of the model, where left-out contexts favour a simple baseline (layer `model`).

The weights were learned with the fit (`scgim._core.posterior.weighing`); not from the paper.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from scgim._core.effects import Effects
from scgim._core.fit import Fit
from scgim._core.posterior.weighing.left_out import between_doses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scgim._core.design import Design

logger = logging.getLogger(__name__)
DOSES, GROUPS, COMBINATIONS = "new_dose", "new_group", "new_combination"
NAMES = {
    DOSES: "new doses",
    GROUPS: "drugs in baseline groups where they were not measured",
    COMBINATIONS: "combinations",
}


def say_weights(settings: Mapping[str, object]) -> None:
    """A line of the log for each kind of prediction in which a baseline has a part, and for what the model misses."""
    if settings.get("new_dose_missed"):
        logger.info(
            "new doses: %.1f %% of the pairs of drug and gene depart from the model at measured doses, and do so at doses nearby",
            100 * float(str(settings["new_dose_missed"])),
        )
    for of, name in NAMES.items():
        if settings.get(f"{of}_weight", 1.0) != 1.0:
            logger.info(
                "%s: predicted by %.0f %% model and the rest %s; contexts left out are predicted with an error of %.3g by both, of %.3g by "
                "the model, of %.3g by the baseline",
                name,
                100 * float(str(settings[f"{of}_weight"])),
                settings[f"{of}_baseline"],
                *(settings[f"{of}_error{by}"] for by in ("", "_of_model", "_of_baseline")),
            )


@dataclass
class Mixed:
    """Simple baselines beside a fit by shifts, in what is added to the genes, in units of the causal layer."""

    fit: Fit  # the fitted model, whose settings hold the weights
    design: Design  # of the fitted contexts

    @cached_property
    def seen(self) -> np.ndarray:
        """``(K, G)``; what fitted contexts add to the genes, as they were measured up to their sampling error."""
        fit, design, C = self.fit, self.design, len(self.design.group_names)
        out = np.sum([kind.of_context.expected for kind in fit.kinds], axis=0)
        for k, drugs in enumerate(design.present):
            level = int(fit.levels.of_group[design.group[k]]) if fit.levels.differ else None
            for d in np.flatnonzero(drugs).tolist():
                h = float(fit.curves.fraction(d, design.dose[k, d]))
                out[k] = out[k] + fit.drift.of(d, h, level=level, new_context=False).expected
                more = fit.drift.in_groups(d, h, np.eye(C)[design.group[k]]) if design.single[k] else None
                out[k] = out[k] if more is None else out[k] + more.expected
        own = fit.drift.of_context
        return np.asarray(out if own is None else out + own.expected)

    def difference(
        self, key: tuple, contexts: np.ndarray | None, group: np.ndarray, expected: np.ndarray
    ) -> Effects | None:
        """What is added to the model's prediction of a row ``(G,)``; None for nothing.

        Parameters
        ----------
        key
            Drugs and doses.
        contexts
            Fitted ones with these, or None.
        group
            ``(C,)``; weights of the baseline groups.
        expected
            ``(G,)``; what the model adds.
        """
        settings = self.fit.settings
        of = GROUPS if contexts is not None else DOSES if len(key) == 1 else COMBINATIONS
        weight = float(settings.get(f"{of}_weight", 1.0))
        if weight == 1.0 or (of == GROUPS and (group[self.design.group[contexts]] > 0).any()):
            return None
        if contexts is not None:
            base = self.seen[contexts].mean(axis=0)
        else:
            if not all(len(self.design.alone(d)) for d, _ in key):
                return None
            base = np.sum([self._of_drug(d, v, group, str(settings[f"{of}_baseline"])) for d, v in key], axis=0)
        move = (1 - weight) * (base - expected)
        return Effects(np.ones(len(move)), move, np.zeros(len(move)))

    def _of_drug(self, d: int, dose: float, group: np.ndarray, rule: str) -> np.ndarray:
        """Change by one drug at a dose, from the contexts in which it was alone, ``(G,)``."""
        rows = self.design.alone(d)
        own = rows[group[self.design.group[rows]] > 0]
        rows = own if len(own) else rows
        found = between_doses(dose, self.design.dose[rows, d], self.seen[rows])
        return found.get(rule, found["between doses"])
