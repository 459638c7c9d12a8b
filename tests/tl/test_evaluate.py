"""tl.predict, tl.evaluate and tl.diagnose on one small simulated system, with features."""

import numpy as np
import pandas as pd
import pytest

import systems
from scgim import pl, tl
from scgim.model import GIM


@pytest.fixture(scope="module")
def parts():
    adata = systems.simulated(n_genes=6, n_drugs=12, n_new_drugs=3, n_cells=40, n_test_cells=80, max_targets=2)
    return {name: adata[adata.obs["split"] == name].copy() for name in ("train", "new_dose", "new_drug")}


@pytest.fixture(scope="module")
def model(parts):
    return tl.fit(parts["train"].copy(), perturbation_key="drug", dose_key="dose", control="control", max_epochs=0)


@pytest.fixture(scope="module")
def model_with_features(parts):
    return tl.fit(
        parts["train"].copy(),
        perturbation_key="drug",
        dose_key="dose",
        control="control",
        features_key="features",
        max_epochs=0,
    )


def test_predicted_cells_are_labelled_and_seeded(model):
    drug = model.drugs[0]
    rows = pd.DataFrame({"drug": [drug, "control"], "dose": [1.1, 0.0]})
    cells = tl.predict(model, rows, n_cells=7)
    assert cells.shape == (14, 6) and list(cells.obs["drug"]) == [drug] * 7 + ["control"] * 7
    assert cells.uns["scgim"]["prediction"]["mechanism"] == "linear"
    np.testing.assert_array_equal(cells.X, tl.predict(model, rows, n_cells=7).X)
    with pytest.raises(KeyError, match="unheard"):
        tl.predict(model, pd.DataFrame({"drug": ["unheard"], "dose": [1.0]}))


def test_evaluate_new_doses_beats_baselines(model, parts):
    scores = tl.evaluate(model, parts["new_dose"])
    assert list(scores) == ["method", "context", "metric", "value"]
    assert set(scores["method"]) == {"gim", "control", "training_mean", "ridge", "knn"}
    assert scores.groupby(["method", "metric"]).size().eq(60).all()
    assert np.isfinite(scores["value"]).all()
    median = scores.groupby(["metric", "method"])["value"].median().unstack()
    for metric in ("mean_distance", "energy_distance"):
        assert median.loc[metric, "gim"] < 0.5 * median.loc[metric, "control"]
        assert median.loc[metric, "gim"] < median.loc[metric, "training_mean"]
    assert median.loc["pearson_mean_change", "gim"] > 0.9


def test_control_baseline_is_that_made_by_hand(model, parts):
    scores = tl.evaluate(model, parts["new_dose"], metrics=["mean_distance"], baselines=["control"])
    test, train = parts["new_dose"], parts["train"]
    control = train[train.obs["drug"] == "control"].X.mean(0)
    row = scores[scores["method"] == "control"].iloc[0]
    drug, dose = row["context"].removeprefix("drug=").split(", dose=")
    cells = test[(test.obs["drug"] == drug) & (test.obs["dose"] == float(dose))].X
    assert row["value"] == pytest.approx(np.linalg.norm(cells.mean(0) - control), rel=1e-4)


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
    adata = frame_of([("control", "control")] * 4 + [("a", "control")] * 2 + [("b", "control")] * 2, effects, rng)
    adata.obs["phase"] = rng.normal(np.where(adata.obs["d1"] == "control", 2.0, 0.0))
    adata.X[:, 1] += 3 * adata.obs["phase"].to_numpy()
    held = np.arange(adata.n_obs) % 2 == 0
    keys = {"perturbation_key": "d1", "control": "control", "continuous_covariate_keys": ["phase"]}
    model = tl.fit(adata[held].copy(), **keys, intervention="shift", max_epochs=0)
    test = adata[~held & (adata.obs["d1"] == "a").to_numpy()].copy()
    with pytest.warns(UserWarning, match="were in the training data"):
        scores = tl.evaluate(model, test, metrics=["mean_distance"], baselines=(), population="control")
    assert scores["value"].item() < 0.8


def test_evaluate_new_drugs_from_features(model_with_features, parts):
    scores = tl.evaluate(model_with_features, parts["new_drug"], metrics=["mean_distance"])
    assert scores["context"].nunique() == 12 and np.isfinite(scores["value"]).all()


def test_evaluate_refuses_what_does_not_fit(model, parts, tmp_path):
    with pytest.raises(ValueError, match="metrics"):
        tl.evaluate(model, parts["new_dose"], metrics=["accuracy"])
    with pytest.raises(ValueError, match="baselines"):
        tl.evaluate(model, parts["new_dose"], baselines="best")
    with pytest.raises(ValueError, match="genes"):
        tl.evaluate(model, parts["new_dose"][:, ::-1].copy())
    with pytest.raises(KeyError, match="drug"):
        tl.evaluate(model, parts["new_drug"])
    with pytest.warns(UserWarning, match="were in the training data"):
        tl.evaluate(model, parts["train"], metrics=["mean_distance"], baselines=())
    model.save(str(tmp_path / "m"))
    loaded = GIM.load(str(tmp_path / "m"), adata=False)
    with pytest.raises(ValueError, match="without its training data"):
        tl.evaluate(loaded, parts["new_dose"])
    alone = tl.evaluate(loaded, parts["new_dose"], metrics=["mean_distance"], baselines=())
    assert set(alone["method"]) == {"gim"}
    with pytest.raises(ValueError, match="without its training data"):
        tl.diagnose(loaded)


