"""A screen in which everything moves ends in targets or a warning, never in silence."""

import warnings

import anndata
import numpy as np
import pandas as pd
import pytest

import scgim

N = 600


def one_drug(seed: int, *, moves_sd: float, n_genes: int = 60) -> anndata.AnnData:
    """One drug that moves every gene, as interferon does, or none; no batch is written down."""
    rng = np.random.default_rng(seed)
    drug = np.repeat(["control", "interferon"], N)
    x = rng.normal(size=(2 * N, n_genes))
    x[N:] += moves_sd * rng.standard_t(4, n_genes)
    obs = pd.DataFrame({"drug": drug}, index=[f"c{i}" for i in range(2 * N)])
    return anndata.AnnData(x.astype(np.float32), obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(n_genes)]))


def fit(adata: anndata.AnnData) -> tuple[int, list[str]]:
    """Targets that are more likely than not, and warnings of the fit."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scgim.tl.fit(adata, perturbation_key="drug", control="control", progress=False)
    table = scgim.get.targets(adata)
    return int((table["probability"] > 0.5).sum()), [str(w.message) for w in caught if "no targets" in str(w.message)]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_drug_that_moves_everything_is_not_met_with_silence(seed):
    called, said = fit(one_drug(seed, moves_sd=0.3))
    assert called or len(said) == 1
    assert called or "interferon moves" in said[0]


def test_a_drug_that_does_nothing_gets_no_warning():
    called, said = fit(one_drug(3, moves_sd=0.0))
    assert not called
    assert not said


@pytest.mark.parametrize("last", [lambda x: 3 * x[:, 0] + 2, lambda x: x[:, 0] + x[:, 1], lambda x: -x.sum(axis=1)])
def test_a_gene_that_others_make_up_is_named(last):
    """The same twice, a sum, and values that add up to nothing: the covariance is singular, and the fit ends in a warning."""
    adata = scgim.datasets.simulate(6, n_drugs=6, n_control=200, new_doses=(), n_new_drugs=0, rng=0)
    x = np.asarray(adata.X, dtype=float)
    more = anndata.AnnData(np.column_stack([x, last(x)]).astype(np.float32), obs=adata.obs)
    more.var_names = [f"g{i}" for i in range(7)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with pytest.warns(UserWarning, match="nearly without noise"):
            scgim.tl.fit(more, perturbation_key="drug", dose_key="dose", control="control", progress=False)
    called = scgim.get.targets(more, level="drug", min_probability=0.9)
    assert len(called) and set(called["gene"]) <= set(more.var_names)
