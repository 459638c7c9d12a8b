"""The expectation step over all cells, taken over by the module (layer `model`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from scgim.model._module.expectation import expectation
from scgim.model._module.module import GIMModule, as_residuals
from scgim.model._module.residuals import Expectation
from scgim.model._reading.sample import dense_blocks
from scgim.model._study.study import expression_keys

if TYPE_CHECKING:
    pass


def prepare(model: Any, module: GIMModule) -> None:
    """Where minibatches hold expression and covariates."""
    module.expression_keys = tuple(expression_keys(model.study.spec))
    adjustment = model._adjustment()
    if adjustment is not None:
        module.covariate_mean = torch.as_tensor(adjustment.mean, dtype=torch.float32)
        module.covariate_coef = torch.as_tensor(adjustment.coef, dtype=torch.float32)


@torch.no_grad()
def closed_form(model: Any, module: GIMModule, state: Expectation | None) -> Expectation:
    """Expectation step over all cells, taken over by the module."""
    module.eval()
    device = module.loc.device
    sums = torch.zeros(5, len(module.names), module.n_genes, dtype=torch.float64)
    for x, context in dense_blocks(model):
        k = torch.as_tensor(context, device=device)
        z = (torch.as_tensor(x, device=device) - module.loc) / module.scale
        sums += module.residual_sums(z - module.mechanisms(module.seen(z, k)), z, k).to(sums)
    group = module.group.cpu().numpy()
    probability = None if state is None else state.probability
    new = expectation(as_residuals(sums), module.drug_set, group, module.prior, module.kind, probability=probability)
    module.apply_expectation(new)
    return new
