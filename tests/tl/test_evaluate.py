"""tl.evaluate: metrics, baselines, features, and what it refuses."""

import numpy as np
import pytest

import systems
from scgim import tl
from scgim.model import GIM


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
    text = parts["new_dose"].copy()
    text.obs["dose"] = text.obs["dose"].astype(str) + " uM"
    with pytest.raises(TypeError, match=r"^adata_test: expected numbers.*encode_doses\(adata_test, 'dose'"):
        tl.evaluate(model, text)
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
    train = systems.make_pairs([("control", "control")] * 3 + rows * 2, effects, rng)
    test = systems.make_pairs([("a", "b"), ("b", "c")], effects, rng)
    model = tl.fit(train, perturbation_key=["d1", "d2"], control="control", max_epochs=0)
    scores = tl.evaluate(model, test, metrics=["mean_distance"], baselines=["additive"])
    assert scores["value"].max() < 0.6


def test_every_metric_beside_what_the_cells_themselves_allow(model, parts):
    scores = tl.evaluate(model, parts["new_dose"], metrics="all", baselines=["training_mean", "split_half"])
    median = scores.groupby(["metric", "method"])["value"].median().unstack()
    assert list(median.columns) == ["gim", "split_half", "training_mean"] and len(median) == 8
    assert median.notna().all().all()
    for name in ("pearson_mean_change", "pearson_from_others", "centroid_accuracy", "top_gene_overlap"):
        assert median.loc[name, "gim"] > median.loc[name, "training_mean"]
        assert median.loc[name, "split_half"] > 0.8
    assert median.loc["weighted_error", "gim"] < median.loc["weighted_error", "training_mean"]


def test_unknown_drugs_without_features_are_left_out_by_name(model, parts):
    import anndata

    both = anndata.concat([parts["new_dose"], parts["new_drug"]])
    with pytest.warns(UserWarning, match="have no features; 12 of 72 conditions are left out"):
        scores = tl.evaluate(model, both, metrics=["mean_distance"], baselines=[])
    assert scores["context"].nunique() == 60
    with pytest.raises(KeyError, match="no condition can be predicted"):
        tl.evaluate(model, parts["new_drug"], metrics=["mean_distance"], baselines=[])
