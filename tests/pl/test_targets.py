import numpy as np

from scgim.pl import targets


def test_sure_targets_are_coloured_and_named(fitted_adata):
    ax = targets(fitted_adata, min_probability=0.75, show=False)
    names = {text.get_text() for text in ax.texts}
    assert names == {"(+/-)-Abaca…HCl: g0", "β-Lapachone: g1"}
    sure = np.asarray(ax.collections[1].get_offsets())
    np.testing.assert_allclose(np.sort(sure[:, 0]), [-1.0, 2.0])
    np.testing.assert_allclose(np.sort(sure[:, 1]), np.log([4.0, 9.0]), rtol=1e-5)


def test_one_perturbation_names_genes_alone(fitted_adata):
    ax = targets(fitted_adata, "β-Lapachone", min_probability=0.5, show=False)
    assert {text.get_text() for text in ax.texts} == {"g1", "g4"}
    assert "β-Lapachone" in ax.get_title(loc="left")


def test_where_nothing_is_sure_the_first_five_are_named(fitted_adata):
    ax = targets(fitted_adata, "drug c", show=False)
    assert len(ax.collections[1].get_offsets()) == 0
    assert len(ax.texts) == min(5, fitted_adata.n_vars)
    assert not targets(fitted_adata, "drug c", n_labels=0, show=False).texts


def test_the_surest_are_named_among_those_drawn_at_the_top(fitted_adata):
    table = fitted_adata.uns["scgim"]["targets"]
    table["probability"], table["log_odds"] = 1.0, 60.0
    table.loc[table["gene"] == "g3", "log_odds"] = 900.0
    ax = targets(fitted_adata, "drug c", n_labels=1, show=False)
    assert [text.get_text() for text in ax.texts] == ["g3"]
    assert "at most 50" in ax.get_ylabel() and np.asarray(ax.collections[1].get_offsets())[:, 1].max() == 50
