"""Cells whose sums are taken in every form of expression."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def cells(rng) -> ad.AnnData:
    """300 cells of five genes in four contexts, a third of the values zero."""
    x = rng.normal(3, 2, (300, 5)).astype(np.float32)
    x[rng.random((300, 5)) < 0.3] = 0
    return ad.AnnData(x, obs=pd.DataFrame({"context": rng.integers(0, 4, 300)}, index=[f"c{i}" for i in range(300)]))
