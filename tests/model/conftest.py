"""Small screens for the tests of the model layer."""

from collections.abc import Callable

import anndata as ad
import numpy as np
import pandas as pd
import pytest

DRUGS = ("(+/-) JQ1/analogue", "Ünï-drug α", "drug with spaces")


def make_screen(
    seed: int = 0, *, n_genes: int = 4, n_cells: int = 12, drugs: tuple[str, ...] = DRUGS, batches: tuple[str, ...] = ()
) -> ad.AnnData:
    """Cells of a chain of genes in which drug d shifts gene d; controls first, doses 0.1, 1 and 10."""
    rng = np.random.default_rng(seed)
    rows = [("DMSO", 0.0, b) for b in batches or ("a",) for _ in range(4 * n_cells)] + [
        (d, c, b) for b in batches or ("a",) for d in drugs for c in (0.1, 1.0, 10.0) for _ in range(n_cells)
    ]
    obs = pd.DataFrame(rows, columns=["drug", "dose", "batch"])
    obs.index = [f"cell{i}" for i in range(len(obs))]
    x = np.zeros((len(obs), n_genes))
    for j in range(n_genes):
        hit = obs["drug"] == drugs[j] if j < len(drugs) else np.zeros(len(obs), bool)
        shift = np.where(hit, 4 * obs["dose"] / (obs["dose"] + 1), 0.0)
        base = obs["batch"].map({b: float(i) for i, b in enumerate(batches)}) if batches else 0.0
        x[:, j] = rng.normal(size=len(obs)) + shift + base + (0.8 * x[:, j - 1] if j else 0.0)
    var = pd.DataFrame(index=[f"g{j}" for j in range(n_genes)])
    return ad.AnnData(x.astype(np.float32), obs=obs, var=var)


@pytest.fixture
def screen() -> ad.AnnData:
    """Three drugs with difficult names at three doses, four genes."""
    return make_screen()


@pytest.fixture
def screens() -> Callable[..., ad.AnnData]:
    """The factory of `screen`."""
    return make_screen
