"""The expectation step over all cells, taken over by the module (layer `model`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from scgim.model._module.expectation import expectation
from scgim.model._module.module import GIMModule, as_residuals
from scgim.model._module.residuals import Expectation
from scgim.model._study.study import expression_keys

if TYPE_CHECKING:
    from scgim.model._reading.cells import Cells


def prepare(cells: Cells, module: GIMModule) -> None:
    """Tells the module where minibatches hold expression, and the slopes of covariates, which it removes itself."""
    module.expression_keys = tuple(expression_keys(cells.spec))
    adjustment = cells.adjustment
    if adjustment is not None:
        module.covariate_mean = torch.as_tensor(adjustment.mean, dtype=torch.float32)
        module.covariate_coef = torch.as_tensor(adjustment.coef, dtype=torch.float32)


@torch.no_grad()
def closed_form(cells: Cells, module: GIMModule, state: Expectation | None) -> Expectation:
    """Expectation step over all cells, taken over by the module."""
    module.eval()
    device = module.loc.device
    sums = torch.zeros(5, len(module.names), module.n_genes, dtype=torch.float64)
    for x, context in cells.dense():
        k = torch.as_tensor(context, device=device)
        z = (torch.as_tensor(x, device=device) - module.loc) / module.scale
        sums += module.residual_sums(z - module.mechanisms(module.seen(z, k)), z, k).to(sums)
    group = module.group.cpu().numpy()
    probability = None if state is None else state.probability
    new = expectation(as_residuals(sums), module.drug_set, group, module.prior, module.kind, probability=probability)
    module.apply_expectation(new)
    return new
