"""Experiments that tell of the graph, on a pair of genes whose direction is not known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import systems
from scgim.model import GIM
from scgim.model._asking.experiments import Pairs

QUIET = {"enable_progress_bar": False, "accelerator": "cpu", "rng": 0}


@pytest.fixture(scope="module")
def model():
    """A chain g0 -> g1 -> g2 -> g3 with drugs on g0, g1 and g2, told that the edge between g0 and g1 may point either way."""
    adata = systems.make_screen(n_cells=40)
    GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="DMSO")
    model = GIM(adata)
    model.train(max_epochs=0, **QUIET)
    fit = model.fitted
    probability = np.where(fit.mechanisms.weights() != 0, 1.0, 0.0)
    probability[0, 1] = probability[1, 0] = 0.5
    model.fit_ = replace(fit, graph=replace(fit.graph, probability=probability))
    return model


def ask(model, dose=10.0):
    return pd.DataFrame({"drug": list(model.drugs), "dose": dose})


def target(drug):
    return systems.DRUGS.index(drug)


def test_a_drug_on_either_gene_tells_the_direction_and_one_beside_does_not(model):
    found = model.suggest_experiments(ask(model)).set_index("drug")
    information = {target(drug): bits for drug, bits in found["information"].items()}
    assert found["uncertainty"].iloc[0] == pytest.approx(1.0)
    assert information[0] > 0.9
    assert information[1] > 0.9
    assert information[2] < 0.1
    assert found["information"].is_monotonic_decreasing
    by_target = {target(drug): row for drug, row in found.iterrows()}
    assert by_target[0]["pairs"] == "g0 - g1"
    assert by_target[1]["targets"] == "g1"
    assert by_target[2]["pairs"] == ""


def test_controls_tell_nothing_and_more_cells_tell_more(model):
    rows = pd.DataFrame({"drug": ["DMSO"], "dose": [0.0]})
    assert model.suggest_experiments(rows)["information"].iloc[0] < 0.01
    few, many = (model.suggest_experiments(ask(model, 0.1), n_cells=n)["information"].max() for n in (2, 500))
    assert few < many


def test_pairs_are_those_of_the_fit(model):
    pairs = Pairs.of(model._predictor())
    assert [(int(i), int(j)) for i, j in zip(pairs.first, pairs.second, strict=True)] == [(0, 1)]
    np.testing.assert_allclose(pairs.forward, model.fitted.mechanisms.weights()[0, 1])
    np.testing.assert_allclose(pairs.probability, [[0, 0.5, 0.5]])


def test_a_graph_without_doubt_needs_no_experiment(model):
    other = GIM(registry=model.registry_)
    other.__dict__ |= {k: v for k, v in vars(model).items() if k.endswith("_") and k != "registry_"}
    sure = np.where(model.fitted.mechanisms.weights() != 0, 1.0, 0.0)
    other.fit_ = replace(model.fitted, graph=replace(model.fitted.graph, probability=sure))
    found = other.suggest_experiments(ask(model))
    np.testing.assert_array_equal(found[["information", "share", "uncertainty"]], 0)


def test_drugs_that_were_not_measured_are_read_from_their_features():
    adata = systems.simulated(n_genes=6, n_drugs=12, n_new_drugs=4, n_cells=40, n_test_cells=10, max_targets=2)
    train = systems.training(adata)
    GIM.setup_anndata(train, perturbation_key="drug", dose_key="dose", control="control", features_key="features")
    model = GIM(train)
    model.train(max_epochs=0, **QUIET)
    new = adata[(adata.obs["split"] == "new_drug").to_numpy()]
    first = ~new.obs.duplicated(["drug", "dose"]).to_numpy() & (new.obs["drug"] != "control").to_numpy()
    asked, features = new.obs.loc[first, ["drug", "dose"]], np.asarray(new.obsm["features"])[first]
    found = model.suggest_experiments(asked, features=features)
    assert set(found["drug"]) == set(asked["drug"])
    assert np.isfinite(found["information"]).all()
    assert (found["targets"] != "").any()
