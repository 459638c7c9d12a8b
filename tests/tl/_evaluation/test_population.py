"""Control cells that are moved by the model."""

import numpy as np
import pytest

import systems
from scgim import tl


def test_controls_are_moved_to_the_predicted_mean(model, parts):
    drawn, moved = (
        tl.evaluate(model, parts["new_dose"], metrics=["mean_distance"], baselines=(), population=population)
        for population in ("model", "control")
    )
    np.testing.assert_allclose(drawn["value"], moved["value"], atol=0.25)


def test_moved_controls_are_at_the_mean_of_covariates():
    """Controls in another phase than the other cells; held-out cells are adjusted, so moved controls have to be."""
    rng = np.random.default_rng(0)
    effects = {"a": 2.0, "b": -1.0, "control": 0.0}
    adata = systems.make_pairs(
        [("control", "control")] * 4 + [("a", "control")] * 2 + [("b", "control")] * 2, effects, rng
    )
    adata.obs["phase"] = rng.normal(np.where(adata.obs["d1"] == "control", 2.0, 0.0))
    adata.X[:, 1] += 3 * adata.obs["phase"].to_numpy()
    held = np.arange(adata.n_obs) % 2 == 0
    keys = {"perturbation_key": "d1", "control": "control", "continuous_covariate_keys": ["phase"]}
    model = tl.fit(adata[held].copy(), **keys, intervention="shift", max_epochs=0)
    test = adata[~held & (adata.obs["d1"] == "a").to_numpy()].copy()
    with pytest.warns(UserWarning, match="were in the training data"):
        scores = tl.evaluate(model, test, metrics=["mean_distance"], baselines=(), population="control")
    assert scores["value"].item() < 0.8
