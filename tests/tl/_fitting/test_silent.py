"""A screen in which everything moves ends in targets or a warning, never in silence."""

import warnings
from types import SimpleNamespace

import anndata
import numpy as np
import pandas as pd
import pytest

import scgim
from scgim._core.design import Design
from scgim._core.effects import Effects
from scgim.tl._fitting.silent import warn_silent

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


def test_labels_without_meaning_get_no_warning():
    """Hidden causes are found among permuted cells, and what is drawn of them is sampling."""
    adata = scgim.datasets.simulate(8, n_drugs=8, n_control=300, new_doses=(), n_new_drugs=0, rng=1)
    order = np.random.default_rng(0).permutation(adata.n_obs)
    adata.obs["drug"], adata.obs["dose"] = (adata.obs[c].to_numpy()[order] for c in ("drug", "dose"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        scgim.tl.fit(adata, perturbation_key="drug", dose_key="dose", control="control", progress=False)
    assert not len(scgim.get.targets(adata, min_probability=0.5))


@pytest.mark.parametrize(("groups", "network"), [(1, False), (5, False), (5, True)])
def test_the_warning_advises_what_was_not_given(groups, network):
    k = 2 * groups
    design = Design(
        ("a",), np.tile([[0.0], [1.0]], (groups, 1)), np.arange(k) // 2, tuple("abcde"[:groups]), np.full(k, 99)
    )
    moved, none = Effects(np.ones((1, 6)), np.ones((1, 6)), np.full((1, 6), 0.1)), np.zeros((1, 6))
    fit = SimpleNamespace(
        kinds=[SimpleNamespace(of_drug=Effects(none, none, none))],
        regulators=SimpleNamespace(probability=none[:, :0]),
        drift=SimpleNamespace(of_drug=moved),
        mechanisms=SimpleNamespace(noise_sd=np.ones(6)),
        drugs=("a",),
        genes=tuple("uvwxyz"),
    )
    with pytest.warns(UserWarning, match="a moves 6 of 6 genes") as said:
        warn_silent(fit, design, network=network)
    text = str(said[0].message)
    assert ("batch_key" in text, "regulators=" in text) == (groups == 1, not network)


@pytest.mark.parametrize(
    ("last", "mechanism"),
    [
        (lambda x: 3 * x[:, 0] + 2, "auto"),
        (lambda x: x[:, 0] + x[:, 1], "linear"),
        (lambda x: -x.sum(axis=1), "linear"),
    ],
)
def test_a_gene_that_others_make_up_is_named(last, mechanism):
    """The same twice, a sum, and values that add up to nothing: the covariance is singular, and the fit ends in a warning."""
    adata = scgim.datasets.simulate(6, n_drugs=6, n_control=200, new_doses=(), n_new_drugs=0, rng=0)
    x = np.asarray(adata.X, dtype=float)
    more = anndata.AnnData(np.column_stack([x, last(x)]).astype(np.float32), obs=adata.obs)
    more.var_names = [f"g{i}" for i in range(7)]
    keys = {"perturbation_key": "drug", "dose_key": "dose", "control": "control", "mechanism": mechanism}
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with pytest.warns(UserWarning, match="nearly without noise") as said:
            scgim.tl.fit(more, **keys, progress=False)
    assert sum("nearly without noise" in str(one.message) for one in said) == 1  # "auto" fits twice
    called = scgim.get.targets(more, level="drug", min_probability=0.9)
    assert len(called) and set(called["gene"]) <= set(more.var_names)
