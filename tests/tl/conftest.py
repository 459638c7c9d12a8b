"""One small simulated system, fitted once for all tests of predictions and scores."""

import pytest

import systems
from scgim import tl


@pytest.fixture(scope="session")
def parts():
    """Training cells, new doses and new drugs of twelve drugs on six genes."""
    adata = systems.simulated(n_genes=6, n_drugs=12, n_new_drugs=3, n_cells=40, n_test_cells=80, max_targets=2)
    return {name: adata[adata.obs["split"] == name].copy() for name in ("train", "new_dose", "new_drug")}


@pytest.fixture(scope="session")
def model(parts):
    """The default fit."""
    return tl.fit(parts["train"].copy(), perturbation_key="drug", dose_key="dose", control="control", max_epochs=0)


@pytest.fixture(scope="session")
def model_with_features(parts):
    """The same, told the features of the drugs."""
    return tl.fit(
        parts["train"].copy(),
        perturbation_key="drug",
        dose_key="dose",
        control="control",
        features_key="features",
        max_epochs=0,
    )
