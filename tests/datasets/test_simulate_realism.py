"""What `scgim.datasets.simulate` adds to the protocol: counts, batches, cell lines, pairs, background, features as a table."""

import anndata
import numpy as np
import pandas as pd
import pytest

from scgim.datasets import simulate
from scgim.datasets._simulator.truth import draw_cells, true_means

SMALL = {"n_genes": 8, "n_drugs": 5, "n_new_drugs": 2, "n_control": 300, "n_test_cells": 20, "new_doses": (0.75,)}


def small(**kwargs):
    return simulate(**{**SMALL, **kwargs})


def test_counts_are_poisson_with_the_zeros_asked_for():
    """Whole numbers with the zeros asked for; given the latent layer and size factor, they are Poisson."""
    adata = small(noise="counts", n_cells=200, zeros=0.6)
    x, truth = np.asarray(adata.X), adata.uns["truth"]
    assert (x == np.round(x)).all()
    assert (x >= 0).all()
    assert (x == 0).mean() == pytest.approx(0.6, abs=0.02)
    rate = np.exp(truth["count_scale"] * adata.layers["latent"] + truth["count_offset"])
    rate *= adata.obs["size_factor"].to_numpy()[:, None]
    z = (x - rate) / np.sqrt(rate)
    assert abs(z.mean()) < 0.03
    assert z.var() == pytest.approx(1, abs=0.1)
    assert adata.obs["size_factor"].mean() == pytest.approx(1, abs=0.05)


def test_dropout_adds_zeros_beyond_poisson():
    adata = small(noise="counts", n_cells=200, zeros=0.5, dropout=0.3)
    x, truth = np.asarray(adata.X), adata.uns["truth"]
    assert (x == 0).mean() == pytest.approx(0.5, abs=0.02)
    rate = np.exp(truth["count_scale"] * adata.layers["latent"] + truth["count_offset"])
    rate *= adata.obs["size_factor"].to_numpy()[:, None]
    sure = rate > 8  # a Poisson count would be zero with probability below 0.0004
    assert (x[sure] == 0).mean() == pytest.approx(0.3, abs=0.05)


def test_zeros_come_at_the_rate_of_their_gene():
    adata = small(noise="zero_inflated_lognormal", n_cells=200)
    x, rate = np.asarray(adata.X), adata.uns["truth"]["zero_probability"]
    np.testing.assert_allclose((x == 0).mean(0), rate, atol=0.03)
    np.testing.assert_allclose(np.log(x[x > 0]), adata.layers["latent"][x > 0], atol=1e-4)


def test_latent_cells_are_the_gaussian_ones():
    """What is observed does not change the cells underneath."""
    np.testing.assert_array_equal(small(noise="counts").layers["latent"], small().X)


def test_cell_lines_share_mechanisms():
    """Lines differ in the baseline only: the change of a context's mean is the same in each."""
    adata = small(n_cell_lines=3)
    truth = adata.uns["truth"]
    contexts = truth["contexts"]
    assert truth["baseline"].shape == (3, 8)
    assert not np.allclose(truth["baseline"][0], truth["baseline"][1])
    means = true_means(truth, np.arange(len(contexts)))
    changes = []
    for line in ("line_1", "line_2", "line_3"):
        inside = (contexts["cell_line"] == line).to_numpy()
        control = inside & (contexts["drug"] == "control").to_numpy()
        assert control.sum() == 1
        changes.append(means[inside & ~control] - means[control])
    np.testing.assert_allclose(changes[0], changes[1], atol=1e-9)
    np.testing.assert_allclose(changes[0], changes[2], atol=1e-9)
    assert (adata.obs["drug"] == "control").sum() == 900


def test_effects_of_cell_lines_scatter_around_those_of_the_drug():
    """Lines keep the targets of a drug, and their effects scatter around the drug's; other cells are as before."""
    adata = small(n_cell_lines=3, n_drugs=40, cell_line_effect_sd=0.7)
    truth = adata.uns["truth"]
    hit, contexts = truth["drug_effect"] != 0, truth["contexts"]
    off = truth["line_effect"] - truth["drug_effect"]
    assert (off[:, ~hit] == 0).all()
    assert off[:, hit].std() == pytest.approx(0.7, rel=0.2)
    one = contexts.query("drug == 'drug_03' and dose == 1.0")
    fraction = 1 / (1 + 0.75**4)
    np.testing.assert_allclose(truth["effects"][one.index.astype(int)], fraction * truth["line_effect"][:, 2])
    control = (adata.obs["drug"] == "control").to_numpy()
    np.testing.assert_array_equal(adata.X[control], small(n_cell_lines=3, n_drugs=40).X[control])


