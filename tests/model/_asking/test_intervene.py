"""Interventions on genes: closed forms for lines, brute force elsewhere."""

import numpy as np
import pandas as pd
import pytest

import systems
from scgim.model import GIM
from scgim.model._asking import answer

COLUMNS = {"perturbation_key": "drug", "dose_key": "dose", "control": "control"}
QUIET = {"enable_progress_bar": False, "accelerator": "cpu", "rng": 0}
CASES = {
    "shift": ({}, {"intervention": "shift"}),
    "hard": ({"intervention": "hard"}, {"intervention": "hard"}),
    "both kinds": ({"intervention": "activity"}, {"intervention": "auto"}),
    "additive": ({"mechanism": "neural"}, {"intervention": "shift", "mechanism": "additive"}),
    "networks": ({"mechanism": "neural"}, {"intervention": "shift", "mechanism": "neural"}),
    "cycles": ({}, {"intervention": "shift", "structure": "cyclic"}),
    "counts": ({"noise": "counts"}, {"intervention": "shift", "noise": "poisson_lognormal"}),
    "zeros": (
        {"noise": "zero_inflated_lognormal", "dropout": 0.2},
        {"intervention": "shift", "noise": "zero_inflated_lognormal"},
    ),
}
LINES = ("shift", "hard", "both kinds", "additive", "networks", "cycles")
SAMPLE = 8000


def fitted(case):
    simulation, options = CASES[case]
    adata = systems.training(systems.simulated(n_drugs=5, n_control=300, n_cells=40, **simulation))
    size = {"size_factor_key": "size_factor"} if case == "counts" else {}
    GIM.setup_anndata(adata, **COLUMNS, **size)
    model = GIM(adata, **options)
    model.train(max_epochs=1 if case == "networks" else 0, **QUIET)
    return model


@pytest.fixture(scope="module")
def models():
    made = {}

    def of(case):
        if case not in made:
            made[case] = fitted(case)
        return made[case]

    return of


def busiest(model):
    """The gene with most children, by name and number."""
    j = int(np.argmax((model.get_graph()[0] != 0).sum(axis=1)))
    return model.genes[j], j


@pytest.mark.parametrize("case", LINES)
def test_drawn_cells_have_the_means_of_the_table_and_the_set_gene_its_value(models, case):
    model = models(case)
    gene, j = busiest(model)
    cells = model.intervene(set={gene: 2.0}, n_cells=SAMPLE)
    np.testing.assert_allclose(cells.X[:, j], 2.0, atol=1e-5)
    error = cells.X.std(axis=0) / np.sqrt(SAMPLE)
    average = 0.0 if case in ("shift", "hard", "cycles") else cells.X.std(axis=0) / np.sqrt(answer.N_DRAWS)
    assert (np.abs(cells.X.mean(axis=0) - cells.var["mean_after"]) < 5 * (error + average) + 1e-5).all()


@pytest.mark.parametrize("case", ["counts", "zeros"])
def test_drawn_counts_have_the_means_of_the_table(models, case):
    model = models(case)
    gene, j = busiest(model)
    cells = model.intervene(set={gene: 3.0}, n_cells=SAMPLE)
    error = cells.X.std(axis=0) / np.sqrt(SAMPLE)
    assert (np.abs(cells.X.mean(axis=0) - cells.var["mean_after"]) < 6 * error + 0.02 * cells.var["mean_after"]).all()
    out = model.intervene(knockout=gene, n_cells=200)
    assert (out.X[:, j] == 0).all()
    assert out.var["mean_after"].iloc[j] == 0
    half = model.intervene_mean(scale={gene: 0.5})
    before, after = half.iloc[j][["mean_before", "mean_after"]]
    assert after < before


def test_changes_of_lines_are_total_effects(models):
    """``change = ((f - 1) mean + value) T_j`` with the edges into a set gene cut, ``T = (I - W)^-1``."""
    model = models("shift")
    weights, (gene, j) = model.get_graph()[0].toarray(), busiest(model)
    total = np.linalg.inv(np.eye(len(weights)) - weights)
    found = model.intervene_mean(shift={gene: 1.5})
    np.testing.assert_allclose(found["change"], 1.5 * total[j], atol=1e-9)
    cut = weights.copy()
    cut[:, j] = 0
    found = model.intervene_mean(set={gene: 4.0})
    direct = 4.0 - found["mean_before"].iloc[j]
    np.testing.assert_allclose(found["change"], direct * np.linalg.inv(np.eye(len(cut)) - cut)[j], atol=1e-9)
    np.testing.assert_allclose(found["mean_after"] - found["mean_before"], found["change"])


@pytest.mark.parametrize("case", LINES)
def test_given_cells_are_propagated_by_hand(models, case):
    """Every given cell keeps its noise: what is left of its genes beyond their mechanisms."""
    model = models(case)
    adata = model.adata[model.adata.obs["drug"] == "control"]
    gene, j = busiest(model)
    out = model.intervene(adata, set={gene: 2.0})
    m, x, after = model.fitted.mechanisms, adata.X.astype(float), out.X.astype(float)
    base = m.baseline[0]
    for i in range(len(model.genes)):
        expected = x[:, i] - base[i] - m.contribution(i, x) + base[i] + m.contribution(i, after)
        np.testing.assert_allclose(after[:, i], 2.0 if i == j else expected, atol=1e-4)
    np.testing.assert_allclose(out.var["mean_after"], after.mean(axis=0), atol=1e-5)
    assert (out.obs_names == adata.obs_names).all()


