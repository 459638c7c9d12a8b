"""decoupler reads our network and gene sets. Skipped where it is not installed."""

import numpy as np
import pandas as pd
import pytest

from scgim import get

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def dc():
    return pytest.importorskip("decoupler")


@pytest.fixture
def network():
    """Two regulators of five genes each, as the table of ``get.network``."""
    rows = [(f"R{r}", f"g{5 * r + k}", 1.0 if k % 2 else -1.0, 0.9) for r in range(2) for k in range(5)]
    return pd.DataFrame(rows, columns=["source", "target", "weight", "probability"])


def test_the_columns_are_those_that_decoupler_asks_for(dc, network, fitted_adata, rng):
    assert list(get.network(fitted_adata).columns) == list(network.columns)
    cells = pd.DataFrame(rng.normal(size=(12, 12)), columns=[f"g{k}" for k in range(12)])
    weight = network.set_index("target")["weight"]
    cells.loc[:5, weight.index[:5]] += 3 * weight.iloc[:5].to_numpy()  # R0 is active in the first six cells
    score, _ = dc.mt.ulm(data=cells, net=network, tmin=3)
    assert score.shape == (12, 2)
    assert score["R0"].iloc[:6].mean() > score["R0"].iloc[6:].mean() + 2


def test_gene_sets_become_a_network_of_decoupler(dc, fitted_adata):
    sets = get.gene_sets(fitted_adata, min_probability=0.5)
    table = pd.DataFrame([(name, gene) for name, genes in sets.items() for gene in genes], columns=["source", "target"])
    assert len(table) >= 2
    cells = pd.DataFrame(np.eye(5), columns=list(fitted_adata.var_names))
    score, _ = dc.mt.zscore(data=cells, net=table.assign(weight=1.0), tmin=1)
    assert set(score.columns) == set(table["source"])
