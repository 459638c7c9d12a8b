import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from scgim import get, pl
from scgim.get import targets
from scgim.get._targets import false_sign_rate


def test_table_is_a_copy_and_can_be_filtered(fitted_adata):
    table = targets(fitted_adata)
    assert len(table) == 6 * 5
    table["probability"] = 0.0
    assert targets(fitted_adata)["probability"].max() == pytest.approx(0.9)
    sure = targets(fitted_adata, min_probability=0.5)
    assert set(sure["gene"]) == {"g0", "g1", "g4"}


def test_unknown_key_names_the_mend(fitted_adata):
    with pytest.raises(KeyError, match="scgim.tl.fit.*other"):
        targets(fitted_adata, key="other")
    with pytest.raises(ValueError, match="min_probability"):
        targets(fitted_adata, min_probability=2)


def test_one_row_a_drug_and_gene_with_the_effect_of_the_highest_dose(fitted_adata):
    table = targets(fitted_adata, level="drug")
    assert len(table) == 3 * 5
    own = table[table["perturbation"] == "β-Lapachone"].set_index("gene")
    assert own.loc["g1", "effect"] == pytest.approx(-1.0)  # -0.5 at the lower dose
    assert own.loc["g1", "rank"] == 1 and own.loc["g4", "rank"] == 2
    assert (table["n_contexts"] == 2).all()
    assert list(table.groupby("perturbation", sort=False)["rank"].apply(list)) == [[1, 2, 3, 4, 5]] * 3


def test_columns_stand_in_one_order_at_both_levels(fitted_adata):
    table = fitted_adata.uns["scgim"]["targets"]
    table["identified"], table["n_agree"] = True, 1
    contexts, drugs = targets(fitted_adata), targets(fitted_adata, level="drug")
    shared = [column for column in contexts if column in drugs]
    assert shared == [column for column in drugs if column in contexts]
    assert {"kind", "log_odds", "rank", "identified", "n_agree"} & set(table) <= set(shared)
    assert (drugs["n_agree"] == 1).all()


def test_the_false_sign_rate_is_that_of_a_gaussian_effect(fitted_adata):
    rate = false_sign_rate(
        np.array([0.9, 1.0, 0.0, 1.0]), np.array([1.0, 0.0, 2.0, 3.0]), np.array([1.0, 0.5, 1.0, 0.0])
    )
    np.testing.assert_allclose(rate, [0.1 + 0.9 * norm.cdf(-1.0), 0.5, 1.0, 0.0])
    sure = targets(fitted_adata, max_false_sign_rate=0.15)
    assert set(sure["gene"]) == {"g0"}


def test_symbols_stand_beside_the_genes(fitted_adata):
    fitted_adata.var["name"] = [f"SYM{i}" for i in range(5)]
    table = targets(fitted_adata, gene_symbols="name")
    assert (table["symbol"].str.removeprefix("SYM") == table["gene"].astype(str).str.removeprefix("g")).all()


CALLS = {
    "targets": get.targets,
    "graph": get.graph,
    "gene_sets": get.gene_sets,
    "perturbations": get.perturbations,
    "downstream": lambda adata: get.downstream(adata, "drug c"),
    "pl.mechanisms": lambda adata: pl.mechanisms(adata, show=False),
    "pl.graph": lambda adata: pl.graph(adata, show=False),
    "pl.dose_response": lambda adata: pl.dose_response(adata, "drug c", show=False),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_names_that_have_changed_since_the_fit_are_named(fitted_adata, call):
    fitted_adata.obs["drug"] = fitted_adata.obs["drug"].cat.rename_categories({"drug c": "drug C"})
    with pytest.warns(UserWarning, match=r"\.obs has 'drug C', which is not in the fit, and no longer 'drug c'"):
        call(fitted_adata)
    fitted_adata.var_names = [f"ENSG{i}" for i in range(fitted_adata.n_vars)]
    with pytest.raises(ValueError, match=r"adata: 'ENSG.' is no gene of the fit, expected such as 'g0'"):
        call(fitted_adata)


def test_a_gene_beside_those_of_the_fit_is_no_change_of_names(fitted_adata):
    extra = anndata.AnnData(
        np.zeros((fitted_adata.n_obs, 1)), obs=fitted_adata.obs[[]], var=pd.DataFrame(index=["HTO1"])
    )
    more = anndata.concat([fitted_adata, extra], axis=1, merge="first", uns_merge="first")
    assert len(targets(more)) == len(targets(fitted_adata))
