"""The graph as other programs read it: GraphML, edge list, adjacency."""

import io

import networkx as nx
import numpy as np
import pandas as pd

from scgim import get


def test_graphml_reads_back_equal(fitted_adata, tmp_path):
    graph = get.graph(fitted_adata)
    nx.write_graphml(graph, tmp_path / "graph.graphml")
    again = nx.read_graphml(tmp_path / "graph.graphml")
    assert list(again.nodes) == list(graph.nodes)
    assert dict(again.edges) == dict(graph.edges)


def test_the_table_is_an_edge_list_of_networkx(fitted_adata):
    edges = get.network(fitted_adata, min_probability=0)
    graph = nx.from_pandas_edgelist(edges, edge_attr=["weight", "probability"], create_using=nx.DiGraph)
    assert dict(graph.edges) == dict(get.graph(fitted_adata).edges)
    again = pd.read_csv(io.StringIO(edges.to_csv(index=False)))
    pd.testing.assert_frame_equal(again, edges, check_dtype=False)


def test_the_adjacency_is_what_the_fit_wrote(fitted_adata):
    graph = get.graph(fitted_adata)
    weights = nx.to_numpy_array(graph, nodelist=list(fitted_adata.var_names), weight="weight")
    np.testing.assert_allclose(weights, fitted_adata.varp["scgim_graph"].toarray())
