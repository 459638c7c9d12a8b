"""`scgim.pp.select_genes`."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scgim.pp import select_genes

KEYS = {"perturbation_key": "drug", "control": "control"}


@pytest.fixture
def adata():
    """Counts of 40 genes; drug A moves genes 3 and 7, drug B gene 9; gene 0 is rare, gene 1 constant, gene 20 noisy."""
    rng = np.random.default_rng(0)
    drug = np.repeat(["control", "A", "B"], [200, 100, 100])
    x = rng.poisson(3.0, (400, 40)).astype(np.float32)
    x[:, 0] = 0
    x[-2:, 0] = 50
    x[:, 1] = 2
    x[:, 20] = rng.negative_binomial(0.3, 0.3 / 3.3, 400)
    x[200:300, [3, 7]] += 6
    x[300:, 9] += 6
    obs = pd.DataFrame(
        {"drug": drug, "dose": np.where(drug == "control", 0.0, 1.0)}, index=[f"c{i}" for i in range(400)]
    )
    var = pd.DataFrame(index=[f"g{g}" for g in range(40)])
    return anndata.AnnData(sparse.csr_matrix(np.log1p(x)), obs=obs, var=var)


def chosen(adata, key="selected"):
    return set(adata.var_names[adata.var[key]])


@pytest.mark.parametrize("dense", [False, True])
def test_genes_that_drugs_move_are_found(adata, dense, monkeypatch):
    """The genes that drugs move are found, whatever the storage and the size of the blocks."""
    import importlib

    monkeypatch.setattr(importlib.import_module("scgim.pp._select_genes"), "ROWS", 37)
    if dense:
        adata.X = adata.X.toarray()
    before = adata.X.copy()
    assert select_genes(adata, 3, **KEYS) is None
    assert chosen(adata) == {"g3", "g7", "g9"}
    assert np.isnan(adata.var["selected_score"][["g0", "g1"]]).all()
    assert adata.shape == (400, 40)
    assert abs(adata.X - before).max() == 0


def test_score_is_the_mean_squared_z(adata):
    select_genes(adata, 3, **KEYS)
    x = adata.X.toarray().astype(float)
    groups = [x[(adata.obs["drug"] == d).to_numpy()] for d in ("control", "A", "B")]
    within = sum(((g - g.mean(0)) ** 2).sum(0) for g in groups) / (400 - 3)
    z2 = [((g.mean(0) - groups[0].mean(0)) ** 2)[2:] / (within[2:] * (1 / 100 + 1 / 200)) for g in groups[1:]]
    np.testing.assert_allclose(adata.var["selected_score"].iloc[2:], np.mean(z2, 0), rtol=1e-5)


def test_unresponsive_genes_score_one(adata):
    """Without an effect the mean squared z score is 1 on average."""
    select_genes(adata, 3, **KEYS)
    null = adata.var["selected_score"].drop(["g0", "g1", "g3", "g7", "g9"])
    assert null.mean() == pytest.approx(1, abs=0.35)


def test_variable_genes_are_scanpys(adata):
    import scanpy as sc

    select_genes(adata, 5, method="variable", key_added="hvg", min_fraction=0)
    expected = sc.pp.highly_variable_genes(adata, n_top_genes=5, flavor="seurat", inplace=False)
    assert chosen(adata, "hvg") == set(adata.var_names[expected["highly_variable"]])
    assert "g20" in chosen(adata, "hvg")


def test_listed_genes_are_chosen(adata):
    select_genes(adata, method="listed", genes=["g5", "g0"])
    assert chosen(adata) == {"g0", "g5"}
    assert "selected_score" not in adata.var
    select_genes(adata, 3, genes=["g5", "g3"], **KEYS)
    assert {"g5", "g3", "g7", "g9"} < chosen(adata)
    assert len(chosen(adata)) == 5


def test_subset_and_copy_leave_the_chosen_genes(adata):
    other = select_genes(adata, 3, subset=True, copy=True, **KEYS)
    assert adata.n_vars == 40
    assert "selected" not in adata.var
    assert list(other.var_names) == ["g3", "g7", "g9"]
    select_genes(adata, 3, subset=True, **KEYS)
    assert list(adata.var_names) == ["g3", "g7", "g9"]


def test_another_layer_can_be_read(adata):
    adata.layers["other"] = adata.X[:, ::-1].copy()
    select_genes(adata, 3, layer="other", **KEYS)
    assert chosen(adata) == {"g36", "g32", "g30"}


def test_asking_for_more_genes_than_there_are_gives_all_that_can_be_scored(adata):
    with pytest.warns(UserWarning, match="n_genes: expected at most the 40 genes"):
        select_genes(adata, 1000, **KEYS)
    assert chosen(adata) == set(adata.var_names) - {"g0", "g1"}


def test_large_matrices_are_refused_by_their_size(adata):
    with pytest.raises(MemoryError, match=r"max_gb=1e-06"):
        select_genes(adata, 3, max_gb=1e-6, **KEYS)
    assert "selected" not in adata.var


def test_views_and_controls_alone_are_refused(adata):
    with pytest.raises(ValueError, match="view"):
        select_genes(adata[:, :20], 3, **KEYS)
    with pytest.raises(ValueError, match="^control: expected perturbed cells"):
        select_genes(adata[:200].copy(), 3, **KEYS)
