"""The causal graph as a networkx object."""

from typing import TYPE_CHECKING

from scgim import _keys
from scgim._checks import FITTED, TEXT, checked, number
from scgim.get._tables import check_names, warn_of_absent

if TYPE_CHECKING:
    import networkx as nx
    from anndata import AnnData
    from mudata import MuData


@checked(adata=FITTED, key=TEXT, min_probability=number(0, 1))
def graph(adata: "AnnData | MuData", *, key: str = _keys.DEFAULT, min_probability: float = 0.0) -> "nx.DiGraph":
    """The inferred causal graph.

    Parameters
    ----------
    adata
        AnnData or MuData that :func:`scgim.tl.fit` has written to.
    key
        The ``key_added`` of the fit.
    min_probability
        Leave out edges that are less probable than this.

    Returns
    -------
    A directed graph with all genes as nodes, in the order of ``adata.var_names``. The edge from i to j says that gene i
    acts on gene j; its attributes are `weight` (change of j per unit of i) and `probability`.

    Warns
    -----
    UserWarning
        Genes of the fit are not in ``adata``.

    Raises
    ------
    KeyError
        If ``adata`` has not been fitted with this ``key``.
    ValueError
        If ``min_probability`` is not between 0 and 1.

    Examples
    --------
    >>> graph = scgim.get.graph(adata)
    >>> graph.edges["Raf", "Mek"]["weight"]
    """
    import networkx as nx
    from scipy.sparse import coo_matrix, csr_matrix

    check_names(adata, key)
    warn_of_absent(adata, key)
    weights = coo_matrix(_keys.GRAPH.find(adata, key))  # (G, G)
    probabilities = csr_matrix(_keys.GRAPH_PROBABILITY.find(adata, key))  # (G, G)
    genes = [str(gene) for gene in adata.var_names]
    result: nx.DiGraph = nx.DiGraph()
    result.add_nodes_from(genes)
    for i, j, weight in zip(weights.row, weights.col, weights.data, strict=True):
        probability = float(probabilities[i, j])
        if weight != 0 and probability >= min_probability:
            result.add_edge(genes[i], genes[j], weight=float(weight), probability=probability)
    return result
