import pytest

from scgim.get import gene_sets


def test_targets_by_perturbation_the_most_probable_first(fitted_adata):
    assert gene_sets(fitted_adata) == {"(+/-)-Abacavir / HCl": ["g0"], "β-Lapachone": ["g1", "g4"]}


def test_signs_can_be_kept_apart(fitted_adata):
    sets = gene_sets(fitted_adata, by_sign=True)
    assert sets["β-Lapachone (down)"] == ["g1"] and sets["β-Lapachone (up)"] == ["g4"]


def test_a_wrong_threshold_is_named(fitted_adata):
    with pytest.raises(ValueError, match="min_probability"):
        gene_sets(fitted_adata, min_probability=-1)
