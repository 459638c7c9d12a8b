"""One class through which all expression is read, with covariates taken out."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import systems
from scgim.model._reading.cells import Adjustment, Cells, fit_adjustment
from scgim.model._reading.passes import cell_moments
from scgim.model._study.study import anndata_spec

da = pytest.importorskip("dask.array")
SETUP = {"perturbation_key": "drug", "control": "DMSO", "dose_key": "dose"}
SPEC = anndata_spec(SETUP)
N, G, K = 300, 5, 4
M = 50


@pytest.mark.parametrize("form", ["csr", "dask", "dask sparse"])
def test_covariates_are_removed_before_the_sums(chunks_of, assert_same, cells, form, tmp_path, rng):
    values = rng.normal(size=(N, 2))
    index = cells.obs["context"].to_numpy()
    adjustment = fit_adjustment(Cells(cells, SPEC, index, covariates=values), K)
    adjusted = cells.copy()
    adjusted.X = cells.X - adjustment.effect(values)
    lazy = systems.in_form(cells, form, tmp_path)
    found = cell_moments(chunks_of(lazy, adjustment=adjustment, covariates=values), K)
    assert_same(found, cell_moments(chunks_of(adjusted), K), 1e-5)  # float32 on one side


@pytest.fixture
def values(rng) -> np.ndarray:
    return np.maximum(rng.normal(1, 2, (M, 3)), 0).astype(np.float32)


def cells_of(x, **kwargs) -> Cells:
    return Cells(ad.AnnData(x, obs=pd.DataFrame(index=[f"c{i}" for i in range(M)])), SPEC, np.arange(M) % 4, **kwargs)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_dense_blocks_are_all_cells_in_order(values, form):
    blocks = list(cells_of(form(values)).dense(size=7))
    assert max(len(x) for x, _ in blocks) == 7
    assert np.array_equal(np.concatenate([x for x, _ in blocks]), values)
    assert np.array_equal(np.concatenate([context for _, context in blocks]), np.arange(M) % 4)


def test_only_some_cells_are_shown_and_twice_only_those_in_both(values):
    some = cells_of(values).only(np.array([3, 1, 40]))
    assert np.array_equal(np.concatenate([x for x, _ in some()]), values[[1, 3, 40]])
    assert np.array_equal(np.concatenate([x for x, _ in some.only(np.array([40, 41]))()]), values[[40]])
    assert some.n_cells == M


def test_a_sample_is_all_cells_where_they_are_few_and_leaves_out_what_it_is_told_to(values):
    x, context = cells_of(values).sample(1000, np.random.default_rng(0), without=np.array([0, 7]))
    kept = np.delete(np.arange(M), [0, 7])
    assert np.array_equal(x, values[kept])
    assert np.array_equal(context, kept % 4)


def test_covariates_are_removed_before_the_scale_is_changed(values, rng):
    age, slope = rng.normal(size=(M, 1)), np.array([[1.0, -2.0, 0.5]])
    cells = cells_of(values, adjustment=Adjustment(np.array([0.3]), slope), covariates=age)
    ((block, _),) = cells.on_scale(np.exp)()
    assert np.allclose(block, np.exp(values - (age - 0.3) @ slope))


def test_a_scale_that_drops_genes_is_refused(values):
    with pytest.raises(ValueError, match="transform: expected an array of shape"):
        list(cells_of(values).on_scale(lambda x: x[:, :1])())
