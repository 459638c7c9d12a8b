"""Cells with covariates taken out."""

import anndata as ad
import numpy as np
import pytest

import systems
from scgim.model._reading.cells import CellChunks, fit_adjustment
from scgim.model._reading.passes import cell_moments
from scgim.model._study.study import anndata_spec

da = pytest.importorskip("dask.array")
pytestmark = pytest.mark.filterwarnings("ignore:Writing zarr v2")
SETUP = {"perturbation_key": "drug", "control": "DMSO", "dose_key": "dose"}
SPEC = anndata_spec(SETUP)
N, G, K = 300, 5, 4


def chunks_of(adata: ad.AnnData, **kwargs) -> CellChunks:
    return CellChunks(adata, SPEC, adata.obs["context"].to_numpy(), **kwargs)


def assert_same(a, b, tolerance: float = 1e-10) -> None:
    for name in ("n", "mean", "within", "loc", "scale", "slope", "scatter"):
        x, y = getattr(a, name), getattr(b, name)
        assert (x is None) == (y is None)
        if x is not None:
            assert np.abs(x - y).max() <= tolerance * np.abs(y).max(), name


@pytest.mark.parametrize("form", ["csr", "dask", "dask sparse"])
def test_covariates_are_removed_before(cells, form, tmp_path, rng):
    values = rng.normal(size=(N, 2))
    index = cells.obs["context"].to_numpy()
    adjustment = fit_adjustment(cells, SPEC, values, index, K)
    adjusted = cells.copy()
    adjusted.X = cells.X - adjustment.effect(values)
    lazy = systems.in_form(cells, form, tmp_path)
    found = cell_moments(chunks_of(lazy, adjustment=adjustment, values=values), K)
    assert_same(found, cell_moments(chunks_of(adjusted), K), 1e-5)  # float32 on one side
