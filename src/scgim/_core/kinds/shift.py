"""Shift interventions: a drug adds to the expression of its targets :cite:p:`schneider2025` (layer `_core`)."""

from __future__ import annotations

from typing import Literal

import numpy as np

from scgim._core.design import Design
from scgim._core.effects import Effects
from scgim._core.kinds.base import At, Learned, Moved
from scgim._core.moments.moments import Moments
from scgim._core.posterior.curves import fit_dose_curves
from scgim._core.posterior.drift import fit_drift
from scgim._core.posterior.evidence import Evidence
from scgim._core.posterior.targets import fit_targets
from scgim._core.structure.prior import Prior
from scgim._core.structure.score import ShiftScore


class Shift:
    """``x_j = baseline_j + f_j(x) + effect + noise``."""

    name = "shift"
    additive = True
    scatter: Literal["none", "drug_set", "context"] = "none"
    scored = True

    def units(self, scale: np.ndarray) -> np.ndarray:
        """Those of the expression."""
        return scale

    def point(self, effects: Effects) -> tuple[np.ndarray, np.ndarray]:
        """The posterior mean, wherever a target is possible."""
        return effects.probability > 0, effects.expected

    def write(self, moved: Moved, at: At, effect: np.ndarray) -> None:
        """Shifts add up."""
        moved.add[at] += effect

    def score(self, moments: Moments, design: Design, prior: Prior) -> ShiftScore:
        """Exact, with shifts integrated out."""
        return ShiftScore(moments, design.drug_set, design.group, prior)

    def posterior(
        self, evidence: Evidence, own: np.ndarray, design: Design, prior: Prior, known: np.ndarray | None
    ) -> Learned:
        """Dose curves, targets along them, and small effects beyond the targets."""
        residual, error = evidence.residual, evidence.error
        curves = fit_dose_curves(residual, error, evidence.on(design), design, p_target=prior.p_target)
        kind = fit_targets(residual, error, design, curves, prior.p_target, known=known)
        fraction, targets = curves.fraction(design.dose), kind.of_drug.probability
        drift = fit_drift(residual, error, design, fraction, targets, prior.background_sd)
        return Learned(kind, curves, drift)
