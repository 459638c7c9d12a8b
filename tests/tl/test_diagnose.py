"""Tables of tl.diagnose, and their picture."""

from types import SimpleNamespace

import numpy as np
import pytest

from scgim import pl, tl
from scgim._core.effects import Effects
from scgim.tl._diagnose import _similar


def test_diagnosis_has_a_table_for_each_question(model, model_with_features):
    tables = tl.diagnose(model, n_cells=50)
    assert set(tables) == {"features", "support", "similar", "contexts", "calibration", "confounded"}
    assert tables["features"].empty
    support = tables["support"]
    assert (support["probability"] >= 0.5).all() and (support["n_doses"] == 4).all()
    table = model.get_targets().query("dose == dose.max()").set_index(["drug", "gene"])
    same = table.loc[list(zip(support["drug"], support["gene"], strict=True))]
    np.testing.assert_allclose(support[["probability", "effect"]], same[["probability", "effect"]], rtol=1e-6)
    assert len(tables["similar"]) == 12 * 11 / 2
    contexts = tables["contexts"]
    assert len(contexts) == 49 and 0.5 < contexts["ratio"].median() < 1.5 and 0.8 < contexts["sd_ratio"].median() < 1.2
    with_features = tl.diagnose(model_with_features, n_cells=20, pseudo_drugs=0)["features"]
    assert {"none", "control"} <= set(with_features["map"]) and with_features["chosen"].sum() == 1


def test_identical_drugs_are_not_distinct(parts):
    train = parts["train"].copy()
    twin = train.obs["drug"].cat.categories[1]
    cells = np.flatnonzero(train.obs["drug"] == twin)
    labels = train.obs["drug"].astype(str).to_numpy()
    labels[cells[::2]] = "twin"
    train.obs["drug"] = labels
    model = tl.fit(train, perturbation_key="drug", dose_key="dose", control="control", max_epochs=0)
    first = tl.diagnose(model, n_cells=10, pseudo_drugs=0)["similar"].iloc[0]
    assert {first["drug_1"], first["drug_2"]} == {twin, "twin"} and not first["distinct"]


def test_drugs_are_told_apart_by_their_regulators():
    of = SimpleNamespace(probability=np.eye(2), activity=np.eye(2), activity_sd=np.full((2, 2), 0.1))
    fitted = SimpleNamespace(drugs=("a", "b"), of_drug=Effects.none(2, 3), regulators=of)
    assert _similar(SimpleNamespace(fitted=fitted))["distinct"].all()


def test_diagnosis_is_drawn_by_its_tables(model):
    axes = pl.diagnostics(tl.diagnose(model, n_cells=10, pseudo_drugs=0), show=False)
    assert set(axes) == {"contexts", "support", "similar", "features"}
    with pytest.raises(KeyError, match="support"):
        pl.diagnostics({}, show=False)
