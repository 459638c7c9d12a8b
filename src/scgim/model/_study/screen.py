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
    """The training data of a model."""

    cells: Cells  # registered cells, adjusted for continuous covariates
    design: Design  # drugs, doses, groups and levels of the contexts
    genes: tuple[str, ...]  # names of the G genes
    features: Features | None  # features of drugs or contexts, or None
    knowledge: Knowledge  # what is known of edges and targets
