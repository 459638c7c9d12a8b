"""The published estimator through the model class."""

import numpy as np
import pandas as pd
import pytest

import systems
from scgim.model import GIM

QUIET = {"enable_progress_bar": False, "accelerator": "cpu"}


@pytest.mark.parametrize("mechanism", ["linear", "additive", "neural"])
@pytest.mark.parametrize("intervention", ["shift", "hard"])
def test_every_kind_and_mechanism_trains_to_an_acyclic_fit(mechanism, intervention):
    adata = systems.training(systems.simulated(n_genes=4, n_drugs=3, n_control=60, n_cells=10, n_new_drugs=1))
    GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="control", features_key="features")
    model = GIM(adata, mechanism=mechanism, intervention=intervention, structure="gradient")
    model.train(max_epochs=2, **QUIET)
    fit = model.fitted
    assert not np.triu((fit.graph.weights != 0)[np.ix_(fit.mechanisms.order, fit.mechanisms.order)].T, 0).any()
    assert ((fit.of_drug.probability >= 0) & (fit.of_drug.probability <= 1)).all()
    assert not fit.of_context.probability[model.design.control].any()
    assert np.isfinite(model.predict_mean(model.contexts[["drug", "dose"]])).to_numpy().all()


def test_hard_values_do_not_depend_on_the_origin_of_the_scale():
    means = []
    for origin in (0.0, 10.0):
        adata = systems.training(
            systems.simulated(n_genes=4, n_drugs=3, n_control=60, n_cells=10, n_new_drugs=1, intervention="hard")
        )
        adata.X = np.asarray(adata.X, dtype=np.float64) + origin
        GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="control")
        model = GIM(adata, intervention="hard", structure="gradient")
        model.train(max_epochs=2, **QUIET)
        new = pd.DataFrame({"drug": ["drug_1", "drug_2"], "dose": [0.1, 1.3]})  # not measured
        means.append(model.predict_mean(new).to_numpy() - origin)
    np.testing.assert_allclose(means[1], means[0], atol=2e-3)


@pytest.mark.parametrize("intervention", ["activity", "auto"])
def test_changes_of_activity_are_refused(intervention):
    adata = systems.simulated(n_genes=3, n_drugs=2, n_control=20, n_cells=5, n_test_cells=2)
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
    adata = systems.simulated(n_genes=3, n_drugs=2, n_control=20, n_cells=5, n_test_cells=2)
    GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="control")
    with pytest.raises(ValueError, match=f"{next(iter(setting))}: structure='gradient' does not use it"):
        GIM(adata, structure="gradient", **setting)
