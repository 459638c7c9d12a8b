"""Checks of expression that is dense, sparse, backed or lazy."""

import numpy as np
import pytest

import systems
from scgim.model._reading.cells import Cells
from scgim.model._reading.summary import summarise
from scgim.model._study.study import anndata_spec

da = pytest.importorskip("dask.array")
SETUP = {"perturbation_key": "drug", "control": "DMSO", "dose_key": "dose"}
SPEC = anndata_spec(SETUP)
N, G, K = 300, 5, 4


@pytest.mark.parametrize("form", systems.FORMS)
def test_summaries_are_equal_in_every_form(cells, form, tmp_path):
    index = cells.obs["context"].to_numpy()
    expected, found = (summarise(Cells(a, SPEC, index), K) for a in (cells, systems.in_form(cells, form, tmp_path)))
    np.testing.assert_array_equal(found.low, cells.X.min(axis=0))
    np.testing.assert_array_equal(found.high, cells.X.max(axis=0))
    np.testing.assert_allclose(found.within, expected.within, rtol=1e-6)
    by_hand = sum(cells.X[index == k].astype(float).var(axis=0) * (index == k).sum() for k in range(K)) / N
    np.testing.assert_allclose(found.within, by_hand, rtol=1e-6)


@pytest.mark.parametrize("form", ["csr", "csc", "dask", "dask sparse", "backed"])
def test_gene_with_a_missing_value_is_found(cells, form, tmp_path):
    cells.X[217, 3] = np.nan
    summary = summarise(Cells(systems.in_form(cells, form, tmp_path), SPEC, cells.obs["context"].to_numpy()), K)
    assert summary.n_bad == 1
    assert summary.bad_gene == 3
