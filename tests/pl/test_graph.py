import numpy as np
from matplotlib.patches import PathPatch
from scipy import sparse

from scgim.pl import graph


def curves(ax):
    return [p for p in ax.patches if isinstance(p, PathPatch)]


def test_every_edge_and_gene_is_drawn(fitted_adata):
    ax = graph(fitted_adata, show=False)
    assert len(curves(ax)) == 3
    assert {t.get_text() for t in ax.texts} == {"g0", "g1", "g2", "g3", "g4"}
    assert ax.get_title() == "5 genes, 3 edges"


def test_strongest_edges_alone_can_be_drawn(fitted_adata):
    ax = graph(fitted_adata, n_edges=1, show=False)
    assert {t.get_text() for t in ax.texts} == {"g1", "g2"}
    assert ax.get_title() == "1 strongest of 3 edges, 2 of 5 genes"


def test_cycles_and_empty_graphs_are_drawn(fitted_adata):
    cycle = np.zeros((5, 5), np.float32)
    cycle[0, 1] = cycle[1, 2] = cycle[2, 0] = 1
    fitted_adata.varp["scgim_graph"] = sparse.csr_matrix(cycle)
    fitted_adata.varp["scgim_graph_probability"] = sparse.csr_matrix(cycle)
    assert len(curves(graph(fitted_adata, show=False))) == 3
    fitted_adata.varp["scgim_graph"] = sparse.csr_matrix((5, 5))
    assert len(curves(graph(fitted_adata, show=False))) == 0


def test_own_axes_are_used_and_the_figure_returned(fitted_adata):
    import matplotlib.pyplot as plt

    _, ax = plt.subplots()
    assert graph(fitted_adata, ax=ax, return_fig=True) is ax.figure
    assert graph(fitted_adata, show=True) is None
