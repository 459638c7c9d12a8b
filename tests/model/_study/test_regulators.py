"""Networks of regulators, from a table to a fit."""

import numpy as np
import pandas as pd
import pytest

import systems
from scgim import datasets, get, tl
from scgim.datasets import faults
from scgim.model import GIM
from scgim.model._study.regulators import network_of, normalise_regulators

GENES = ["a", "b", "c", "d"]


def table(**changes):
    edges = {"source": ["R"] * 3 + ["S"] * 2, "target": ["a", "b", "c", "a", "x"], "weight": [1.0, -2.0, 1.0, 1.0, 1.0]}
    return pd.DataFrame(edges | changes)


def test_edges_become_numbers_and_small_regulators_are_left_out():
    with pytest.warns(UserWarning, match=r"1 of 2 act on fewer than 3 genes"):
        state = normalise_regulators(table(), GENES)
    net = network_of(state)
    assert net.names == ("R",)
    np.testing.assert_array_equal(net.target, [0, 1, 2])
    np.testing.assert_allclose(net.weight, np.array([1, -2, 1]) / np.sqrt(2))
    assert normalise_regulators(state, GENES) == state
    assert network_of(normalise_regulators(None, GENES)) is None


def test_weights_may_be_left_out():
    only = table().drop(columns="weight").iloc[:3]
    np.testing.assert_array_equal(network_of(normalise_regulators(only, GENES)).weight, 1.0)


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ("collectri", TypeError, "expected a DataFrame"),
        (table().drop(columns="target"), KeyError, r"missing column\(s\) \['target'\]"),
        (table(weight=["up"] * 5), TypeError, "'weight'"),
        (table(target=["a", "a", "b", "c", "d"]), ValueError, "each edge once, found 'R' to 'a'"),
        (table(target=list("vwxyz")), ValueError, "found none"),
    ],
    ids=["text", "column", "weight", "twice", "strangers"],
)
def test_other_tables_are_refused(wrong, error, says):
    with pytest.raises(error, match=says):
        normalise_regulators(wrong, GENES)


def test_genes_that_bend_may_have_regulators():
    """Nothing is taken out of their covariance."""
    adata = datasets.simulate(6, n_drugs=3, n_control=100, n_cells=40, rng=0)
    edges = pd.DataFrame({"source": "R", "target": adata.var_names[:3]})
    keys = {"perturbation_key": "drug", "dose_key": "dose", "control": "control"}
    model = tl.fit(adata, **keys, mechanism="additive", regulators=edges, max_epochs=0, progress=False)
    assert np.isfinite(model.fitted.regulators.probability).all()


@pytest.fixture(scope="module")
def fitted():
    """Sixty genes, eight regulators of ten genes, of which eight drugs change one each, with 30 % wrong edges."""
    acting = faults.Regulators(n=8, n_genes=10, wrong=0.3, drugs=0.8)
    options = {"doses": (0.5, 2.0), "new_doses": (), "features": "noise", "faults": [acting]}
    adata = datasets.simulate(
        60, n_drugs=10, n_new_drugs=0, n_control=600, n_cells=60, n_test_cells=2, rng=0, **options
    )
    adata = systems.training(adata)
    columns = {"perturbation_key": "drug", "dose_key": "dose", "control": "control"}
    plain = tl.fit(adata.copy(), **columns, max_epochs=0)
    return adata, tl.fit(adata, **columns, regulators=adata.uns["network"], max_epochs=0), plain


def test_tables_name_the_regulator_of_each_drug_and_no_other(fitted):
    adata, model, plain = fitted
    (truth,) = (
        adata.uns["truth"]["faults"].values()
        if isinstance(adata.uns["truth"]["faults"], dict)
        else adata.uns["truth"]["faults"]
    )
    change = np.asarray(truth["drug_effect"])
    found = get.targets(adata, level="drug", min_probability=0.5).query("kind == 'regulator'").set_index("perturbation")
    expected = {d: truth["names"][int(np.abs(c).argmax())] for d, c in zip(model.drugs, change, strict=True) if c.any()}
    assert found["gene"].astype(str).to_dict() == expected
    sign = {d: np.sign(c.sum()) for d, c in zip(model.drugs, change, strict=True) if c.any()}
    assert np.sign(found["effect"]).to_dict() == sign
    hit = np.asarray(adata.uns["truth"]["drug_effect"]) != 0  # (D, G)
    row, column = (pd.Index(names).get_indexer for names in (model.drugs, adata.var_names))
    calls = [m.get_targets().query("kind == 'shift' and probability > 0.9") for m in (plain, model)]
    before, after = (hit[row(called["drug"]), column(called["gene"])] for called in calls)
    assert after.sum() == 2 * hit.sum(), "at both doses"
    assert after.mean() > before.mean()


