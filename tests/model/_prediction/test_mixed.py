"""Predictions of what was not measured, mixed with simple baselines; fitted contexts stay as they are."""

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import systems
from scgim.datasets import faults
from scgim.model import GIM
from scgim.model._prediction.mixed import say_weights

QUIET = {"enable_progress_bar": False, "accelerator": "cpu"}


@pytest.fixture(scope="module")
def model() -> GIM:
    adata = systems.training(systems.simulated(n_genes=6, n_drugs=4, n_control=200, n_cells=40, n_new_drugs=0))
    GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="control")
    model = GIM(adata)
    model.train(max_epochs=0, **QUIET)
    return model


def weighed(model: GIM, weight: float) -> None:
    said = {"new_dose_weight": weight, "new_dose_baseline": "between doses"}
    model.fit_ = replace(model.fitted, settings=model.fitted.settings | said)


def test_the_weights_are_kept_and_can_be_left_aside(model):
    assert 0 <= model.fitted.settings["new_dose_weight"] <= 1
    known = model.contexts[["drug", "dose"]].query("drug != 'control'")
    new = known.assign(dose=np.sqrt(known["dose"] * 1.5)).iloc[:2].reset_index(drop=True)
    weighed(model, 1.0)
    alone, fitted = model.predict_mean(new), model.predict_mean(known)
    weighed(model, 0.0)
    mixed = model.predict_mean(new)
    assert model.predict(new, n_cells=2, rng=0).uns["scgim"]["prediction"]["new_dose_weight"] == 0.0
    assert np.abs(mixed - alone).to_numpy().max() > 1e-3
    pd.testing.assert_frame_equal(model.predict_mean(known), fitted)  # measured ones stay
    model.settings_["weigh_baselines"] = False
    pd.testing.assert_frame_equal(model.predict_mean(new), alone)
    del model.settings_["weigh_baselines"]


def test_with_no_weight_a_new_dose_lies_between_its_neighbours(model):
    weighed(model, 0.0)
    drug = next(d for d in model.drugs)
    doses = np.sort(model.contexts.query("drug == @drug")["dose"].astype(float).to_numpy())[:2]
    means = model.predict_mean(pd.DataFrame({"drug": drug, "dose": [*doses, np.sqrt(doses.prod())]})).to_numpy()
    np.testing.assert_allclose(means[2], means[:2].mean(axis=0), atol=1e-6)


def test_what_is_missed_at_measured_doses_is_added_between_them(model):
    weighed(model, 1.0)
    drug, contexts = model.drugs[0], model.study.design.alone(0)
    new = pd.DataFrame({"drug": [drug], "dose": [1.1]})
    model.fit_ = replace(model.fitted, drift=replace(model.fitted.drift, along=None))
    before = model.predict_mean(new).to_numpy()[0]
    along = np.zeros((len(model.contexts), len(model.genes)))
    last = model.fitted.mechanisms.order[-1]  # has no children
    along[contexts, last] = 0.5
    model.fit_ = replace(model.fitted, drift=replace(model.fitted.drift, along=along))
    curves, dose = model.fitted.curves, model.study.design.dose[contexts, 0]
    added = 0.5 * np.minimum(curves.fraction(0, dose), curves.fraction(0, 1.1)).sum()
    assert model.predict_mean(new).to_numpy()[0, last] - before[last] == pytest.approx(added)
    model.fit_ = replace(model.fitted, drift=replace(model.fitted.drift, along=None))


def test_the_log_says_who_predicts(caplog):
    settings = {"new_group_weight": 0.25, "new_group_baseline": "mean change", "new_dose_missed": 0.05}
    settings |= {"new_group_error": 0.1, "new_group_error_of_model": 0.3, "new_group_error_of_baseline": 0.2}
    with caplog.at_level(logging.INFO, logger="scgim"):
        say_weights(settings)
        say_weights({})
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "new doses: 5.0 % of the pairs of drug and gene depart from the model at measured doses, and do so at doses nearby",
        "drugs in baseline groups where they were not measured: predicted by 25 % model and the rest mean change",
    ]


def test_it_is_an_option_of_the_model():
    adata = systems.training(systems.simulated(n_genes=3, n_drugs=2, n_control=40, n_cells=8, n_new_drugs=0))
    GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="control")
    assert GIM(adata, weigh_baselines=False).settings["weigh_baselines"] is False
    assert "weigh_baselines" not in GIM(adata).settings
    with pytest.raises(TypeError, match="weigh_baselines"):
        GIM(adata, weigh_baselines="no")


def test_contexts_under_hidden_causes_are_reproduced_at_targets_too():
    """What hidden causes do is no target's, and acts on targets as well; a later graph does not lose it."""
    moved = [faults.LatentFactors(n=2, n_genes=8, drug_sd=3.0)]
    adata = systems.training(
        systems.simulated(n_genes=14, n_drugs=14, n_control=400, n_cells=60, n_new_drugs=0, faults=moved, rng=1)
    )
    GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="control")
    model = GIM(adata)
    model.train(max_epochs=0, **QUIET)
    contexts = model.contexts.query("drug != 'control'")[["drug", "dose"]]
    cells = adata.to_df().groupby([adata.obs["drug"].astype(str), adata.obs["dose"]]).mean()
    seen = cells.loc[list(contexts.itertuples(index=False, name=None))].to_numpy()
    control = cells.loc["control"].to_numpy()[0]
    found, change = model.predict_mean(contexts).to_numpy() - control, seen - control
    assert 0.9 < (found * change).sum() / (change**2).sum() < 1.1
    assert ((found - change) ** 2).sum() < 0.05 * (change**2).sum()
