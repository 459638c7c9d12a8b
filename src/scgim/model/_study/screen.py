"""What a stage of training learns from: cells, who got what, and what is known (layer `model`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scgim._core.design import Design
    from scgim.model._reading.cells import Cells
    from scgim.model._study.features import Features
    from scgim.model._study.knowledge import Knowledge


@dataclass(frozen=True)
class Screen:
    """The training data of a model.

    Attributes
    ----------
    cells
        Registered cells, adjusted for continuous covariates.
    design
        Drugs, doses, groups and levels of the contexts.
    genes
        Names of the G genes.
    features
        Features of drugs or contexts, or None.
    knowledge
        What is known of edges and targets.
    """

    cells: Cells
    design: Design
    genes: tuple[str, ...]
    features: Features | None
    knowledge: Knowledge
