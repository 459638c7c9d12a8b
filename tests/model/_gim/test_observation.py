"""Noise models beside the Gaussian: recovery, the scale of predictions, saving, and what data they refuse."""

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import scgim
from scgim._core.observation import from_state
from scgim.model import GIM

pytestmark = pytest.mark.filterwarnings("ignore:noise. no size_factor_key")
COLUMNS = {"perturbation_key": "drug", "dose_key": "dose", "control": "control"}


def simulate(noise, **changes):
    options = {"n_drugs": 14, "doses": (1.0, 2.0), "n_control": 300, "n_cells": 80, "new_doses": (), "n_new_drugs": 0}
    options |= {"edges_per_gene": 1.0, "max_targets": 1, "features": "projection", "n_features": 2, "rng": 3} | changes
    return scgim.datasets.simulate(8, noise=noise, **options)


def tiny():
    return simulate("counts", zeros=0.2, n_drugs=3, n_control=100, n_cells=30)


def fitted(adata, noise, **setup):
    GIM.setup_anndata(adata, **COLUMNS, **setup)
    model = GIM(adata, noise=noise)
    model.train(rng=0)
    return model


@pytest.fixture(scope="module")
def counts():
    adata = simulate("counts", n_cell_lines=2, zeros=0.4)
    return adata, fitted(
        adata, "poisson_lognormal", categorical_covariate_keys=["cell_line"], size_factor_key="size_factor"
    )


@pytest.fixture(scope="module")
def inflated():
    adata = simulate("zero_inflated_lognormal", zeros=0.4)
    return adata, fitted(adata, "zero_inflated_lognormal")


def target_f1(adata, model):
    truth = adata.uns["truth"]
    context = adata.obs["context"].to_numpy()
    place = np.zeros(len(model.contexts), int)
    place[adata.obs["_scvi_context"].to_numpy()] = context
    on = ~model.design.control
    return scgim.metrics.target_f1(truth["targets"][place][on], model.fitted.of_context.probability[on])


def test_counts_of_two_cell_lines_show_targets_and_graph(counts):
    adata, model = counts
    assert target_f1(adata, model) > 0.8
    assert scgim.metrics.edge_f1(adata.uns["truth"]["graph"], model.fitted.graph.weights) > 0.7


def test_effects_are_logarithms_of_rates(counts):
    adata, model = counts
    truth = adata.uns["truth"]
    place = [list(truth["drugs"]).index(d) for d in model.drugs]
    true = truth["drug_effect"][place] * truth["count_scale"]
    both = (true != 0) & (model.fitted.of_drug.probability > 0.9)
    assert np.median(np.abs(model.fitted.of_drug.mean[both] / true[both] - 1)) < 0.25


def test_zero_inflated_values_show_targets_and_graph(inflated):
    adata, model = inflated
    assert target_f1(adata, model) > 0.8
    assert scgim.metrics.edge_f1(adata.uns["truth"]["graph"], model.fitted.graph.weights) > 0.7


def test_predicted_counts_are_counts_like_those_observed(counts):
    adata, model = counts
    row = model.contexts.iloc[[0, 5]][["drug", "dose", "cell_line"]]
    predicted = model.predict(row, n_cells=2000, rng=0)
    assert (predicted.X == np.round(predicted.X)).all() and predicted.X.min() == 0
    for i, k in enumerate((0, 5)):
        seen = adata.X[adata.obs["_scvi_context"] == k]
        made = predicted.X[2000 * i : 2000 * (i + 1)]
        assert np.corrcoef(np.log1p(seen.mean(0)), np.log1p(made.mean(0)))[0, 1] > 0.95
        np.testing.assert_allclose((made == 0).mean(0), (seen == 0).mean(0), atol=0.2)
    mean = model.predict_mean(row).to_numpy()
    sampled = predicted.X.reshape(2, 2000, -1).mean(1)
    np.testing.assert_allclose(mean, sampled, rtol=0.25, atol=0.1)


def test_size_factors_can_be_given_at_prediction(counts):
    _, model = counts
    row = pd.DataFrame({"drug": ["control"] * 2, "dose": 0.0, "cell_line": "line_1", "size_factor": [1.0, 3.0]})
    mean = model.predict_mean(row).to_numpy()
    np.testing.assert_allclose(mean[1], 3 * mean[0])
    cells = model.predict(row, n_cells=3000, rng=0).X.reshape(2, 3000, -1).mean(1)
    np.testing.assert_allclose(cells.sum(1), mean.sum(1), rtol=0.1)
    with pytest.raises(ValueError, match="size factors in column 'size_factor'"):
        model.predict_mean(row.assign(size_factor=[1.0, 0.0]))