def test_every_row_of_perturbations_has_ranks_over_genes_and_regulators(fitted):
    _, model, _ = fitted
    asked = pd.DataFrame({"drug": [model.drugs[0], "control"], "dose": [1.0, 0.0]})
    for found in (model.get_targets(), model.get_targets(asked)):
        ranks = found.groupby(["drug", "dose"])["rank"].apply(sorted)
        assert all(r == list(range(1, 69)) for r in ranks)
    assert found[found["drug"] == "control"].query("kind == 'regulator'")["probability"].max() < 0.1


def test_predictions_hold_what_regulators_do(fitted):
    adata, model, plain = fitted
    rows = pd.DataFrame({"drug": list(model.drugs), "dose": 2.0})
    seen = np.stack(
        [adata.X[((adata.obs["drug"] == d) & (adata.obs["dose"] == 2.0)).to_numpy()].mean(axis=0) for d in model.drugs]
    )
    error = {m: np.linalg.norm(m.predict_mean(rows) - seen) for m in (model, plain)}
    assert error[model] < 1.15 * error[plain]


def test_regulators_are_saved_and_read_back(fitted, tmp_path):
    adata, model, _ = fitted
    model.save(str(tmp_path / "m"))
    again = GIM.load(str(tmp_path / "m"), adata=False)
    pd.testing.assert_frame_equal(again.get_targets(), model.get_targets())
    adata.write_h5ad(tmp_path / "a.h5ad")
    assert again.fitted.regulators.network.names == model.fitted.regulators.network.names


@pytest.mark.parametrize(
    "choice", [{"intervention": "hard"}, {"mechanism": "neural"}, {"structure": "cyclic"}], ids=str
)
def test_regulators_do_not_go_with_all_choices(choice):
    adata = systems.make_screen()
    GIM.setup_anndata(adata, perturbation_key="drug", dose_key="dose", control="DMSO")
    edges = pd.DataFrame({"source": "R", "target": adata.var_names})
    with pytest.raises(ValueError, match="regulators: expected"):
        GIM(adata, regulators=edges, **choice)


def test_regulators_are_intervened_on_and_suggested(fitted):
    _, model, plain = fitted
    net, names = model.fitted.regulators.network, model.fitted.regulators.network.names
    total = np.linalg.inv(np.eye(60) - model.fitted.graph.weights)
    column = net.effects(60)[2] * model.fitted.mechanisms.scale  # (G,)
    found = model.intervene_mean(regulators={names[2]: -1.5})
    np.testing.assert_allclose(found["change"], -1.5 * column @ total, atol=1e-8)
    gene = model.genes[int(net.target[net.source == 2][0])]
    both = model.intervene_mean(regulators={names[2]: -1.5}, set={gene: 0.0})
    assert both.loc[gene, "mean_after"] == pytest.approx(0.0, abs=1e-8)  # what is set does not follow
    cells = tl.intervene(model, regulators={names[2]: -1.5}, n_cells=5)
    assert str(cells.obs["scgim_intervention"].iloc[0]) == f"regulator {names[2]} -1.5"
    best = tl.suggest(model, goal=found["mean_after"], by=["shift", "regulator"], n_top=3).iloc[0]
    assert (best["kind"], best["name"]) == ("regulator", names[2])
    assert best["shift"] == pytest.approx(-1.5, abs=1e-3)
    assert best["share"] > 0.99
    with pytest.raises(KeyError, match="regulators: regulator 'nobody' is not in the model"):
        model.intervene_mean(regulators={"nobody": 1.0})
    with pytest.raises(ValueError, match="regulators: the model knows none"):
        plain.intervene_mean(regulators={names[2]: 1.0})
    with pytest.raises(ValueError, match="by: expected a model that was fitted with regulators="):
        tl.suggest(plain, goal=found["mean_after"], by="regulator")


def test_the_picture_of_a_drug_has_its_regulator(fitted):
    from scgim import pl

    adata, model, _ = fitted
    table = get.targets(adata, level="drug", min_probability=0.5).query("kind == 'regulator'")
    drug, name = str(table["perturbation"].iloc[0]), str(table["gene"].iloc[0])
    ax = pl.mechanisms(adata, drug, show=False)
    texts = [text.get_text() for text in ax.texts]
    assert name in texts
    assert any(text.startswith("regulator ") for text in texts)
    assert "no gene is a target" not in ax.get_title()
    down = get.downstream(adata, drug)
    assert (down["gene"].iloc[0], down["kind"].iloc[0]) == (name, "regulator")
    change = down[down["kind"] == "gene"].set_index("gene")["change"].reindex(adata.var_names).fillna(0.0)
    rows = pd.DataFrame({"drug": [drug, "control"], "dose": [2.0, 0.0]})
    predicted = np.diff(model.predict_mean(rows)[::-1], axis=0)[0]
    assert np.corrcoef(change, predicted)[0, 1] > 0.9
    net = model.fitted.regulators.network
    acted = {model.genes[g] for g in net.target[net.source == net.names.index(name)]}
    assert len(acted & set(texts)) > 3
