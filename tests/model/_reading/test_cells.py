"""Cells with covariates taken out."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scgim.model._reading.cells import CellChunks, fit_adjustment
from scgim.model._reading.passes import cell_moments
from scgim.model._study.study import anndata_spec

da = pytest.importorskip("dask.array")


pytestmark = pytest.mark.filterwarnings("ignore:Writing zarr v2")


SETUP = {"perturbation_key": "drug", "control": "DMSO", "dose_key": "dose"}


SPEC = anndata_spec(SETUP)


N, G, K = 300, 5, 4


@pytest.fixture
def cells(rng) -> ad.AnnData:
    x = rng.normal(3, 2, (N, G)).astype(np.float32)
    x[rng.random((N, G)) < 0.3] = 0
    return ad.AnnData(x, obs=pd.DataFrame({"context": rng.integers(0, K, N)}, index=[f"c{i}" for i in range(N)]))


def chunks_of(adata: ad.AnnData, **kwargs) -> CellChunks:
    return CellChunks(adata, SPEC, adata.obs["context"].to_numpy(), **kwargs)


def assert_same(a, b, tolerance: float = 1e-10) -> None:
    for name in ("n", "mean", "within", "loc", "scale", "slope", "scatter"):
        x, y = getattr(a, name), getattr(b, name)
        assert (x is None) == (y is None)
        if x is not None:
            assert np.abs(x - y).max() <= tolerance * np.abs(y).max(), name


def in_form(adata: ad.AnnData, form: str, folder) -> ad.AnnData:
    """The same cells in another place."""
    out = adata.copy()
    if form in ("csr", "csc"):
        out.X = sparse.csr_matrix(out.X) if form == "csr" else sparse.csc_matrix(out.X)
    elif form.startswith("dask"):
        source = sparse.csr_matrix(out.X) if "sparse" in form else out.X
        rows = {"dask": (100, 7, 193), "dask columns": 64, "dask sparse": 64}[form]
        out.X = da.from_array(source, chunks=(rows, 2 if form == "dask columns" else -1), asarray=False)
    elif form.startswith("backed"):
        out.X = sparse.csr_matrix(out.X) if "csr" in form else out.X
        out.write_h5ad(folder / "cells.h5ad")
        out = ad.read_h5ad(folder / "cells.h5ad", backed="r")
    elif form.startswith("zarr"):
        out.X = sparse.csr_matrix(out.X) if "csr" in form else out.X
        out.write_zarr(folder / "cells.zarr", chunks=(50, G))
        import zarr

        group = zarr.open(folder / "cells.zarr", mode="r")
        out.X = ad.experimental.read_elem_lazy(group["X"], chunks=(60, G))
    return out


@pytest.mark.parametrize("form", ["csr", "dask", "dask sparse"])
def test_covariates_are_removed_before(cells, form, tmp_path, rng):
    values = rng.normal(size=(N, 2))
    index = cells.obs["context"].to_numpy()
    adjustment = fit_adjustment(cells, SPEC, values, index, K)
    adjusted = cells.copy()
    adjusted.X = cells.X - adjustment.effect(values)
    lazy = in_form(cells, form, tmp_path)
    found = cell_moments(chunks_of(lazy, adjustment=adjustment, values=values), K)
    assert_same(found, cell_moments(chunks_of(adjusted), K), 1e-5)  # float32 on one side
