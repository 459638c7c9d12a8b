"""`scgim.datasets.simulate`: the protocol's sizes, the truth against closed forms, and bad inputs."""

import anndata
import numpy as np
import pandas as pd
import pytest

from scgim.datasets import simulate
from scgim.datasets._simulator.graphs import causal_order, random_dag
from scgim.datasets._simulator.truth import draw_cells, true_means

SMALL = {"n_genes": 6, "n_drugs": 4, "n_new_drugs": 2, "n_control": 300, "n_test_cells": 20}


def small(**kwargs):
    return simulate(**{**SMALL, **kwargs})


def test_defaults_are_the_published_numbers():
    """The defaults are the published numbers of genes, drugs, contexts and cells."""
    adata = simulate(n_test_cells=1)
    contexts = adata.uns["truth"]["contexts"]
    train = contexts[contexts["split"] == "train"]
    assert adata.n_vars == 20
    assert (train["drug"] == "control").sum() == 1
    assert len(train) == 161
    assert (contexts["split"] == "new_dose").sum() == 200
    assert (contexts["split"] == "new_drug").sum() == 80
    assert (adata.obs["drug"] == "control").sum() == 800
    assert (adata.obs["split"] == "train").sum() == 800 + 160 * 50
    assert adata.obsm["features"].shape == (adata.n_obs, 15)
    assert set(adata.obs.loc[adata.obs["drug"] == "control", "dose"]) == {0.0}
    new, old = (set(contexts.loc[contexts["split"] == s, "drug"]) for s in ("new_drug", "train"))
    assert not new & old


@pytest.mark.parametrize("kind", ["erdos_renyi", "scale_free"])
def test_graph_is_acyclic_with_the_expected_edges(kind):
    """Edges follow the order, about 2 a gene, and the gene index says nothing about the order."""
    rng = np.random.default_rng(0)
    edges, forward = [], []
    for _ in range(100):
        graph, order = random_dag(kind, 20, 2.0, rng)
        assert not np.tril(graph[np.ix_(order, order)]).any()
        edges.append(graph.sum())
        forward.append(np.triu(graph).sum() / graph.sum())
    assert abs(np.mean(edges) - 40) < 4
    assert abs(np.mean(forward) - 0.5) < 0.05


def test_scale_free_has_hubs_that_are_causes():
    rng = np.random.default_rng(0)
    most = {
        k: np.mean([random_dag(k, 50, 2.0, rng)[0].sum(1).max() for _ in range(20)])
        for k in ("erdos_renyi", "scale_free")
    }
    assert most["scale_free"] > 1.5 * most["erdos_renyi"]


def test_variances_do_not_tell_the_order():
    """Over many systems, causes have the smaller variance in half of the edges only."""
    smaller = []
    for seed in range(30):
        adata = simulate(20, n_drugs=1, doses=(1.0,), new_doses=(), n_new_drugs=0, n_control=1000, rng=seed)
        graph = adata.uns["truth"]["graph"]
        sd = np.asarray(adata.X[:1000]).std(0)
        causes, effects = np.nonzero(graph)
        smaller += list(sd[causes] < sd[effects])
        assert 0.4 < sd.min()
        assert sd.max() < 4
    assert abs(np.mean(smaller) - 0.5) < 0.08


