"""The causal graph as a layered picture."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scgim import _keys
from scgim._checks import FITTED, TEXT, checked, count, number, or_none
from scgim.get._tables import check_names, gene_names, warn_of_absent
from scgim.pl import _network, _style

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData

MOST_EDGES = 70  # drawn unless another number is asked for
FEW_GENES = 40  # of which all are drawn
LEAST = 1e-3  # probability with which the strength of an edge is counted at least


@_style.documented
@checked(
    adata=FITTED,
    key=TEXT,
    min_probability=number(0, 1),
    n_edges=or_none(count()),
    gene_symbols=or_none(TEXT),
    **_style.DRAWN,
)
def graph(
    adata: "AnnData | MuData",
    *,
    key: str = _keys.DEFAULT,
    min_probability: float = 0.0,
    n_edges: int | None = None,
    gene_symbols: str | None = None,
    title: str | None = None,
    ax: "Axes | None" = None,
    show: bool | None = None,
    save: "str | Path | None" = None,
    return_fig: bool = False,
) -> "Axes | Figure | None":
    """Draw the inferred graph: causes above, consequences below.

    Red edges with an arrow raise their target, blue edges with a bar lower it; the width follows the weight. Genes that
    some perturbation targets (with a probability of at least 1/2) are shaded, the darker the more perturbations do.

    Parameters
    ----------
    %(adata)s
    %(key)s
    min_probability
        Leave out edges that are less probable than this.
    n_edges
        Draw only this many edges, the strongest (weight times probability). By default 70, which shows graphs of some 30
        genes whole.
    %(gene_symbols)s
    %(title)s
    %(axes)s
    %(figure)s

    %(returns)s

    Raises
    ------
    KeyError
        If ``adata`` has not been fitted with this ``key``.

    Examples
    --------
    >>> scgim.pl.graph(adata)
    """
    from matplotlib.patches import Patch

    check_names(adata, key)
    warn_of_absent(adata, key)
    names = gene_names(adata, gene_symbols)
    every = _edges(_keys.GRAPH.find(adata, key), _keys.GRAPH_PROBABILITY.find(adata, key), min_probability)
    edges = sorted(every, key=lambda e: -abs(e.weight) * max(e.probability, LEAST))[: n_edges or MOST_EDGES]
    genes = _genes(edges, len(names), whole=len(edges) == len(every))
    index = {gene: k for k, gene in enumerate(genes)}
    share = _share(np.asarray(_keys.TARGET_PROBABILITY.find(adata, key)), genes)
    label = _style.labels([names[g] for g in genes], 14)
    nodes = [
        _network.Node(text, fill=_shade(s), text=_style.readable(_shade(s)))
        for text, s in zip(label, share, strict=True)
    ]
    lines = [
        _network.Edge(index[e.cause], index[e.gene], e.weight, alpha=0.35 + 0.65 * min(e.probability, 1.0))
        for e in edges
    ]
    scene = _network.compose(nodes, lines)
    ax, own = _style.axes(ax, lambda: _network.figure_for(scene, title=True)[1])
    _network.draw(ax, scene)
    shaded = [Patch(facecolor=_shade(0.6), edgecolor=_style.outline(), label="targeted")] if share.any() else None
    _network.edge_legend(ax, shaded)
    if title is None:
        title = f"{len(genes)} genes, {len(every)} edges"
        if len(edges) < len(every):
            title = f"{len(edges)} strongest of {len(every)} edges, {len(genes)} of {len(names)} genes"
    ax.set_title(_style.literal(title), fontsize=10, color=_style.muted(), loc="center")
    return _style.finish(ax.figure, ax, own=own, show=show, save=save, return_fig=return_fig)


class Link(NamedTuple):
    """An edge between two genes."""

    cause: int
    gene: int
    weight: float
    probability: float


def _edges(weights: Any, probability: Any, least: float) -> list[Link]:
    """Edges of matrices ``(G, G)`` that are at least so probable."""
    from scipy.sparse import coo_matrix, csr_matrix

    graph, chance = coo_matrix(weights), csr_matrix(probability)
    links = [
        Link(int(i), int(j), float(w), float(chance[i, j]))
        for i, j, w in zip(graph.row, graph.col, graph.data, strict=True)
        if w != 0 and i != j
    ]
    return [link for link in links if link.probability >= least]


def _genes(edges: list[Link], n_genes: int, *, whole: bool) -> list[int]:
    """Those that edges join, or all of few genes where the graph is shown whole or there is no edge."""
    if whole and n_genes <= FEW_GENES:
        return list(range(n_genes))
    linked = sorted({e.cause for e in edges} | {e.gene for e in edges})
    return linked or list(range(min(n_genes, FEW_GENES)))


def _share(probability: np.ndarray, genes: list[int]) -> np.ndarray:
    """How much each gene is targeted, 0 to 1, against the most targeted one."""
    count = (probability[genes] >= _keys.CALLED).sum(1) if probability.size else np.zeros(len(genes))
    return count / max(1, count.max())


def _shade(share: float) -> str:
    """White to a soft amber."""
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    scale = LinearSegmentedColormap.from_list("scgim_shade", [_style.paper(), "#f6d58a"])
    return str(to_hex(scale(0.25 + 0.75 * share if share > 0 else 0.0)))
