import pytest

from scgim.get import graph


def test_edges_run_from_row_to_column(fitted_adata):
    result = graph(fitted_adata)
    assert list(result) == ["g0", "g1", "g2", "g3", "g4"]
    assert set(result.edges) == {("g0", "g1"), ("g1", "g2"), ("g0", "g3")}
    assert result.edges["g1", "g2"] == {"weight": -2.0, "probability": 0.75}
    assert graph(fitted_adata, min_probability=0.9).number_of_edges() == 0


def test_without_a_fit_the_missing_key_is_named(fitted_adata):
    del fitted_adata.varp["scgim_graph"]
    with pytest.raises(KeyError, match="scgim_graph"):
        graph(fitted_adata)
    with pytest.raises(ValueError, match="min_probability"):
        graph(fitted_adata, min_probability=-1)
