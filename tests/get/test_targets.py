import pytest

from scgim.get import targets


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