def test_predicted_values_are_inflated_with_zeros(inflated):
    adata, model = inflated
    row = model.contexts.iloc[[0]][["drug", "dose"]]
    cells = model.predict(row, n_cells=4000, rng=0).X
    seen = adata.X[adata.obs["_scvi_context"] == 0]
    np.testing.assert_allclose((cells == 0).mean(0), (seen == 0).mean(0), atol=0.15)
    assert cells.min() == 0
    np.testing.assert_allclose(np.log(model.predict_mean(row)), [np.log(cells.mean(0))], atol=0.5)


@pytest.mark.parametrize("name", ["counts", "inflated"])
def test_counterfactual_cells_have_the_distribution_of_predicted_ones(name, request):
    adata, model = request.getfixturevalue(name)
    control = adata[(adata.obs["drug"] == "control").to_numpy()].copy()
    covariate = [c for c in ("cell_line",) if c in model.contexts]
    control = control[(control.obs["cell_line"] == "line_1").to_numpy()].copy() if covariate else control
    row = model.contexts.loc[model.contexts["drug"] != "control", ["drug", "dose"]].iloc[[3]].reset_index(drop=True)
    moved = model.counterfactual(control, row, rng=0)
    same = model.counterfactual(control, control.obs[["drug", "dose", *covariate]].head(1), rng=0)
    np.testing.assert_allclose(same.X, control.X, rtol=1e-4)  # nothing changes, nothing is drawn anew
    first = model.counterfactual(control, row, rng=0)
    np.testing.assert_array_equal(moved.X, first.X)
    asked = row.assign(cell_line="line_1") if covariate else row
    change = np.log(model.predict_mean(asked).to_numpy()[0] + 0.05) - np.log(
        model.predict_mean(asked.assign(drug="control", dose=0.0)).to_numpy()[0] + 0.05
    )
    seen = np.log(moved.X.mean(0) + 0.05) - np.log(control.X.mean(0) + 0.05)
    assert np.corrcoef(change, seen)[0, 1] > 0.9


def test_library_sizes_stand_in_for_size_factors():
    adata = tiny()
    GIM.setup_anndata(adata, **COLUMNS)
    model = GIM(adata, noise="poisson_lognormal")
    model.train(rng=0)
    state = from_state(model.observation_)
    library = np.asarray(adata.X.sum(1)).ravel()
    assert state.size_unit == pytest.approx(library.mean())
    control = library[(adata.obs["drug"] == "control").to_numpy()] / library.mean()
    assert state.sizes.mean() == pytest.approx(control.mean(), rel=0.02)


def test_size_factors_matter_only_up_to_their_unit():
    adata = tiny()
    adata.obs["ten"] = 10 * adata.obs["size_factor"]
    one, ten = (fitted(adata.copy(), "poisson_lognormal", size_factor_key=key) for key in ("size_factor", "ten"))
    np.testing.assert_allclose(one.fitted.graph.weights, ten.fitted.graph.weights)
    np.testing.assert_allclose(one.fitted.mechanisms.baseline, ten.fitted.mechanisms.baseline)


def test_sparse_counts_give_the_same_fit_and_results_survive_saving(counts, tmp_path):
    adata = tiny()
    dense = fitted(adata.copy(), "poisson_lognormal")
    adata.X = sparse.csr_matrix(adata.X)
    model = fitted(adata, "poisson_lognormal")
    np.testing.assert_allclose(model.fitted.graph.weights, dense.fitted.graph.weights, atol=1e-8)
    model.save(tmp_path / "model")
    loaded = GIM.load(tmp_path / "model", adata)
    row = pd.DataFrame({"drug": ["drug_1"], "dose": [1.0]})
    np.testing.assert_array_equal(model.predict(row, rng=1).X, loaded.predict(row, rng=1).X)
    np.testing.assert_array_equal(model.predict_mean(row), loaded.predict_mean(row))


def test_backed_counts_give_the_same_fit(tmp_path):
    adata = tiny()
    memory = fitted(adata.copy(), "poisson_lognormal")
    adata.X = sparse.csr_matrix(adata.X)
    adata.write_h5ad(tmp_path / "counts.h5ad")
    backed = ad.read_h5ad(tmp_path / "counts.h5ad", backed="r")
    np.testing.assert_allclose(
        fitted(backed, "poisson_lognormal").fitted.graph.weights, memory.fitted.graph.weights, atol=1e-8
    )


def test_ensembles_carry_the_uncertainty_of_observation():
    adata = tiny()
    GIM.setup_anndata(adata, **COLUMNS)
    model = GIM(adata, noise="poisson_lognormal", n_ensemble=2)
    model.train(rng=0)
    assert model.fitted.settings["n_ensemble"] == 2


