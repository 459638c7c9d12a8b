"""The published estimator."""

import numpy as np
import pandas as pd
import pytest
import torch

import scgim
from scgim._core.design import Design
from scgim.model import GIM
from scgim.model._module.networks import GeneMechanisms
from scgim.model._published.maps import AmortisedMaps, Gamma
from scgim.model._published.module import PublishedModule, acyclic_graph, acyclicity, gene_order, gumbel_sigmoid

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
    assert (0 <= sample).all() and (sample <= 1).all()
    assert abs((sample > 0.5).float().mean().item() - torch.sigmoid(torch.tensor(1.0)).item()) < 0.02
    near = ((sample < 0.1) | (sample > 0.9)).float().mean()
    assert ((gumbel_sigmoid(logits, 0.1) < 0.1) | (gumbel_sigmoid(logits, 0.1) > 0.9)).float().mean() > near
    sample.sum().backward()
    assert logits.grad.abs().sum() > 0


def test_features_of_contexts_without_registered_ones(design):
    gamma = Gamma.of(design, None).contexts(design, None)
    assert gamma.shape == (4, 4)
    assert not gamma[0].any()
    assert len(np.unique(gamma, axis=0)) == 4


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
    networks = GeneMechanisms(3, 2, kind=kind, n_hidden=4, generator=generator).double()
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


def test_maps_without_torch_are_those_of_the_module(design):
    module = module_of(design)
    module.eval()
    gamma = module.gamma.double().numpy()
    probability, effect = AmortisedMaps.read(module)
    assert np.allclose(probability, torch.sigmoid(module.target_logits()).detach().numpy(), atol=1e-6)
    targets = torch.as_tensor(probability > 0.5).float()
    for j in range(3):
        asked = targets.clone()
        asked[:, j] = 1.0  # the effect is given that the gene is a target
        own = module.h(torch.cat([module.gamma, asked], 1))[:, j]
        assert np.allclose(effect[:, j], own.detach().numpy(), atol=1e-6)
    maps = AmortisedMaps.from_dict(AmortisedMaps.of(module, Gamma.of(design, None)).to_dict())
    again = maps.interventions(design.dose, None)
    perturbed = ~design.control
    assert np.allclose(again[0][perturbed], probability[perturbed])
    assert np.allclose(maps.effect(gamma), effect)
    assert not again[2].any()


@pytest.fixture(scope="module")
def screen_with_new_drugs():
    return scgim.datasets.simulate(
        4, edges_per_gene=1.0, n_drugs=5, n_control=60, n_cells=10, n_new_drugs=2, n_test_cells=5, rng=0
    )


def trained(adata, features="features", **kwargs):
    train = adata[adata.obs["split"] == "train"].copy()
    train.obs["drug"] = train.obs["drug"].cat.remove_unused_categories()
    GIM.setup_anndata(train, perturbation_key="drug", dose_key="dose", control="control", features_key=features)
    model = GIM(train, structure="gradient", **kwargs)
    model.train(max_epochs=2, **QUIET)
    return model


def test_maps_predict_new_drugs_and_doses_and_are_saved(screen_with_new_drugs, tmp_path):
    adata = screen_with_new_drugs
    model = trained(adata)
    test = adata.obs[adata.obs["split"] != "train"].drop_duplicates(["drug", "dose"])
    features = np.asarray(adata[test.index].obsm["features"])
    rows = test[["drug", "dose"]].reset_index(drop=True)
    table = model.get_targets(rows, features=features)
    maps = AmortisedMaps.from_dict(model.feature_model_)
    dose = np.ones((len(rows), 1))
    probability, effect, _ = maps.interventions(dose, features)
    assert np.allclose(table["probability"].to_numpy().reshape(len(rows), -1), probability)
    assert np.allclose(table["effect"].to_numpy().reshape(len(rows), -1), effect)
    model.save(tmp_path / "model", save_anndata=False)
    loaded = GIM.load(tmp_path / "model", model.adata, accelerator="cpu")
    assert np.allclose(loaded.predict_mean(rows, features=features), model.predict_mean(rows, features=features))
    assert np.isfinite(loaded.predict(rows, features=features, n_cells=2).X).all()
    new = rows[rows["drug"].isin(set(rows["drug"]) - set(model.drugs))]
    assert len(new)
    with pytest.raises(KeyError, match="was not in the training data"):
        model.predict_mean(new)
    with pytest.raises(ValueError, match="expected shape"):
        model.predict_mean(new, features=features)


def test_maps_of_drug_features_put_the_dose_beside_them(screen_with_new_drugs):
    adata = screen_with_new_drugs.copy()
    names = [str(d) for d in adata.obs["drug"].cat.categories if d != "control"]
    adata.uns["table"] = pd.DataFrame(np.random.default_rng(0).normal(size=(len(names), 3)), index=names)
    known = set(adata.obs["drug"][adata.obs["split"] == "train"].astype(str))
    new = next(n for n in names if n not in known)
    model = trained(adata, "table")
    asked = pd.DataFrame({"drug": [new, new, names[0]], "dose": [0.7, 1.9, 0.7]})
    table = model.get_targets(asked)["effect"].to_numpy().reshape(3, -1)
    assert np.abs(table[0] - table[1]).max() > 1e-6
    of = adata.uns["table"].loc[[new]].to_numpy()
    maps = AmortisedMaps.from_dict(model.feature_model_)
    assert np.allclose(maps.interventions(np.array([[0.7]]), of)[1][0], table[0])
    with pytest.raises(KeyError, match="no row for 'other'"):
        model.predict_mean(pd.DataFrame({"drug": ["other"], "dose": [1.0]}))


def test_without_features_new_drugs_are_refused_and_new_doses_follow_the_curve(screen_with_new_drugs):
    model = trained(screen_with_new_drugs, None)
    assert model.feature_model_ is None
    drug = model.drugs[0]
    assert np.isfinite(model.predict_mean(pd.DataFrame({"drug": [drug], "dose": [0.7]}))).to_numpy().all()
    with pytest.raises(KeyError, match="without features"):
        model.predict_mean(pd.DataFrame({"drug": ["other"], "dose": [1.0]}))


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


@pytest.mark.parametrize("intervention", ["activity", "auto"])
def test_changes_of_activity_are_refused(intervention):
    adata = scgim.datasets.simulate(
        3, edges_per_gene=1, n_drugs=2, n_new_drugs=0, n_control=20, n_cells=5, n_test_cells=2
    )
    GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="control")
    with pytest.raises(ValueError, match="structure: 'gradient' needs intervention='shift' or 'hard'"):
        GIM(adata, intervention=intervention, structure="gradient")


@pytest.mark.parametrize(
    "setting",
    [
        {"graph_prior": pd.DataFrame({"source": ["gene_1"], "target": ["gene_2"]})},
        {"known_targets": pd.DataFrame({"drug": ["drug_1"], "gene": ["gene_1"]})},
        {"n_ensemble": 2},
    ],
    ids=lambda s: next(iter(s)),
)
def test_settings_that_it_does_not_use_are_refused(setting):
    adata = scgim.datasets.simulate(
        3, edges_per_gene=1, n_drugs=2, n_new_drugs=0, n_control=20, n_cells=5, n_test_cells=2
    )
    GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="control")
    with pytest.raises(ValueError, match=f"{next(iter(setting))}: structure='gradient' does not use it"):
        GIM(adata, structure="gradient", **setting)