def test_controls_are_in_all_batches_and_a_context_in_one():
    """Controls are in all batches, a perturbed context in one; batches move the baseline."""
    adata = small(n_batches=3, n_control=301)
    contexts = adata.uns["truth"]["contexts"]
    control = contexts[contexts["drug"] == "control"]
    assert list(control["batch"]) == ["batch_1", "batch_2", "batch_3"]
    assert list(control["n_cells"]) == [101, 100, 100]
    rest = contexts[contexts["drug"] != "control"]
    assert not rest.duplicated(["drug", "dose"]).any()
    assert rest["batch"].nunique() == 3
    means = true_means(adata.uns["truth"], [0, 1])
    assert np.abs(means[0] - means[1]).max() > 0.1
    x = np.asarray(adata.X)[(adata.obs["batch"] == "batch_2").to_numpy() & (adata.obs["drug"] == "control").to_numpy()]
    assert np.abs(x.mean(0) - means[1]).max() < 0.8


def test_effects_of_pairs_are_sums():
    """Effects of a pair are the sums of its drugs' effects at their doses; columns name both."""
    adata = small(n_pairs=6, train_pairs=0.5)
    truth = adata.uns["truth"]
    contexts, drugs = truth["contexts"], list(truth["drugs"])
    pairs = contexts[contexts["drug_2"] != "control"]
    assert len(pairs) == 6
    assert (pairs["split"] == "train").sum() == 3
    assert (pairs["split"] == "new_pair").sum() == 3
    assert "dose" not in adata.obs
    for k, row in pairs.iterrows():
        parts = [(row["drug_1"], row["dose_1"]), (row["drug_2"], row["dose_2"])]
        expected = sum(truth["drug_effect"][drugs.index(d)] / (1 + (0.75 / c) ** 4) for d, c in parts)
        np.testing.assert_allclose(truth["effects"][int(k)], expected)
        assert row["drug"] == f"{row['drug_1']}+{row['drug_2']}"
    control = adata.obs[adata.obs["drug"] == "control"]
    assert set(control["drug_1"]) == set(control["drug_2"]) == {"control"}
    assert set(control["dose_1"]) == {0.0}


def test_background_moves_every_gene_of_every_perturbed_context():
    """Every gene of every perturbed context moves a little; effects and targets stay what they are."""
    adata, plain = small(background_sd=0.2, n_drugs=30), small(n_drugs=30)
    truth = adata.uns["truth"]
    np.testing.assert_array_equal(truth["effects"], plain.uns["truth"]["effects"])
    assert not truth["background"][0].any()
    sd = np.asarray(plain.X[:300]).std(0)
    np.testing.assert_allclose(truth["background"][1:].std(0) / sd, 0.2, rtol=0.3)
    exact = true_means(truth, [5])[0]
    assert np.abs(draw_cells(truth, [5], 20_000).mean(0) - exact).max() < 0.1


