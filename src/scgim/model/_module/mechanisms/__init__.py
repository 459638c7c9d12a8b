"""Mechanisms of all genes in torch (layer `model`), as those of `scgim._core.mechanisms`, and `GENES` with all of them by name."""

from scgim.model._module.mechanisms.base import GeneMechanisms
from scgim.model._module.mechanisms.basis import AdditiveGenes, LinearGenes
from scgim.model._module.mechanisms.neural import NeuralGenes

GENES: dict[str, type[GeneMechanisms]] = {g.mechanism.name: g for g in (LinearGenes, AdditiveGenes, NeuralGenes)}
