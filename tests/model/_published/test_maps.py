"""Maps from features to interventions in the published estimator."""

import numpy as np
import pandas as pd
import pytest
import torch

import systems
from scgim._core.state import pack, unpack
from scgim.model import GIM
from scgim.model._published.maps import AmortisedMaps, Gamma
from scgim.model._published.module import PublishedModule

QUIET = {"enable_progress_bar": False, "accelerator": "cpu"}


def test_without_registered_features_each_context_still_has_its_own(design):
    gamma = Gamma.of(design, None).contexts(design, None)
    assert gamma.shape == (4, 4)
    assert not gamma[0].any()
    assert len(np.unique(gamma, axis=0)) == 4


def module_of(design, n_genes=3, **kwargs):
    torch.manual_seed(0)
    return PublishedModule(n_genes, design, Gamma.of(design, None).contexts(design, None), n_cells=80, **kwargs)


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
    maps = unpack(*pack(AmortisedMaps.of(module, Gamma.of(design, None))))
    again = maps.interventions(design.dose, None)
    perturbed = ~design.control
    assert np.allclose(again[0][perturbed], probability[perturbed])
    assert np.allclose(maps.effect(gamma), effect)
    assert not again[2].any()


@pytest.fixture(scope="module")
def screen_with_new_drugs():
    return systems.simulated(n_genes=4, n_drugs=5, n_control=60, n_cells=10, n_new_drugs=2)


def trained(adata, features="features", **kwargs):
    train = systems.training(adata)
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
    maps = model.feature_model_
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
    maps = model.feature_model_
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
