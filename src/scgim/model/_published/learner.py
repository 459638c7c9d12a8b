"""The published estimator as a learner: what goes with it (layer `model`)."""

from __future__ import annotations

from typing import ClassVar

from scgim._core.allowed import Allowed


class Published:
    """Graph, interventions and maps from features trained together on minibatches :cite:p:`schneider2025`."""

    structure: ClassVar[str] = "gradient"
    argument: ClassVar[str] = "structure"
    searches: ClassVar[bool] = False
    exact: ClassVar[bool] = False
    allows: ClassVar[Allowed] = Allowed(
        interventions=("shift", "hard"),
        noises=("gaussian",),
        effects_by=False,
        knowledge=False,
        ensembles=False,
        instead="structure='search'",
    )