def test_tl_fit_writes_results_that_survive_h5ad(tmp_path):
    adata = tiny()
    model = scgim.tl.fit(adata, **COLUMNS, noise="poisson_lognormal", size_factor_key="size_factor", progress=False)
    assert adata.uns["scgim"]["params"]["noise"] == "poisson_lognormal"
    assert adata.uns["scgim"]["params"]["size_factor_key"] == "size_factor"
    adata.write_h5ad(tmp_path / "fitted.h5ad")
    back = ad.read_h5ad(tmp_path / "fitted.h5ad")
    assert back.uns["scgim"]["params"]["noise"] == "poisson_lognormal"
    np.testing.assert_allclose(back.varp["scgim_graph"].toarray(), adata.varp["scgim_graph"].toarray())
    tables = scgim.tl.diagnose(model, n_cells=20, pseudo_drugs=0)
    assert np.isfinite(tables["contexts"]["ratio"]).all()
    with pytest.warns(UserWarning, match="training data"):
        scores = scgim.tl.evaluate(model, adata, baselines=("control",))
    assert np.isfinite(scores["value"]).all()


def small(values, **changes):
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"drug": np.repeat(["control", "a"], 20), "dose": np.repeat([0.0, 1.0], 20), "s": 1.0, "c": 0.0})
    obs["c"] = rng.normal(size=40)
    adata = ad.AnnData(values.astype(np.float32), obs=obs.rename(index=str))
    GIM.setup_anndata(adata, **COLUMNS, **changes)
    return adata


RNG = np.random.default_rng(0)
COUNTS, LOGS = RNG.poisson(3.0, (40, 3)).astype(float), RNG.normal(size=(40, 3))
VALUES = np.exp(3 + LOGS) * (RNG.random((40, 3)) > 0.3)


def test_counts_with_gaussian_noise_are_pointed_out():
    with pytest.warns(UserWarning, match="noise='poisson_lognormal', or normalise"):
        GIM(small(COUNTS))


def test_logs_with_a_count_model_are_refused():
    with pytest.raises(ValueError, match="needs raw counts, and adata.X holds other values"):
        GIM(small(np.abs(LOGS)), noise="poisson_lognormal")


def test_negative_values_with_zero_inflation_are_refused():
    with pytest.raises(ValueError, match="needs non-negative values, and adata.X goes down to -"):
        GIM(small(LOGS), noise="zero_inflated_lognormal")


def test_logs_and_counts_with_zero_inflation_are_pointed_out():
    with pytest.warns(UserWarning, match="without log1p"):
        GIM(small(np.log1p(VALUES)), noise="zero_inflated_lognormal")
    with pytest.warns(UserWarning, match="holds raw counts"):
        GIM(small(COUNTS), noise="zero_inflated_lognormal")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GIM(small(VALUES), noise="zero_inflated_lognormal")
        GIM(small(COUNTS, size_factor_key="s"), noise="poisson_lognormal")
        GIM(small(LOGS))


def test_sums_of_few_genes_are_no_depth():
    with pytest.warns(UserWarning, match="no size_factor_key, so that counts of the 3 modelled genes"):
        GIM(small(COUNTS), noise="poisson_lognormal")


def test_size_factors_that_are_not_used_are_pointed_out():
    with pytest.warns(UserWarning, match="size_factor_key='s' is not used by 'gaussian'"):
        GIM(small(LOGS, size_factor_key="s"))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"mechanism": "additive"}, "'poisson_lognormal' needs mechanism='linear'"),
        ({"intervention": "hard"}, "'poisson_lognormal' needs intervention='shift'"),
        ({"structure": "gradient"}, "'gradient' needs noise='gaussian'"),
    ],
    ids=str,
)
def test_other_settings_need_gaussian_noise(setting, message):
    with pytest.raises(ValueError, match=message):
        GIM(small(COUNTS), noise="poisson_lognormal", **setting)


def test_continuous_covariates_and_unknown_names_are_refused():
    with pytest.raises(ValueError, match="continuous_covariate_keys: expected none"):
        GIM(small(COUNTS, continuous_covariate_keys=["c"]), noise="poisson_lognormal")
    with pytest.raises(ValueError, match="noise: expected one of"):
        GIM(small(COUNTS), noise="counts")


def test_cells_without_counts_are_refused():
    values = COUNTS.copy()
    values[3] = 0
    model = GIM(small(values), noise="poisson_lognormal")
    with pytest.raises(ValueError, match=r"1 cell\(s\) have no counts"):
        model.train()
