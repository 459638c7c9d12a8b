"""Cells whose sums are taken in every form of expression."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scgim.model._reading.cells import Cells
from scgim.model._study.study import anndata_spec

SPEC = anndata_spec({"perturbation_key": "drug", "control": "DMSO", "dose_key": "dose"})


@pytest.fixture
def cells(rng) -> ad.AnnData:
    """300 cells of five genes in four contexts, a third of the values zero."""
    x = rng.normal(3, 2, (300, 5)).astype(np.float32)
    x[rng.random((300, 5)) < 0.3] = 0
    return ad.AnnData(x, obs=pd.DataFrame({"context": rng.integers(0, 4, 300)}, index=[f"c{i}" for i in range(300)]))


@pytest.fixture(scope="session")
def chunks_of():
    """Registered cells of an AnnData with the column `context`."""
    return lambda adata, **kwargs: Cells(adata, SPEC, adata.obs["context"].to_numpy(), **kwargs)


@pytest.fixture(scope="session")
def assert_same():
    """Moments are equal, relative to the largest of each array."""

    def check(a, b, tolerance: float = 1e-10) -> None:
        for name in ("n", "mean", "within", "loc", "scale", "slope", "scatter"):
            x, y = getattr(a, name), getattr(b, name)
            assert (x is None) == (y is None)
            if x is not None:
                assert np.abs(x - y).max() <= tolerance * np.abs(y).max(), name

    return check
