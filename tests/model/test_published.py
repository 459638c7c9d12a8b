"""The published estimator."""

import numpy as np
import pytest
import torch

import scgim
from scgim._core.design import Design
from scgim.model import GIM
from scgim.model._published import PublishedModule, acyclicity, context_features, gumbel_sigmoid
from scgim.model._published_fit import acyclic_graph

QUIET = {"enable_progress_bar": False, "accelerator": "cpu"}


@pytest.fixture
def design():
    dose = np.array([[0, 0], [1.0, 0], [2.0, 0], [0, 1.0]])
    return Design(("a", "b"), dose, np.zeros(4, int), ("all",), np.full(4, 20), has_dose=True)


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
    assert set(sample.detach().round(decimals=5).unique().tolist()) == {0.0, 1.0}
    assert abs(sample.mean().item() - torch.sigmoid(torch.tensor(1.0)).item()) < 0.02
    sample.sum().backward()
    assert logits.grad.abs().sum() > 0


def test_features_of_contexts_without_registered_ones(design):
    gamma = context_features(design, None)
    assert gamma.shape == (4, 4)
    assert not gamma[0].any()
    assert len(np.unique(gamma, axis=0)) == 4


def test_graph_without_cycles_keeps_the_most_probable_edges():
    p = np.array([[0, 0.9, 0.2], [0.6, 0, 0.8], [0.7, 0.1, 0]])
    graph = acyclic_graph(p)
    assert graph[0, 1] and graph[1, 2]
    assert graph.sum() == 2  # 1 -> 0 and 2 -> 0 would close cycles


@pytest.mark.parametrize("mechanism", ["linear", "additive", "neural"])
@pytest.mark.parametrize("intervention", ["shift", "hard"])
def test_every_kind_trains(mechanism, intervention):
    adata = scgim.datasets.simulate(
        4, edges_per_gene=1.0, n_drugs=3, n_control=60, n_cells=10, n_new_drugs=1, n_test_cells=5, rng=0
    )
    adata = adata[adata.obs["split"] == "train"].copy()
    GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="control", features_key="features")
    model = GIM(adata, mechanism=mechanism, intervention=intervention, structure="gradient")
    model.train(max_epochs=2, **QUIET)
    fit = model.fit
    assert not np.triu((fit.graph != 0)[np.ix_(fit.mechanisms.order, fit.mechanisms.order)].T, 0).any()
    assert ((fit.probability >= 0) & (fit.probability <= 1)).all()
    assert not fit.context_probability[model.design.control].any()
    assert np.isfinite(model.predict_mean(model.contexts[["drug", "dose"]])).to_numpy().all()


def test_target_and_strength_of_an_edge_of_known_direction(design):
    """Gene 0 may act on gene 1 and does; drug a shifts gene 0: after training the edge and the target are found."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    context = np.repeat(np.arange(4), 150)
    x = rng.normal(size=(600, 2))
    x[:, 0] += np.array([0, 1.5, 3.0, 0])[context]
    x[:, 1] = 1.2 * x[:, 0] + 0.4 * x[:, 1]
    module = PublishedModule(2, design, context_features(design, None), n_cells=600)
    module.set_scale(x.mean(0), x.std(0))
    module.mechanisms.mask[0] = 0  # gene 1 does not act on gene 0
    batch = {"X": torch.as_tensor(x).float(), "scgim_context": torch.as_tensor(context)[:, None]}
    optimiser = torch.optim.Adam(module.parameters(), lr=2e-2, eps=1e-8)
    for _ in range(300):
        optimiser.zero_grad()
        module(batch)[2].loss.backward()
        optimiser.step()
    edge = module.edge_probability().detach().numpy()
    assert edge[0, 1] > 0.9
    assert edge[1, 0] == 0
    slope = module.mechanisms.coef[1, 0, 0].item() * x[:, 1].std() / x[:, 0].std()
    assert abs(slope - 1.2) < 0.25
    logits, _, _ = module.interventions(sample=False)
    assert logits[2, 0] > 0


@pytest.mark.parametrize("intervention", ["activity", "auto"])
def test_changes_of_activity_are_refused(intervention):
    adata = scgim.datasets.simulate(
        3, edges_per_gene=1, n_drugs=2, n_new_drugs=0, n_control=20, n_cells=5, n_test_cells=2
    )
    GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="control")
    with pytest.raises(ValueError, match="structure: 'gradient' needs intervention='shift' or 'hard'"):
        GIM(adata, intervention=intervention, structure="gradient")
