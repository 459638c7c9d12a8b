"""Batched mechanisms against one gene at a time."""

import numpy as np
import pytest
import torch

from scgim._core.mechanisms import MECHANISMS
from scgim._core.mechanisms.neural import activate, activation_slope
from scgim.model._module.mechanisms import GENES, LinearGenes
from scgim.model._module.mechanisms.neural import NeuralGenes


def fill(net, rng):
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.as_tensor(rng.normal(size=parameter.shape)))


@pytest.mark.parametrize("kind", ["linear", "additive", "neural"])
def test_batched_networks_are_those_of_one_gene_at_a_time(kind):
    rng = np.random.default_rng(0)
    parents = [np.array([1, 2]), np.array([], int), np.array([0])]
    net = GENES[kind](3, 3, n_hidden=5)
    net.set_parents(parents)
    fill(net, rng)
    z = rng.normal(size=(7, 3)).astype(np.float32)
    out = net(torch.as_tensor(z)).detach().numpy()
    p = {k: v.detach().numpy() for k, v in net.named_parameters()}
    for j, pa in enumerate(parents):
        columns = slice(0, len(pa))
        if len(pa) == 0 and kind != "neural":
            expected = np.zeros(len(z))
        elif kind == "neural":
            hidden = np.tanh(z[:, pa] @ p["inner"][j, columns] + p["bias"][j])
            expected = hidden @ p["outer"][j] + z[:, pa] @ p["skip"][j, columns]
        else:
            expected = np.einsum("npb,pb->n", MECHANISMS[kind].functions(z[:, pa]), p["coef"][j, columns])
        assert np.allclose(out[:, j], expected, atol=1e-4)


def test_hinges_are_those_of_plain_arrays_and_come_back_from_them():
    net = NeuralGenes(3, 2, n_hidden=6)
    net.set_parents([[1], [0, 2], []])
    n = np.array([3, 0, 2])
    net.set_hinges(n)
    a = torch.randn(3, 5, 6)
    for j in range(3):
        np.testing.assert_allclose(net.activate(a)[j], activate(a[j].numpy(), n[j]), atol=1e-6)
        np.testing.assert_allclose(net.activation_slope(a)[j], activation_slope(a[j].numpy(), n[j]), atol=1e-6)
    one = np.ones(3)
    plain = net.to_fit(np.array([2, 0, 1]), np.zeros((1, 3)), one, 0 * one, one, np.zeros((3, 3)))
    np.testing.assert_array_equal(plain.n_hinges, n)
    again = NeuralGenes(3, 2, n_hidden=6)
    again.from_fit(plain)
    z = torch.randn(7, 3)
    assert torch.allclose(again(z), net(z), atol=1e-5)


@pytest.mark.parametrize("kind", ["linear", "additive", "neural"])
def test_padding_is_left_out_and_follows_the_mask(kind):
    net = GENES[kind](3, 6, n_hidden=5)
    net.set_parents([[1, 2], [], [0]])
    fill(net, np.random.default_rng(1))
    z = torch.randn(7, 3)
    assert net.n_used() == 2
    assert torch.allclose(net(z), net.evaluate(net.inputs(z)), atol=1e-5)
    with torch.inference_mode():
        assert torch.allclose(net(z), net.evaluate(net.inputs(z)), atol=1e-5)
    net.mask[0, 4] = 1.0
    assert net.n_used() == 5
    assert torch.allclose(net(z), net.evaluate(net.inputs(z)), atol=1e-5)
    net.mask.zero_()
    assert net.n_used() == 1
    assert torch.allclose(net(z), net.evaluate(net.inputs(z)), atol=1e-5)


def test_masked_parents_have_no_gradient():
    net = NeuralGenes(2, 3)
    net.set_parents([[1], []])
    net(torch.randn(10, 2)).square().sum().backward()
    assert net.inner.grad[0, 1:].abs().max() == 0
    assert net.inner.grad[1].abs().max() == 0


def test_cost_grows_with_candidates_and_not_with_genes_squared():
    net = NeuralGenes(500, 4, n_hidden=8)
    assert sum(p.numel() for p in net.parameters()) < 500 * 100


def test_too_many_parents_are_refused():
    net = LinearGenes(3, 1)
    with pytest.raises(ValueError, match="max_parents: expected at least 2"):
        net.set_parents([[1, 2], [], []])


def test_networks_ask_for_more_epochs_and_smaller_batches():
    assert LinearGenes.n_epochs(9000) == 0
    assert NeuralGenes.n_epochs(10**6) == 5
    assert NeuralGenes.n_epochs(9000) > 20
    assert NeuralGenes.largest_batch < LinearGenes.largest_batch