def test_additive_baseline_adds_single_effects():
    rng = np.random.default_rng(0)
    rows, effects = (
        [("a", "control"), ("b", "control"), ("c", "control")],
        {"a": 2.0, "b": -1.0, "c": 0.5, "control": 0.0},
    )
    train = frame_of([("control", "control")] * 3 + rows * 2, effects, rng)
    test = frame_of([("a", "b"), ("b", "c")], effects, rng)
    model = tl.fit(train, perturbation_key=["d1", "d2"], control="control", max_epochs=0)
    scores = tl.evaluate(model, test, metrics=["mean_distance"], baselines=["additive"])
    assert scores["value"].max() < 0.6


def frame_of(rows, effects, rng):
    import anndata as ad

    obs = pd.DataFrame([row for row in rows for _ in range(60)], columns=["d1", "d2"]).rename(index=str)
    shift = obs["d1"].map(effects).to_numpy() + obs["d2"].map(effects).to_numpy()
    x = rng.normal(size=(len(obs), 4))
    x[:, 0] += shift
    return ad.AnnData(x.astype(np.float32), obs=obs, var=pd.DataFrame(index=list("wxyz")))


def test_diagnosis_has_a_table_for_each_question(model, model_with_features):
    tables = tl.diagnose(model, n_cells=50)
    assert set(tables) == {"features", "support", "similar", "contexts"}
    assert tables["features"].empty
    support = tables["support"]
    assert (support["probability"] >= 0.5).all() and (support["n_doses"] == 4).all()
    assert len(tables["similar"]) == 12 * 11 / 2
    contexts = tables["contexts"]
    assert len(contexts) == 49 and 0.5 < contexts["ratio"].median() < 1.5 and 0.8 < contexts["sd_ratio"].median() < 1.2
    with_features = tl.diagnose(model_with_features, n_cells=20)["features"]
    assert {"none", "control"} <= set(with_features["map"]) and with_features["chosen"].sum() == 1


def test_identical_drugs_are_not_distinct(parts):
    train = parts["train"].copy()
    twin = train.obs["drug"].cat.categories[1]
    cells = np.flatnonzero(train.obs["drug"] == twin)
    labels = train.obs["drug"].astype(str).to_numpy()
    labels[cells[::2]] = "twin"
    train.obs["drug"] = labels
    model = tl.fit(train, perturbation_key="drug", dose_key="dose", control="control", max_epochs=0)
    first = tl.diagnose(model, n_cells=10)["similar"].iloc[0]
    assert {first["drug_1"], first["drug_2"]} == {twin, "twin"} and not first["distinct"]


def test_diagnosis_is_drawn_by_its_tables(model):
    axes = pl.diagnostics(tl.diagnose(model, n_cells=10), show=False)
    assert set(axes) == {"contexts", "support", "similar", "features"}
    with pytest.raises(KeyError, match="support"):
        pl.diagnostics({}, show=False)


@pytest.fixture(scope="module")
def counts():
    """Two patients of which the second has no treated cells in training; a drug halves or triples some genes."""
    import anndata as ad

    rng = np.random.default_rng(0)
    rate = np.exp(rng.normal(1.0, 1.0, size=(2, 12)))  # patients differ
    change = np.array([0.5, 3.0] * 3 + [1.0] * 6)
    rows = [(p, d) for p in range(2) for d in ("control", "drug") for _ in range(200)]
    x = np.array([rng.poisson(rate[p] * (change if d == "drug" else 1) * rng.gamma(8, 1 / 8)) for p, d in rows])
    obs = pd.DataFrame(rows, columns=["patient", "drug"]).astype(str).rename(index=str)
    adata = ad.AnnData(x.astype(np.float32), obs=obs, var=pd.DataFrame(index=[f"g{j}" for j in range(12)]))
    held = ((obs["patient"] == "1") & (obs["drug"] == "drug")).to_numpy()
    train = adata[~held & (x.sum(1) > 0)].copy()
    with pytest.warns(UserWarning, match="size_factor_key"):
        model = tl.fit(
            train, perturbation_key="drug", control="control", batch_key="patient", noise="poisson_lognormal"
        )
    return model, adata[held & (x.sum(1) > 0)].copy()


def test_evaluate_counts_on_logs(counts):
    model, test = counts
    scores = tl.evaluate(model, test, baselines=("control", "training_mean"), transform="log_normalize")
    table = scores.set_index(["metric", "method"])["value"]
    moved = tl.evaluate(model, test, baselines=(), transform="log_normalize", population="control")
    moved = moved.set_index("metric")["value"]
    for gim in (table.xs("gim", level="method"), moved):  # changes multiply, which a mean of logarithms does not see
        assert gim["mean_distance"] < 0.8 * table["mean_distance", "training_mean"]
        assert gim["energy_distance"] < table["energy_distance", "training_mean"]
    by_hand = tl.evaluate(model, test, metrics=["mean_distance"], baselines=("control",), transform=np.sqrt)
    control = np.sqrt(model.adata.X[((model.adata.obs["patient"] == "1") & (model.adata.obs["drug"] == "control"))])
    expected = np.linalg.norm(np.sqrt(test.X).mean(0) - control.mean(0))
    assert by_hand.set_index("method")["value"]["control"] == pytest.approx(expected, rel=1e-4)


def test_wrong_transforms_are_refused(counts, model, parts):
    fitted, test = counts
    with pytest.raises(ValueError, match="transform"):
        tl.evaluate(fitted, test, transform="log")
    with pytest.raises(TypeError, match="transform"):
        tl.evaluate(fitted, test, transform=3)
    with pytest.raises(ValueError, match="shape"):
        tl.evaluate(fitted, test, transform=lambda cells: cells[:, :2])
    with pytest.raises(ValueError, match="population"):
        tl.evaluate(fitted, test, population="treated")
    with pytest.raises(ValueError, match="for counts"):
        tl.evaluate(model, parts["new_dose"], transform="log_normalize")
