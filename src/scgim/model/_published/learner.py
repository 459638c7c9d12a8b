"""The published estimator as a learner: what goes with it, and its module (layer `model`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from scgim._core.allowed import Allowed
from scgim.model._module.kinds import TRAINED
from scgim.model._published.maps import Gamma
from scgim.model._published.module import PublishedModule

if TYPE_CHECKING:
    from scgim._core.design import Design
    from scgim.model._study.features import Features


class Published:
    """Graph, interventions and maps from features trained together on minibatches :cite:p:`schneider2025`."""

    structure: ClassVar[str] = "gradient"
    argument: ClassVar[str] = "structure"
    searches: ClassVar[bool] = False
    exact: ClassVar[bool] = False
    allows: ClassVar[Allowed] = Allowed(
        interventions=tuple(TRAINED),
        noises=("gaussian",),
        effects_by=False,
        knowledge=False,
        ensembles=False,
        instead="structure='search'",
    )

    @staticmethod
    def module(features: Features | None, *, n_genes: int, design: Design, **settings: Any) -> PublishedModule:
        """The module before it is trained; all shapes follow from the arguments."""
        gamma = Gamma.of(design, features).contexts(design, features)
        return PublishedModule(n_genes, design, gamma, n_cells=int(design.n_cells.sum()), **settings)
