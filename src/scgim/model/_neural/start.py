"""Parents and first weights of neural mechanisms, from the graph of the search (layer `model`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from scgim._core.fit import Fit
from scgim._core.structure.prior import Prior
from scgim.model._module.mechanisms.neural import NeuralGenes
from scgim.model._module.module import GIMModule
from scgim.model._neural.batch import Batch, Sample
from scgim.model._neural.parents import NeuralStart, search_parents

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scgim.model._study.screen import Screen

SEARCH_CELLS = 20_000  # cells on which the parents of neural mechanisms are searched


def neural_cells(screen: Screen, module: GIMModule, fit: Fit, held: np.ndarray, rng: np.random.Generator) -> Sample:
    """Standardised cells on which networks are searched, without those held out."""
    module.set_scale(fit.mechanisms.loc, fit.mechanisms.scale)
    x, context = screen.cells.sample(SEARCH_CELLS, rng, held)
    z = torch.as_tensor((x - module.loc.cpu().numpy()) / module.scale.cpu().numpy())
    k = torch.as_tensor(context)
    seen = module.seen(z, k) if module.scaled else None
    return Sample(z, k, module.drug_set, screen.design.group, module.kind, seen)


def start_networks(
    prior: Prior,
    module: GIMModule,
    cells: Sample,
    order: np.ndarray,
    parents: Sequence[Any],
    rng: np.random.Generator,
    progress: Callable[[str, float], None] | None,
) -> NeuralStart:
    """Parents and first weights of neural mechanisms, from another graph, such as that of the additive engine."""
    networks = networks_of(module)
    start = search_parents(
        cells,
        order,
        [np.asarray(pa, dtype=int) for pa in parents],
        prior=prior,
        max_parents=networks.mask.shape[1],
        n_hidden=networks.bias.shape[1],
        seed=int(rng.integers(2**31)),
        progress=progress,
    )
    load_networks(module, start.batch)
    return start


def networks_of(module: GIMModule) -> NeuralGenes:
    """The mechanisms of a module of networks."""
    if not isinstance(module.mechanisms, NeuralGenes):
        raise TypeError(f"module: expected neural mechanisms, found {module.mechanism!r}.")
    return module.mechanisms


def load_networks(module: GIMModule, batch: Batch) -> None:
    """Networks of all genes, with their expectation step, as the mechanisms of the module."""
    source, target = batch.networks, networks_of(module)
    target.set_parents(batch.parents)
    target.set_hinges(source.n_hinges())
    with torch.no_grad():
        width = min(source.mask.shape[1], target.mask.shape[1])
        target.inner[:, :width], target.skip[:, :width] = source.inner[:, :width], source.skip[:, :width]
        target.bias.copy_(source.bias)
        target.outer.copy_(source.outer)
    module.apply_expectation(batch.state)


def edge_probability(fit: Fit, start: NeuralStart, parents: list[np.ndarray]) -> np.ndarray:
    """Edge probabilities ``(G, G)``: of the search over networks where it tested an edge, else of the fit before."""
    tested = ~np.isnan(start.edge_probability)
    probability = np.where(tested, start.edge_probability, fit.graph.probability)
    edges = np.zeros(probability.shape, dtype=bool)
    for j, pa in enumerate(parents):
        edges[pa, j] = True
    return np.where(edges, np.maximum(probability, 0.5), np.minimum(probability, 0.5))