@pytest.mark.parametrize("mechanism", ["linear", "neural"])
@pytest.mark.parametrize("intervention", ["shift", "hard", "activity"])
def test_cells_follow_the_truth(mechanism, intervention):
    """Residuals of every gene, given its parents under the stored intervention, are the stored noise."""
    adata = small(mechanism=mechanism, intervention=intervention, edges_per_gene=1.5)
    truth = adata.uns["truth"]
    x, row = np.asarray(adata.X, float), adata.obs["context"].to_numpy()
    targets, effects = truth["targets"], truth["effects"]
    seen = x * (1 + effects[row]) if intervention == "activity" else x
    for j in range(adata.n_vars):
        parents = np.flatnonzero(truth["graph"][:, j])
        mean = np.full(len(x), truth["baseline"][0, j])
        if len(parents) and mechanism == "linear":
            mean += seen[:, parents] @ truth["weights"][parents, j]
        elif len(parents):
            net = truth["network"]
            hidden = np.tanh(seen @ net["w1"][j].T + net["b1"][j])
            mean += hidden @ net["w2"][j] + net["b2"][j]
        if intervention == "shift":
            mean += effects[row, j]
        if intervention == "hard":
            mean = np.where(targets[row, j], effects[row, j], mean)
        z = (x[:, j] - mean) / truth["noise_sd"][j]
        assert abs(z.mean()) < 5 / np.sqrt(len(x))
        assert abs(z.std() - 1) < 5 / np.sqrt(2 * len(x))


@pytest.mark.parametrize("intervention", ["shift", "hard", "activity"])
def test_true_means_match_drawn_cells(intervention):
    truth = small(intervention=intervention).uns["truth"]
    exact = true_means(truth, [0, 3, 20])
    cells = draw_cells(truth, [0, 3, 20], 20_000).reshape(3, 20_000, -1)
    assert np.abs(cells.mean(1) - exact).max() < 0.1


def test_linear_shift_mean_is_the_closed_form():
    """Mean change of a context is effects @ (I - W)^-1."""
    adata = small()
    truth = adata.uns["truth"]
    total = np.linalg.inv(np.eye(6) - truth["weights"])
    contexts = np.arange(len(truth["contexts"]))
    change = true_means(truth, contexts) - true_means(truth, [0])
    np.testing.assert_allclose(change, truth["effects"] @ total, atol=1e-10)


def test_effects_follow_the_published_dose_curve():
    """Effects are lambda / (1 + (0.75 / dose)^4); targets are the drug's at every dose; none in the control."""
    truth = small().uns["truth"]
    contexts, drugs = truth["contexts"], list(truth["drugs"])
    assert not truth["targets"][0].any()
    assert not truth["effects"][0].any()
    for k in range(1, len(contexts)):
        effect = truth["drug_effect"][drugs.index(contexts["drug"].iloc[k])]
        np.testing.assert_allclose(truth["effects"][k], effect / (1 + (0.75 / contexts["dose"].iloc[k]) ** 4))
        np.testing.assert_array_equal(truth["targets"][k], effect != 0)
    sizes = np.abs(truth["drug_effect"][truth["drug_effect"] != 0])
    assert sizes.min() >= 2
    assert sizes.max() <= 6
    per_drug = (truth["drug_effect"] != 0).sum(1)
    assert per_drug.min() >= 1
    assert per_drug.max() <= 3


def test_activity_targets_have_children():
    truth = simulate(intervention="activity", n_test_cells=1).uns["truth"]
    hit = (truth["drug_effect"] != 0).any(0)
    assert truth["graph"][hit].any(1).all()
    assert truth["drug_effect"].min() >= -1


def test_principal_components_are_fitted_on_training_contexts():
    """The features are a linear map of (I, psi), with zero mean and uncorrelated over perturbed training contexts."""
    adata = simulate(n_test_cells=1, n_cells=1, n_control=2)
    truth = adata.uns["truth"]
    features = adata.obsm["features"][np.unique(adata.obs["context"], return_index=True)[1]]
    fitted = ((truth["contexts"]["split"] == "train") & (truth["contexts"]["drug"] != "control")).to_numpy()
    covariance = np.cov(features[fitted].T)
    np.testing.assert_allclose(features[fitted].mean(0), 0, atol=1e-10)
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=1e-8)
    assert (np.diff(np.diag(covariance)) <= 1e-9).all()
    table = np.hstack([truth["targets"], truth["effects"], np.ones((len(features), 1))])
    solution = np.linalg.lstsq(table, features, rcond=None)[0]
    np.testing.assert_allclose(table @ solution, features, atol=1e-8)