@pytest.fixture
def table():
    """Features of 60 drugs with difficult names, of low rank as fingerprints of related drugs are."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(60, 4)) @ rng.normal(size=(4, 30))
    return pd.DataFrame(values, index=[f"(+/-)-drug {i}/β" for i in range(60)])


def test_a_table_of_features_determines_targets(table):
    """Drugs get the names of the table, 1 to 3 targets, and equal features give equal effects."""
    table.iloc[1] = table.iloc[0]
    adata = small(n_drugs=50, n_new_drugs=10, features=table, new_doses=(), n_cells=2)
    truth = adata.uns["truth"]
    assert set(truth["drugs"]) == set(table.index)
    np.testing.assert_array_equal(adata.uns["features"], table.loc[list(truth["drugs"])])
    assert list(adata.uns["features"].columns) == [str(q) for q in range(30)]
    per_drug = (truth["drug_effect"] != 0).sum(1)
    assert per_drug.min() >= 1
    assert per_drug.max() <= 3
    sizes = np.abs(truth["drug_effect"][truth["drug_effect"] != 0])
    assert sizes.min() >= 2
    assert sizes.max() <= 6
    effect = pd.DataFrame(truth["drug_effect"], index=truth["drugs"])
    np.testing.assert_allclose(effect.loc[table.index[0]], effect.loc[table.index[1]], atol=1e-8)


def test_the_hidden_rule_can_be_learned(table):
    """Nearest drugs by features share their targets far more often than two random drugs do."""
    truth = small(n_drugs=50, n_new_drugs=10, features=table, new_doses=(), n_cells=2).uns["truth"]
    x, targets = table.loc[list(truth["drugs"])].to_numpy(), truth["drug_effect"] != 0
    distance = ((x[:, None] - x[None]) ** 2).sum(-1)
    np.fill_diagonal(distance, np.inf)

    def shared(a, b):
        return (a & b).any(1).mean()

    near = shared(targets, targets[distance.argmin(1)])
    rng = np.random.default_rng(0)
    far = np.mean([shared(targets, targets[rng.permutation(60)]) for _ in range(20)])
    assert near > 1.5 * far


def test_real_fingerprints_serve_as_features(shared_data):
    pytest.importorskip("rdkit")
    from scgim.pp import fingerprints

    drugs = pd.read_csv(shared_data / "sciplex_drugs" / "sciplex3_drugs_targets_smiles.csv").set_index("product_name")
    adata = simulate(10, n_drugs=150, n_new_drugs=38, features=fingerprints(drugs["SMILES"]), n_cells=2, n_test_cells=2)
    assert adata.uns["features"].shape == (188, 1024)
    assert adata.obs["drug"].nunique() == 189


@pytest.mark.parametrize("noise", ["counts", "zero_inflated_lognormal"])
def test_truth_of_everything_survives_writing(tmp_path, noise, table):
    adata = small(
        noise=noise, n_pairs=3, n_cell_lines=2, n_batches=2, background_sd=0.1, features=table, mechanism="neural"
    )
    adata.write_h5ad(tmp_path / "a.h5ad")
    back = anndata.read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(back.layers["latent"], adata.layers["latent"])
    np.testing.assert_array_equal(draw_cells(back.uns["truth"], [9], 4), draw_cells(adata.uns["truth"], [9], 4))
    assert list(back.uns["features"].index) == list(adata.uns["features"].index)
    assert list(back.obs["drug_2"]) == list(adata.obs["drug_2"])


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"noise": "uniform"}, "noise: expected one of"),
        ({"n_pairs": 11}, "n_pairs: expected at most 10"),
        ({"train_pairs": 2.0}, "train_pairs"),
        ({"zeros": 1.0}, "zeros"),
        ({"dropout": 0.7}, "dropout"),
        ({"n_batches": 0}, "n_batches"),
        ({"n_batches": 200}, "n_control"),
        ({"n_cell_lines": 0}, "n_cell_lines"),
        ({"cell_line_effect_sd": -1}, "cell_line_effect_sd"),
        ({"cell_line_effect_sd": 1}, "cell_line_effect_sd"),
        ({"cell_line_effect_sd": 1, "n_cell_lines": 2, "intervention": "activity"}, "cell_line_effect_sd"),
        ({"background_sd": -1.0}, "background_sd"),
        ({"features": pd.DataFrame({"a": [1.0]}, index=["x"])}, "row for each of"),
        ({"features": pd.DataFrame({"smiles": list("CCCCCCC")}, index=list("abcdefg"))}, "fingerprints"),
        ({"features": pd.DataFrame({"a": range(7)}, index=list("abcdeff"))}, "distinct"),
        ({"features": pd.DataFrame({"a": [np.nan] * 7}, index=list("abcdefg"))}, "finite"),
        ({"features": pd.DataFrame({"a": [1.0] * 7}, index=list("abcdefg"))}, "differ between drugs"),
    ],
)
def test_wrong_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        small(**kwargs)
