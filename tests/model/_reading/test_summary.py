"""Checks of expression that is dense, sparse, backed or lazy."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scgim.model._reading.summary import summarise
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


FORMS = ["csr", "csc", "dask", "dask columns", "dask sparse", "backed", "backed csr", "zarr", "zarr csr"]


@pytest.mark.parametrize("form", FORMS)
def test_summaries_are_equal(cells, form, tmp_path):
    index = cells.obs["context"].to_numpy()
    expected, found = (summarise(a, SPEC, index, K) for a in (cells, in_form(cells, form, tmp_path)))
    np.testing.assert_array_equal(found.low, cells.X.min(axis=0))
    np.testing.assert_array_equal(found.high, cells.X.max(axis=0))
    np.testing.assert_allclose(found.within, expected.within, rtol=1e-6)
    by_hand = sum(cells.X[index == k].astype(float).var(axis=0) * (index == k).sum() for k in range(K)) / N
    np.testing.assert_allclose(found.within, by_hand, rtol=1e-6)


@pytest.mark.parametrize("form", ["csr", "csc", "dask", "dask sparse", "backed"])
def test_gene_with_a_missing_value_is_found(cells, form, tmp_path):
    cells.X[217, 3] = np.nan
    summary = summarise(in_form(cells, form, tmp_path), SPEC, cells.obs["context"].to_numpy(), K)
    assert summary.n_bad == 1
    assert summary.bad_gene == 3