def test_features_of_drugs_are_one_row_a_drug_and_know_the_effects():
    """A table with one row a drug, new drugs included; a projection knows the effects, noise does not."""
    for kind in ("projection", "noise"):
        adata = simulate(8, n_drugs=30, n_new_drugs=10, n_test_cells=1, features=kind, n_features=12)
        table, effect = adata.uns["features"], adata.uns["truth"]["drug_effect"]
        assert list(table.index) == list(adata.uns["truth"]["drugs"])
        assert table.shape == (40, 12)
        fit = np.linalg.lstsq(effect, table.to_numpy(), rcond=None)[0]
        explained = 1 - ((table.to_numpy() - effect @ fit) ** 2).sum() / (table.to_numpy() ** 2).sum()
        assert explained > 0.999 if kind == "projection" else explained < 0.5
        assert "features" not in adata.obsm


def test_each_parent_matters_in_neural_systems():
    """Moving a parent over its range changes the mean of the gene."""
    for seed in range(3):
        truth = simulate(mechanism="neural", n_drugs=1, n_new_drugs=0, new_doses=(), rng=seed).uns["truth"]
        cells = draw_cells(truth, [0], 500)
        net = truth["network"]
        for i, j in zip(*np.nonzero(truth["graph"]), strict=True):
            moved = [cells.copy(), cells.copy()]
            spread = []
            for value in np.linspace(-2, 2, 9):
                moved[0][:, i] = cells[:, i].mean() + value * cells[:, i].std()
                spread.append(np.tanh(moved[0] @ net["w1"][j].T + net["b1"][j]) @ net["w2"][j])
            assert np.ptp(spread, axis=0).mean() > 0.15


def test_a_given_graph_is_used():
    graph = np.zeros((3, 3))
    graph[2, 0] = graph[0, 1] = 1
    adata = simulate(3, graph=graph, n_drugs=2, n_new_drugs=0)
    np.testing.assert_array_equal(adata.uns["truth"]["graph"], graph != 0)
    assert list(causal_order(graph)) == [2, 0, 1]


@pytest.mark.parametrize("features", ["principal_components", "projection"])
@pytest.mark.parametrize("mechanism", ["linear", "neural"])
@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_truth_survives_writing_and_draws_the_same_cells(tmp_path, features, mechanism, suffix):
    """The truth survives writing and reading and still draws the same cells."""
    adata = small(features=features, mechanism=mechanism)
    if suffix == "h5ad":
        adata.write_h5ad(tmp_path / "a.h5ad")
        back = anndata.read_h5ad(tmp_path / "a.h5ad")
    else:
        adata.write_zarr(tmp_path / "a.zarr")
        back = anndata.read_zarr(tmp_path / "a.zarr")
    for name, value in adata.uns["truth"].items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(back.uns["truth"][name], value)
    pd.testing.assert_frame_equal(
        back.uns["truth"]["contexts"].astype({"drug": str, "split": str}),
        adata.uns["truth"]["contexts"].astype({"drug": str, "split": str}),
        check_index_type=False,
        check_column_type=False,
    )
    np.testing.assert_array_equal(draw_cells(back.uns["truth"], [1], 5), draw_cells(adata.uns["truth"], [1], 5))


def test_same_seed_draws_the_same_cells():
    np.testing.assert_array_equal(small(rng=3).X, small(rng=3).X)
    assert not np.array_equal(small(rng=3).X, small(rng=4).X)


def test_system_does_not_depend_on_the_number_of_cells():
    one, two = small(rng=1).uns["truth"], small(rng=1, n_cells=5).uns["truth"]
    np.testing.assert_array_equal(one["weights"], two["weights"])
    np.testing.assert_array_equal(one["drug_effect"], two["drug_effect"])
