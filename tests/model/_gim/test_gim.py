"""The model class: training, saving, results and prediction on small screens."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import systems
from scgim.model import GIM

SETUP: dict[str, Any] = {"perturbation_key": "drug", "dose_key": "dose", "control": "DMSO"}
ASKED = pd.DataFrame({"drug": ["Ünï-drug α", "DMSO", "(+/-) JQ1/analogue"], "dose": [3.0, 0.0, 1.0]})


def trained(adata: ad.AnnData, setup: dict[str, Any] | None = None, **arguments: Any) -> GIM:
    GIM.setup_anndata(adata, **SETUP | (setup or {}))
    model = GIM(adata, **arguments)
    model.train(max_epochs=0)
    return model


@pytest.fixture
def model(screen: ad.AnnData) -> GIM:
    return trained(screen)


def test_targets_of_a_chain_are_found(model: GIM) -> None:
    """Drug d shifts gene d by 4 dose / (dose + 1), and the chain carries it on."""
    table = model.get_targets()
    numbers = ["probability", "log_odds", "effect", "effect_sd", "rank", "identified"]
    assert list(table) == ["drug", "dose", "gene", "kind", *numbers]
    assert len(table) == 9 * 4
    best = table[(table["rank"] == 1) & (table["dose"] == 10)].set_index("drug")
    intended = dict(zip(("(+/-) JQ1/analogue", "Ünï-drug α", "drug with spaces"), ("g0", "g1", "g2"), strict=True))
    for drug, gene in intended.items():
        assert best.loc[drug, "gene"] == gene
        assert best.loc[drug, "probability"] > 0.9
        assert abs(best.loc[drug, "effect"] - 40 / 11) < 4 * best.loc[drug, "effect_sd"] + 0.5
    weights, probabilities = model.get_graph()
    assert sparse.issparse(weights) and sparse.issparse(probabilities)
    found = {(i, j) for i, j in np.argwhere(weights.toarray() != 0)}
    assert {(0, 1), (1, 2), (2, 3)} <= found


def test_targets_of_any_perturbation_can_be_asked_for(model: GIM) -> None:
    table = model.get_targets(ASKED)
    assert len(table) == 3 * 4
    control = table[table["drug"] == "DMSO"]
    assert not control["probability"].any()
    new = table[(table["drug"] == "Ünï-drug α") & (table["gene"] == "g1")].iloc[0]
    assert abs(new["effect"] - 3.0) < 0.7


def test_predicted_cells_are_labelled(model: GIM) -> None:
    cells = model.predict(ASKED, n_cells=5, rng=3)
    assert cells.shape == (15, 4)
    assert cells.X.dtype == np.float32
    assert cells.var_names.tolist() == ["g0", "g1", "g2", "g3"]
    assert list(cells.obs) == ["drug", "dose"]
    assert cells.obs["drug"].tolist() == [d for d in ASKED["drug"] for _ in range(5)]
    assert cells.obs["dose"].tolist() == [d for d in ASKED["dose"] for _ in range(5)]
    assert cells.uns["scgim"]["prediction"]["predicted"] is True
    np.testing.assert_array_equal(model.predict(ASKED, n_cells=5, rng=3).X, cells.X)
    assert not np.array_equal(model.predict(ASKED, n_cells=5, rng=4).X, cells.X)


def test_mean_of_cells_is_the_predicted_mean(model: GIM) -> None:
    cells = model.predict(ASKED, n_cells=4000).X.reshape(3, 4000, 4)
    mean = model.predict_mean(ASKED.set_axis(["x", "y", "z"]))
    assert mean.index.tolist() == ["x", "y", "z"]
    np.testing.assert_allclose(cells.mean(1), mean, atol=6 * cells.std(1).max() / 4000**0.5)


def test_saved_model_predicts_the_same_without_the_data(model: GIM, screen: ad.AnnData, tmp_path: Path) -> None:
    model.save(str(tmp_path / "m"))
    for data in (False, screen.copy(), screen[screen.obs["dose"] != 10].copy()):
        again = GIM.load(str(tmp_path / "m"), adata=data)
        assert again.is_trained_
        np.testing.assert_array_equal(again.predict(ASKED).X, model.predict(ASKED).X)
        pd.testing.assert_frame_equal(again.predict_mean(ASKED), model.predict_mean(ASKED))
        pd.testing.assert_frame_equal(again.get_targets(), model.get_targets())
        pd.testing.assert_frame_equal(again.contexts, model.contexts)
        assert (again.get_graph()[0] != model.get_graph()[0]).nnz == 0
        assert again.history is not None and model.history is not None
        assert list(again.history) == list(model.history)
    again.save(str(tmp_path / "again"))


def test_nothing_of_pandas_is_saved(model: GIM) -> None:
    def walk(value: Any) -> None:
        assert not isinstance(value, (pd.DataFrame, pd.Series, pd.Index)), value
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
            walk(item)

    for name, value in vars(model).items():
        if name.endswith("_"):
            walk(value)


def test_untrained_model_saves_and_trains_after_loading(screen: ad.AnnData, tmp_path: Path) -> None:
    GIM.setup_anndata(screen, **SETUP)
    model = GIM(screen)
    with pytest.raises(RuntimeError, match=r"model.train\(\)"):
        model.get_targets()
    with pytest.raises(RuntimeError, match=r"model.train\(\)"):
        model.predict(ASKED)
    model.save(str(tmp_path / "m"))
    again = GIM.load(str(tmp_path / "m"), adata=screen)
    again.train(max_epochs=0)
    model.train(max_epochs=0)
    pd.testing.assert_frame_equal(again.get_targets(), model.get_targets())


def test_loading_refuses_other_genes(model: GIM, screen: ad.AnnData, tmp_path: Path) -> None:
    model.save(str(tmp_path / "m"))
    with pytest.warns(UserWarning, match="var_names"), pytest.raises(ValueError, match="genes of the model"):
        GIM.load(str(tmp_path / "m"), adata=screen[:, [1, 0, 2, 3]].copy())


def test_training_without_data_is_refused(model: GIM, tmp_path: Path) -> None:
    model.save(str(tmp_path / "m"))
    with pytest.raises(ValueError, match="loaded without data"):
        GIM.load(str(tmp_path / "m"), adata=False).train()


def test_batches_have_baselines(screens: Callable[..., ad.AnnData]) -> None:
    model = trained(screens(batches=("b/1", "b2")), {"batch_key": "batch"})
    assert list(model.contexts) == ["drug", "dose", "batch", "n_cells"]
    mean = model.predict_mean(pd.DataFrame({"drug": "DMSO", "dose": 0.0, "batch": ["b/1", "b2"]}))
    assert 0.4 < mean["g0"].iloc[1] - mean["g0"].iloc[0] < 1.6
    cells = model.predict(pd.DataFrame({"drug": ["DMSO"], "dose": [0.0]}), n_cells=400)
    share = (cells.obs["batch"] == "b2").mean()
    assert 0.4 < share < 0.6
    by_batch = cells.to_df().groupby(cells.obs["batch"], observed=True)["g0"].mean()
    assert by_batch["b2"] - by_batch["b/1"] > 0.3


@pytest.mark.parametrize("dtype", ["int64", "bool", "category"])
def test_labels_of_predicted_cells_are_of_the_registered_type(
    screens: Callable[..., ad.AnnData], tmp_path: Path, dtype: str
) -> None:
    adata = screens(batches=("0", "1"))
    adata.obs["batch"] = adata.obs["batch"].astype(int).astype(dtype)
    trained(adata, {"batch_key": "batch"}).save(str(tmp_path))
    model, column = GIM.load(str(tmp_path), adata=False), adata.obs["batch"]
    some = pd.DataFrame({"drug": "DMSO", "dose": 0.0, "batch": column.unique()})
    for asked in (some, some.assign(batch=some["batch"].astype(str)), some.drop(columns="batch")):
        found = model.predict(asked, n_cells=50).obs["batch"]
        assert found.dtype == dtype
        assert set(found) == set(column)


@pytest.mark.filterwarnings("ignore:features. there are too few drugs")
def test_new_drugs_may_be_named_by_text_where_others_are_numbers(screens: Callable[..., ad.AnnData]) -> None:
    adata = screens(drugs=("1", "2", "10"))
    adata.obs["drug"] = adata.obs["drug"].astype(str).replace("DMSO", "0").astype(int).astype("category")
    adata.uns["features"] = pd.DataFrame({"size": [1.0, 2.0, 4.0, 2.0]}, index=["1", "2", "10", "new"])
    model = trained(adata, {"control": "0", "features_key": "features"})
    drugs = [
        model.predict(pd.DataFrame({"drug": of, "dose": 1.0}), n_cells=1).obs["drug"] for of in ([10, 2], [10, "new"])
    ]
    assert drugs[0].tolist() == [10, 2] and drugs[0].cat.categories.tolist() == [2, 10]
    assert drugs[1].tolist() == ["10", "new"]


def test_continuous_covariates_are_taken_out(screens: Callable[..., ad.AnnData], tmp_path: Path) -> None:
    adata = screens(n_cells=20)
    score = np.random.default_rng(1).normal(size=adata.n_obs)
    adata.obs["cycle"] = score + 5
    adata.X[:, 3] += (3 * score).astype(np.float32)
    plain, adjusted = trained(adata.copy()), trained(adata, {"continuous_covariate_keys": ["cycle"]})
    noise = adjusted.fitted.mechanisms.noise_sd[3]
    assert noise < 0.6 * plain.fitted.mechanisms.noise_sd[3]
    table = pd.DataFrame({"drug": "DMSO", "dose": 0.0, "cycle": [5.0, 6.0]})
    change = adjusted.predict_mean(table).diff().iloc[1]
    assert abs(change["g3"] - 3) < 0.3
    adjusted.save(str(tmp_path / "m"))
    again = GIM.load(str(tmp_path / "m"), adata=False)
    pd.testing.assert_frame_equal(again.predict_mean(table), adjusted.predict_mean(table))


def test_mask_forbids_edges(screen: ad.AnnData) -> None:
    edges = pd.DataFrame({"source": ["g0"], "target": ["g1"]})
    model = trained(screen, graph_prior=edges)
    assert set(zip(*model.get_graph()[0].nonzero(), strict=True)) <= {(0, 1)}
    assert model.get_graph()[1].toarray()[1:].max() < 1e-6


def test_prior_and_known_targets_are_saved(screen: ad.AnnData, tmp_path: Path) -> None:
    known = pd.DataFrame({"drug": ["Ünï-drug α"], "gene": ["g3"]})
    screen.varp["tf"] = np.triu(np.ones((4, 4)), 1)
    model = trained(screen, graph_prior="tf", known_targets=known)
    hit = model.get_targets().query("drug == 'Ünï-drug α' and gene == 'g3'")
    assert (hit["probability"] > 0.99).all()
    model.save(str(tmp_path / "m"))
    del screen.varp["tf"]
    again = GIM.load(str(tmp_path / "m"), adata=screen)
    again.train(max_epochs=0)
    pd.testing.assert_frame_equal(again.get_targets(), model.get_targets())


def test_ensemble_averages_probabilities(screen: ad.AnnData) -> None:
    model = trained(screen, n_ensemble=2)
    assert model.fitted.settings["n_ensemble"] == 2
    assert (model.fitted.of_context.sd >= trained(screen.copy()).fitted.of_context.sd - 1e-12).all()


def test_same_seed_gives_the_same_model(screen: ad.AnnData) -> None:
    GIM.setup_anndata(screen, **SETUP)
    first, second = GIM(screen), GIM(screen)
    first.train(max_epochs=0, rng=7)
    second.train(max_epochs=0, rng=7)
    pd.testing.assert_frame_equal(first.get_targets(), second.get_targets())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mechanism": "quadratic"}, "mechanism: expected one of"),
        ({"intervention": "soft"}, "intervention: expected one of"),
        ({"structure": "magic"}, "structure: expected one of"),
        ({"n_ensemble": -1}, "n_ensemble"),
        ({"n_ensemble": 1.5}, "n_ensemble"),
    ],
)
def test_wrong_settings_are_refused(screen: ad.AnnData, arguments: dict, message: str) -> None:
    GIM.setup_anndata(screen, **SETUP)
    with pytest.raises(ValueError, match=message):
        GIM(screen, **arguments)


@pytest.mark.parametrize("n_cells", [0, -1, 1.5, True])
def test_wrong_numbers_of_cells_are_refused(model: GIM, n_cells: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="n_cells"):
        model.predict(ASKED, n_cells=n_cells)


@pytest.mark.parametrize("ending", [".h5ad", ".zarr"])
def test_streamed_cells_are_the_predicted_ones(
    model: GIM, tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scgim.model._prediction.cells.BLOCK_VALUES", 28)  # 7 cells at once
    model.predict_to_disk(ASKED, tmp_path / f"cells{ending}", n_cells=9, rng=1)
    read = ad.read_h5ad if ending == ".h5ad" else ad.read_zarr
    found, expected = read(tmp_path / f"cells{ending}"), model.predict(ASKED, n_cells=9, rng=1)
    np.testing.assert_array_equal(found.X, expected.X)
    pd.testing.assert_frame_equal(found.obs, expected.obs)
    assert found.var_names.tolist() == expected.var_names.tolist()
    assert found.uns["scgim"]["prediction"]["noise"] == "gaussian"
    with pytest.raises(FileExistsError, match="path"):
        model.predict_to_disk(ASKED, tmp_path / f"cells{ending}")
    with pytest.raises(ValueError, match="path: expected an ending"):
        model.predict_to_disk(ASKED, tmp_path / "cells.csv")


def test_predicted_cells_survive_writing(model: GIM, tmp_path: Path) -> None:
    cells = model.predict(ASKED, n_cells=2)
    cells.write_h5ad(tmp_path / "c.h5ad")
    pd.testing.assert_frame_equal(ad.read_h5ad(tmp_path / "c.h5ad").obs, cells.obs)


def test_counterfactual_cells_move_by_the_change_of_the_mean_and_back(model: GIM, screen: ad.AnnData) -> None:
    control = screen[screen.obs["drug"] == "DMSO"]
    unchanged = model.counterfactual(control, pd.DataFrame({"drug": ["DMSO"], "dose": [0.0]}))
    np.testing.assert_allclose(unchanged.X, control.X, atol=1e-5)
    treated = pd.DataFrame({"drug": ["Ünï-drug α"], "dose": [3.0]})
    shifted = model.counterfactual(control[:, ::-1], treated)
    assert shifted.obs_names.equals(control.obs_names)
    assert (shifted.obs["drug"] == "Ünï-drug α").all()
    change, mean = (
        shifted.X - control.X,
        model.predict_mean(pd.concat([treated, treated.assign(drug="DMSO", dose=0.0)])),
    )
    np.testing.assert_allclose(change, np.tile((mean.iloc[0] - mean.iloc[1]).to_numpy(), (len(change), 1)), atol=1e-4)
    back = model.counterfactual(
        ad.AnnData(shifted.X, obs=shifted.obs, var=shifted.var), pd.DataFrame({"drug": ["DMSO"], "dose": [0.0]})
    )
    np.testing.assert_allclose(back.X, control.X, atol=1e-4)
    with pytest.raises(ValueError, match="perturbations: expected 1 row or 48"):
        model.counterfactual(control, ASKED)
    with pytest.raises(ValueError, match="adata: lacks 1 gene"):
        model.counterfactual(control[:, :3], treated)


def test_errors_name_the_cells_or_the_table_that_was_given(model: GIM, screen: ad.AnnData) -> None:
    cells, candidates = screen[screen.obs["drug"] != "DMSO"].copy(), ASKED.assign(dose=-1.0)
    calls = (
        lambda: model.counterfactual(cells, ASKED.iloc[:1]),
        lambda: model.intervene(cells, shift={model.genes[0]: 1.0}),
    )
    for values, error, what in (
        (-1.0, ValueError, "column 'dose' is negative"),
        ("1 uM", TypeError, r"expected numbers.*encode_doses\(adata, .dose., unit="),
    ):
        cells.obs["dose"] = values
        for call in calls:
            with pytest.raises(error, match=f"^adata: {what}"):
                call()
    with pytest.raises(ValueError, match="^candidates: column 'dose' is negative"):
        model.suggest_experiments(candidates)
    with pytest.raises(
        TypeError, match=r"^perturbations: expected numbers in column 'dose'.*numbers of the unit of the fit"
    ):
        model.predict(ASKED.assign(dose="1 uM"))
    with pytest.raises(ValueError, match="^population: column 'dose' is negative"):
        model.intervene(shift={model.genes[0]: 1.0}, population={"drug": ASKED["drug"].iloc[0], "dose": -1.0})


def test_both_stages_take_covariates_out(screens: Callable[..., ad.AnnData], tmp_path: Path) -> None:
    """The search and Lightning see the same adjusted cells; the history holds both; the model saves and loads."""
    adata = screens(batches=("b1", "b2"), n_cells=8)
    adata.obs["cycle"] = np.random.default_rng(0).normal(size=adata.n_obs)
    adata.X = sparse.csr_matrix(adata.X)
    GIM.setup_anndata(adata, **SETUP, batch_key="batch", continuous_covariate_keys=["cycle"])
    model = GIM(adata)
    model.train(max_epochs=2, accelerator="cpu", enable_progress_bar=False)
    assert model.history is not None
    assert {"search_score", "train_loss"} <= set(model.history)
    model.save(str(tmp_path / "m"))
    again = GIM.load(str(tmp_path / "m"), adata=False)
    pd.testing.assert_frame_equal(again.predict_mean(ASKED), model.predict_mean(ASKED))
    for name, table in model.history.items():
        pd.testing.assert_frame_equal(again.history[name], table)  # type: ignore[index]


def test_features_predict_new_drugs_and_are_saved(tmp_path: Path) -> None:
    """Features that are a projection of the effects: a new drug is predicted far better than by no change."""
    size = {"n_genes": 8, "edges_per_gene": 2.0, "n_drugs": 16, "n_new_drugs": 3, "n_control": 800, "n_cells": 20}
    adata = systems.simulated(**size, new_doses=[], n_test_cells=50, features="projection")
    train, new = (adata[adata.obs["split"] == s].copy() for s in ("train", "new_drug"))
    GIM.setup_anndata(train, perturbation_key="drug", dose_key="dose", control="control", features_key="features")
    model = GIM(train)
    model.train(max_epochs=0)
    asked = new.obs[["drug", "dose"]].drop_duplicates().astype({"drug": str})
    cells = new.to_df().groupby([new.obs["drug"].astype(str), new.obs["dose"]]).mean()
    truth = cells.loc[list(asked.itertuples(index=False, name=None))]
    control = train.to_df()[(train.obs["drug"] == "control").to_numpy()].mean()
    found = model.predict_mean(asked)  # the registered table holds the new drugs
    error = np.linalg.norm(found.to_numpy() - truth.to_numpy(), axis=1).mean()
    assert error < 0.5 * np.linalg.norm(control.to_numpy() - truth.to_numpy(), axis=1).mean()
    model.save(str(tmp_path / "m"))
    again = GIM.load(str(tmp_path / "m"), adata=False)
    pd.testing.assert_frame_equal(again.predict_mean(asked), found)
    renamed, drug = asked.assign(drug=asked["drug"].replace({asked["drug"].iloc[0]: "new/one"})), asked["drug"].iloc[0]
    with pytest.raises(KeyError, match="'new/one'"):
        again.predict_mean(renamed)
    table = train.uns["features"].loc[[drug]].rename(index={drug: "new/one"})
    np.testing.assert_allclose(again.predict_mean(renamed, features=table), found)
    assert (again.get_targets(renamed, features=table)["probability"] <= 1).all()


def test_combinations_superpose(screens: Callable[..., ad.AnnData]) -> None:
    """Trained on single drugs in two columns, a pair in either order is the sum of its shifts."""
    adata = screens(n_cells=20)
    adata.obs["drug_2"], adata.obs["dose_2"] = "DMSO", 0.0
    GIM.setup_anndata(adata, perturbation_key=["drug", "drug_2"], dose_key=["dose", "dose_2"], control="DMSO")
    model = GIM(adata)
    model.train(max_epochs=0)
    a, b = "(+/-) JQ1/analogue", "Ünï-drug α"
    columns = ["drug", "dose", "drug_2", "dose_2"]
    rows = [
        (a, 3.0, b, 1.5),
        (b, 1.5, a, 3.0),
        (a, 3.0, "DMSO", 0.0),
        ("DMSO", 0.0, b, 1.5),
        ("DMSO", 0.0, "DMSO", 0.0),
    ]
    mean = model.predict_mean(pd.DataFrame(rows, columns=columns)).to_numpy()
    np.testing.assert_allclose(mean[0], mean[1])
    np.testing.assert_allclose(mean[0] - mean[4], (mean[2] - mean[4]) + (mean[3] - mean[4]))
    assert set(model.predict(pd.DataFrame(rows, columns=columns), n_cells=1).obs) == set(columns)
