"""The published estimator."""

import numpy as np
import pytest
import torch

from scgim.model._module.mechanisms import GENES
from scgim.model._published.maps import Gamma
from scgim.model._published.module import PublishedModule, acyclic_graph, acyclicity, gene_order, gumbel_sigmoid


def test_acyclicity_is_zero_without_cycles_and_grows_with_them():
    chain = torch.tensor([[0.0, 1, 1], [0, 0, 1], [0, 0, 0]])
    assert abs(acyclicity(chain).item()) < 1e-5
    cyclic = chain.clone()
    cyclic[2, 0] = 0.5
    assert acyclicity(cyclic).item() > 0.1


def test_gumbel_sigmoid_has_the_right_frequency_and_a_gradient():
    torch.manual_seed(0)
    logits = torch.full((20000,), 1.0, requires_grad=True)
    sample = gumbel_sigmoid(logits, 0.5)
    assert (0 <= sample).all() and (sample <= 1).all()
    assert abs((sample > 0.5).float().mean().item() - torch.sigmoid(torch.tensor(1.0)).item()) < 0.02
    near = ((sample < 0.1) | (sample > 0.9)).float().mean()
    assert ((gumbel_sigmoid(logits, 0.1) < 0.1) | (gumbel_sigmoid(logits, 0.1) > 0.9)).float().mean() > near
    sample.sum().backward()
    assert logits.grad.abs().sum() > 0


def test_graph_without_cycles_keeps_the_most_probable_edges():
    p = np.array([[0, 0.9, 0.2], [0.6, 0, 0.8], [0.7, 0.1, 0]])
    graph = acyclic_graph(p)
    assert graph[0, 1] and graph[1, 2]
    assert graph.sum() == 2  # 1 -> 0 and 2 -> 0 would close cycles


def test_order_agrees_with_the_graph_and_with_weak_edges():
    p = np.array([[0, 0.9, 0.2], [0.6, 0, 0.8], [0.7, 0.1, 0]])
    assert gene_order(p).tolist() == [0, 1, 2]
    weak = np.zeros((3, 3))
    weak[2, 0] = 0.4
    assert list(gene_order(weak)).index(2) < list(gene_order(weak)).index(0)


@pytest.mark.parametrize("kind", ["linear", "additive", "neural"])
def test_slopes_are_the_derivatives_of_the_mechanisms(kind):
    generator = torch.Generator().manual_seed(0)
    networks = GENES[kind](3, 2, n_hidden=4, generator=generator).double()
    networks.set_parents([[1, 2], [0, 2], [0]], generator)
    with torch.no_grad():
        for name in ("coef", "skip"):
            if hasattr(networks, name):
                getattr(networks, name).normal_(generator=generator)
    u = torch.randn(3, 5, 2, generator=generator, dtype=torch.float64) * networks.mask[:, None]
    gate = torch.rand(3, 5, 2, generator=generator, dtype=torch.float64)
    step = 1e-6
    for parent in range(2):
        up, down = u.clone(), u.clone()
        up[..., parent] += step
        down[..., parent] -= step
        numeric = (networks.evaluate(up, gate) - networks.evaluate(down, gate)).T / (2 * step)
        analytic = networks.slopes(u, gate)[..., parent]
        real = networks.mask[:, parent].bool()
        assert torch.allclose(numeric[real], analytic[real], atol=1e-6)
        assert not analytic[~real].any()


def module_of(design, n_genes=3, **kwargs):
    torch.manual_seed(0)
    return PublishedModule(n_genes, design, Gamma.of(design, None).contexts(design, None), n_cells=80, **kwargs)


@pytest.mark.parametrize("intervention", ["shift", "hard"])
def test_log_determinant_of_a_cycle_is_exact_and_zero_without_one(design, intervention):
    module = module_of(design, intervention=intervention)
    with torch.no_grad():
        module.mechanisms.coef.fill_(0.4)
    z = torch.zeros(4, 3)
    u, gate, none = module.mechanisms.inputs(z), torch.ones(3, 4, 2), torch.zeros(4, 3)
    expected = np.linalg.slogdet(np.eye(3) - 0.4 * (1 - np.eye(3)))[1]
    assert abs(module.log_determinant(u, gate, none).item() - expected) < 1e-5
    one = none.clone()
    one[:, 0] = 1.0  # a hard intervention cuts the parents of gene 0; genes 1 and 2 stay in a cycle
    if intervention == "hard":
        assert abs(module.log_determinant(u, gate, one).item() - np.log(1 - 0.16)) < 1e-5
    module.fix_order()
    assert abs(module.log_determinant(u, gate, none).item()) < 1e-6


def test_fixed_order_leaves_no_cycle_whatever_the_logits(design):
    module = module_of(design, 6)
    with torch.no_grad():
        module.edge_logits.normal_()
    assert acyclicity(module.edge_probability()) > 0
    module.fix_order()
    with torch.no_grad():
        module.edge_logits.fill_(8.0)
    assert abs(acyclicity(module.edge_probability()).item()) < 1e-5
    assert int((module.edge_probability() > 0.5).sum()) == 15  # every pair, in one direction


def test_target_and_strength_of_an_edge_of_known_direction_are_found(design):
    """Gene 0 may act on gene 1 and does; drug a shifts gene 0: after training the edge and the target are found."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    context = np.repeat(np.arange(4), 150)
    x = rng.normal(size=(600, 2))
    x[:, 0] += np.array([0, 1.5, 3.0, 0])[context]
    x[:, 1] = 1.2 * x[:, 0] + 0.4 * x[:, 1]
    module = PublishedModule(2, design, Gamma.of(design, None).contexts(design, None), n_cells=600)
    module.set_scale(x.mean(0), x.std(0))
    module.mechanisms.mask[0] = 0  # gene 1 does not act on gene 0
    batch = {"X": torch.as_tensor(x).float(), "scgim_context": torch.as_tensor(context)[:, None]}
    optimiser = torch.optim.Adam(module.parameters(), lr=2e-2, eps=1e-8)
    for _ in range(200):
        optimiser.zero_grad()
        module(batch)[2].loss.backward()
        optimiser.step()
    edge = module.edge_probability().detach().numpy()
    assert edge[0, 1] > 0.9
    assert edge[1, 0] == 0
    slope = module.mechanisms.coef[1, 0, 0].item() * x[:, 1].std() / x[:, 0].std()
    assert abs(slope - 1.2) < 0.25
    assert module.target_logits()[2, 0] > 0
