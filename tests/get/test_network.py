import pytest

from scgim.get import network


def test_edges_come_as_decoupler_reads_them(fitted_adata):
    edges = network(fitted_adata, min_probability=0)
    assert list(edges.columns) == ["source", "target", "weight", "probability"]
    assert set(zip(edges["source"], edges["target"], strict=True)) == {("g0", "g1"), ("g1", "g2"), ("g0", "g3")}
    assert edges["weight"].abs().is_monotonic_decreasing
    assert len(network(fitted_adata, min_probability=0, n_edges=1)) == 1


def test_an_empty_network_keeps_its_columns(fitted_adata):
    edges = network(fitted_adata, min_probability=1.0)
    assert list(edges.columns) == ["source", "target", "weight", "probability"]


def test_a_negative_number_of_edges_is_refused(fitted_adata):
    with pytest.raises(ValueError, match="n_edges"):
        network(fitted_adata, n_edges=-1)
