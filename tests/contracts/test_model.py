"""Habits of scvi-tools that hold for every structure, kind, mechanism and noise model: module, history, save, load, device."""

import contextlib
import io

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit

import scgim
from scgim.model import GIM

CASES = {
    "shift": ({}, {"intervention": "shift"}, 0),
    "shift trained": ({}, {"intervention": "shift"}, 1),
    "hard": ({"intervention": "hard"}, {"intervention": "hard"}, 0),
    "hard trained": ({"intervention": "hard"}, {"intervention": "hard"}, 1),
    "activity": ({"intervention": "activity"}, {"intervention": "activity"}, 1),
    "both kinds": ({"intervention": "activity"}, {"intervention": "auto"}, 1),
    "additive": ({"mechanism": "neural"}, {"intervention": "shift", "mechanism": "additive"}, 1),
    "networks": ({"mechanism": "neural"}, {"intervention": "shift", "mechanism": "neural"}, 1),
    "cycles": ({}, {"intervention": "shift", "structure": "cyclic"}, 1),
    "published": ({}, {"intervention": "shift", "structure": "gradient"}, 2),
    "published hard": ({"intervention": "hard"}, {"intervention": "hard", "structure": "gradient"}, 2),
    "counts": ({"noise": "counts", "zeros": 0.2}, {"intervention": "shift", "noise": "poisson_lognormal"}, 1),
    "zeros": (
        {"noise": "zero_inflated_lognormal", "dropout": 0.2},
        {"intervention": "shift", "noise": "zero_inflated_lognormal"},
        1,
    ),
}
SMALL = {"n_genes": 5, "n_drugs": 4, "n_new_drugs": 0, "n_cells": 30, "n_control": 120, "n_test_cells": 5, "rng": 3}
ONE_DOSE = {"doses": (2.0,), "new_doses": (), "features": "noise"}
ASKED = pd.DataFrame({"drug": ["drug_1", "control"], "dose": [2.0, 0.0]})
QUIET = {"enable_progress_bar": False, "accelerator": "cpu"}


@pytest.fixture(scope="module", params=list(CASES))
def trained(request):
    """Data, the state of the module before training, and the model after it."""
    simulation, options, epochs = CASES[request.param]
    adata = scgim.datasets.simulate(**SMALL | ONE_DOSE | simulation)
    size = {"size_factor_key": "size_factor"} if "counts" in simulation.values() else {}
    GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="control", **size)
    model = GIM(adata, **options)
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    model.train(max_epochs=epochs, rng=0, **QUIET)
    return adata, before, model


def test_the_module_holds_what_was_found(trained):
    _, before, model = trained
    state, fit = model.module.state_dict(), model.fitted
    assert {name: value.shape for name, value in state.items()} == {n: v.shape for n, v in before.items()}
    assert any(not torch.equal(before[name], value) for name, value in state.items())
    scale = model.module.scale.numpy()
    np.testing.assert_allclose(scale, fit.mechanisms.scale, rtol=1e-5)
    noise = np.exp(model.module.log_noise.detach().numpy()) * scale
    np.testing.assert_allclose(noise, fit.mechanisms.noise_sd, rtol=1e-3)
    parents = [set(pa.tolist()) for pa in model.module.mechanisms.parents()]
    assert parents == [set(np.asarray(pa).tolist()) for pa in fit.mechanisms.parents]
    x = np.random.default_rng(0).normal(fit.mechanisms.loc, scale, size=(20, 5))
    with torch.no_grad():
        z = torch.as_tensor((x - fit.mechanisms.loc) / scale, dtype=torch.float32)
        mechanisms = model.module.mechanisms
        out = mechanisms.evaluate(mechanisms.inputs(z), gate_of(model.module)) + model.module.baseline[0]
    expected = np.stack([fit.mechanisms.baseline[0, j] + fit.mechanisms.contribution(j, x) for j in range(5)], axis=1)
    np.testing.assert_allclose(fit.mechanisms.loc + scale * out.numpy(), expected, atol=2e-3)


def gate_of(module):
    """Which candidates of the published estimator are parents; None for other modules, all of whose candidates are."""
    return module.mechanisms.mask[:, None] if hasattr(module, "edge_logits") else None


def test_history_and_summaries_are_there(trained):
    _, _, model = trained
    assert model.is_trained_
    assert model.history
    assert all(isinstance(table, pd.DataFrame) and len(table) for table in model.history.values())
    with contextlib.redirect_stdout(io.StringIO()):
        model.view_anndata_setup()
        print(model)
    model.to_device("cpu")
    assert model.device.type == "cpu"


def test_a_saved_model_comes_back_with_its_module(trained, tmp_path):
    adata, _, model = trained
    model.save(tmp_path / "model")
    loaded = GIM.load(tmp_path / "model", adata)
    assert loaded.settings == model.settings
    assert type(loaded.module) is type(model.module)
    for name, value in model.module.state_dict().items():
        torch.testing.assert_close(loaded.module.state_dict()[name], value.cpu())
    np.testing.assert_array_equal(loaded.predict_mean(ASKED), model.predict_mean(ASKED))
    assert set(loaded.history) == set(model.history)


def test_every_fit_says_what_its_targets_rest_on(trained):
    _, _, model = trained
    fit, design = model.fitted, model._predictor().data.design
    np.testing.assert_allclose(expit(fit.support.log_odds), fit.of_context.probability, atol=1e-9)
    assert fit.support.identified.all() and (fit.support.n_groups == 1).all()
    table = model.get_targets()
    assert table["identified"].all() and "n_agree" not in table
    assert np.isfinite(table["log_odds"]).all() and (~design.control).sum() * 5 == len(table)
