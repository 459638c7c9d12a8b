"""What the trainer is told reaches it: mixed precision and accumulated gradients."""

import numpy as np
import pytest
import torch

import systems
from scgim.model import GIM
from scgim.model._module.module import mean_loss
from scgim.model._reading.keys import WEIGHT_KEY

QUIET = {"accelerator": "cpu", "devices": 1, "enable_progress_bar": False, "rng": 0, "batch_size": 64}


@pytest.fixture(scope="module")
def cells():
    return systems.simulated(n_genes=4, mechanism="neural", n_drugs=5, n_cells=20, new_doses=())


def trained(cells, **kwargs):
    adata = cells.copy()
    GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="control")
    model = GIM(adata, mechanism="neural")
    model.train(max_epochs=4, **QUIET, **kwargs)
    return model


def test_mixed_precision_and_accumulation_reach_the_trainer(cells):
    plain = trained(cells)
    mixed = trained(cells, precision="bf16-mixed", accumulate_grad_batches=2)
    batches = plain.trainer.num_training_batches
    assert mixed.trainer.precision == "bf16-mixed"
    assert plain.trainer.global_step == 4 * batches
    assert mixed.trainer.global_step == 4 * -(-batches // 2)
    last = [float(np.asarray(m.history["validation_loss"]).ravel()[-1]) for m in (plain, mixed)]
    assert last[1] == pytest.approx(last[0], abs=0.05)
    assert np.array_equal(plain.fitted.graph.weights != 0, mixed.fitted.graph.weights != 0)
    np.testing.assert_allclose(mixed.fitted.mechanisms.noise_sd, plain.fitted.mechanisms.noise_sd, rtol=0.05)
    assert all(p.dtype == torch.float32 for p in mixed.module.parameters())  # only the passes are short


def test_weights_of_cells_enter_the_loss_and_the_sums(cells):
    loss = torch.tensor([1.0, 2.0, 6.0])
    assert float(mean_loss(loss, {})) == 3.0
    assert float(mean_loss(loss, {WEIGHT_KEY: torch.tensor([[2.0], [0.5], [0.5]])})) == 2.0
    adata = cells.copy()
    GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="control")
    module = GIM(adata).module
    z = torch.randn(6, 4)
    context = torch.tensor([0, 0, 1, 1, 1, 1])
    twice = torch.cat([torch.arange(6), torch.tensor([2, 3, 4, 5])])
    weight = torch.tensor([3.0, 3.0, 0.5, 0.5, 0.5, 0.5])[:, None]
    once = module.residual_sums(z, z, context)
    again = module.residual_sums(z[twice], z[twice], context[twice], weight[twice])
    assert torch.allclose(once, again)  # repeats share their weight; no cell counts more than once
