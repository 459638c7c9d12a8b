import numpy as np
import pandas as pd
import pytest

from scgim import metrics, tl


def test_observed_changes_are_means_less_the_control(model, parts):
    held = parts["new_dose"]
    table = tl.changes(model, held)
    obs, x = held.obs, np.asarray(held.X)
    control = np.asarray(parts["train"].X)[(parts["train"].obs["drug"] == "control").to_numpy()]
    for context, part in list(table.groupby("context", sort=False))[:4]:
        values = dict(pair.split("=") for pair in context.split(", "))
        own = x[((obs["drug"] == values["drug"]) & np.isclose(obs["dose"], float(values["dose"]))).to_numpy()]
        np.testing.assert_allclose(part["observed"], own.mean(0) - control.mean(0), atol=1e-5)
        error = np.sqrt(own.var(0, ddof=1) / len(own) + control.var(0, ddof=1) / len(control))
        np.testing.assert_allclose(part["observed_se"], error, rtol=1e-3)
        row = pd.DataFrame({"drug": [values["drug"]], "dose": [float(values["dose"])]})
        predicted = model.predict_mean(row).to_numpy()[0] - control.mean(0)
        np.testing.assert_allclose(part["predicted"], predicted, atol=1e-5)
        assert part["gene"].tolist() == list(held.var_names)
        assert (part["n_cells"] == len(own)).all()


def test_correlations_are_those_of_evaluate(model, parts):
    table = tl.changes(model, parts["new_dose"])
    scores = tl.evaluate(model, parts["new_dose"], metrics="pearson_mean_change", baselines=("control",))
    scores = scores[scores["method"] == "gim"].set_index("context")["value"]
    for context, part in table.groupby("context"):
        own = metrics.pearson_mean_change(
            part["observed"].to_numpy(), part["predicted"].to_numpy(), np.zeros(len(part))
        )
        assert own == pytest.approx(scores[context], abs=1e-6)


def test_without_other_cells_the_training_contexts_are_compared(model, parts):
    table = tl.changes(model)
    contexts = model.contexts
    assert table["context"].nunique() == (contexts["drug"] != "control").sum()
    assert np.corrcoef(table["observed"], table["predicted"])[0, 1] > 0.95


def test_new_drugs_take_their_features_from_the_cells(model_with_features, parts):
    table = tl.changes(model_with_features, parts["new_drug"])
    assert set(table["perturbation"]) == set(parts["new_drug"].obs["drug"].astype(str)) - {"control"}
    assert np.isfinite(table["predicted"]).all()