@pytest.mark.parametrize("case", list(CASES))
def test_cells_under_drugs_stay_where_they_are_if_a_leaf_is_shifted(models, case):
    """Genes that the named gene does not act on keep their values, under every drug and kind."""
    model = models(case)
    weights = model.get_graph()[0].toarray()
    leaf = int(np.flatnonzero(~(weights != 0).any(axis=1))[0])
    out = model.intervene(model.adata, shift={model.genes[leaf]: 1.0})
    others = np.arange(len(weights)) != leaf
    np.testing.assert_allclose(out.X[:, others], model.adata.X[:, others], atol=1e-3)
    if case in LINES:
        np.testing.assert_allclose(out.X[:, leaf], model.adata.X[:, leaf] + 1.0, atol=1e-3)
    assert (out.var["change_sd"].to_numpy()[others] < 1e-9).all()


@pytest.mark.parametrize("case", list(CASES))
def test_uncertainty_is_that_of_drawn_graphs(models, case, monkeypatch):
    """By brute force: graphs are drawn, and what follows is averaged."""
    model = models(case)
    gene, _ = busiest(model)
    exact = model.intervene_mean(shift={gene: 1.0})
    assert (exact["change_sd"] >= 0).all()
    assert np.isfinite(exact.to_numpy()).all()
    if case == "shift":
        monkeypatch.setattr(answer, "has_closed_form", lambda *_: False)
        monkeypatch.setattr(answer, "N_DRAWS", 800)
        drawn = model.intervene_mean(shift={gene: 1.0})
        np.testing.assert_allclose(drawn["change_sd"], exact["change_sd"], rtol=0.2, atol=1e-9)
        given = model.intervene_mean(model.adata, shift={gene: 1.0})
        np.testing.assert_allclose(given["change_sd"], exact["change_sd"], rtol=0.2, atol=1e-9)


def test_populations_can_be_named_in_every_way(models):
    model = models("shift")
    drug, gene = model.drugs[0], model.genes[0]
    dose = float(model.contexts.query("drug == @drug")["dose"].max())
    there = ((model.adata.obs["drug"] == drug) & (model.adata.obs["dose"] == dose)).to_numpy()
    ways = [
        model.intervene(model.adata, set={gene: 0.5}, population={"drug": drug, "dose": dose}),
        model.intervene(model.adata, set={gene: 0.5}, population=f"drug == {drug!r} and dose == {dose}"),
        model.intervene(set={gene: 0.5}, population=there),
        model.intervene(set={gene: 0.5}, population=pd.Series(there)),
        model.intervene(model.adata[there].copy(), set={gene: 0.5}),
    ]
    for found in ways[1:]:
        np.testing.assert_allclose(found.X, ways[0].X, atol=1e-6)
    assert set(ways[0].obs["scgim_population"]) == {f"drug = {drug}, dose = {dose}"}
    assert set(ways[0].obs["scgim_intervention"]) == {f"set {gene} = 0.5"}
    drawn = model.intervene(set={gene: 0.5}, population={"drug": drug, "dose": dose}, n_cells=7)
    assert drawn.shape == (7, len(model.genes))
    assert set(drawn.obs["drug"]) == {drug}
    expected = model.predict_mean(pd.DataFrame({"drug": [drug], "dose": [dose]}))
    np.testing.assert_allclose(drawn.var["mean_before"], expected.to_numpy()[0])
    assert model.intervene(set={gene: 0.5}, population=there, n_cells=3).n_obs == 3


def test_a_name_in_place_of_a_query_is_answered_with_the_way_to_say_it(models):
    model = models("shift")
    control = model.adata.obs["drug"].cat.categories.difference(model.drugs)[0]
    with pytest.raises(ValueError, match=rf"Cells of '{control}': population={{'drug': '{control}'}}"):
        model.intervene(shift={model.genes[0]: 1.0}, population=control)
    assert model.intervene(shift={model.genes[0]: 1.0}, population={"drug": control}, n_cells=3).n_obs == 3


def test_covariates_are_taken_into_account():
    """A gene is set on the scale of the data, whatever a continuous covariate adds to it."""
    adata = systems.make_screen()
    adata.obs["cycle"] = np.random.default_rng(5).normal(size=adata.n_obs)
    adata.X = adata.X + 2 * adata.obs["cycle"].to_numpy()[:, None].astype(np.float32)
    GIM.setup_anndata(
        adata, perturbation_key="drug", dose_key="dose", control="DMSO", continuous_covariate_keys="cycle"
    )
    model = GIM(adata)
    model.train(max_epochs=0, **QUIET)
    out = model.intervene(adata, set={"g0": 1.0})
    np.testing.assert_allclose(out.X[:, 0], 1.0, atol=1e-5)
    weights, x = model.get_graph()[0].toarray(), adata.X
    weights[:, 0] = 0  # a gene that is set does not listen
    total = np.linalg.inv(np.eye(4) - weights)[0]
    np.testing.assert_allclose(out.X - x, np.outer(1.0 - x[:, 0], total), atol=1e-4)
    drawn = model.intervene(set={"g0": 1.0}, population={"cycle": 2.0}, n_cells=5)
    np.testing.assert_allclose(drawn.X[:, 0], 1.0, atol=1e-5)


def test_results_are_seeded_and_leave_the_data_alone(models):
    model = models("counts")
    before = model.adata.X.copy()
    a, b = (model.intervene(model.adata, knockout=model.genes[0], rng=3) for _ in range(2))
    np.testing.assert_array_equal(a.X, b.X)
    np.testing.assert_array_equal(a.var.to_numpy(), b.var.to_numpy())
    assert (np.asarray(model.adata.X) == np.asarray(before)).all()
    assert a.uns["scgim"]["prediction"]["intervened"] == f"knockout {model.genes[0]}"


def test_knockouts_of_negative_data_are_refused(models):
    with pytest.raises(ValueError, match="use set="):
        models("shift").intervene(knockout=models("shift").genes[0])
