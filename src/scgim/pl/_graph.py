"""The causal graph as a layered picture."""

from typing import TYPE_CHECKING

import numpy as np

from scgim import _keys
from scgim._checks import FITTED, TEXT, checked, count, number, or_none
from scgim.get._tables import gene_names
from scgim.pl import _network, _style

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData


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
    from scipy.sparse import coo_matrix, csr_matrix

    weights = coo_matrix(_keys.GRAPH.find(adata, key))  # (G, G)
    probability = csr_matrix(_keys.GRAPH_PROBABILITY.find(adata, key))  # (G, G)
    target_probability = np.asarray(_keys.TARGET_PROBABILITY.find(adata, key))  # (G, K)
    names = gene_names(adata, gene_symbols)
    edges = [
        (int(i), int(j), float(w), float(probability[i, j]))
        for i, j, w in zip(weights.row, weights.col, weights.data, strict=True)
        if w != 0 and i != j and probability[i, j] >= min_probability
    ]
    total, limit = len(edges), 70 if n_edges is None else n_edges
    edges = sorted(edges, key=lambda e: -abs(e[2]) * max(e[3], 1e-3))[:limit]
    linked = sorted({e[0] for e in edges} | {e[1] for e in edges})
    genes = list(range(len(names))) if total <= limit and len(names) <= 40 else linked
    if not genes:
        genes = list(range(min(len(names), 40)))
    index = {gene: k for k, gene in enumerate(genes)}
    share = _share(target_probability, genes)
    label = _style.labels([names[g] for g in genes], 14)
    nodes = [
        _network.Node(text, fill=_shade(s), text=_style.readable(_shade(s)))
        for text, s in zip(label, share, strict=True)
    ]
    scene = _network.compose(
        nodes, [_network.Edge(index[i], index[j], w, alpha=0.35 + 0.65 * min(p, 1.0)) for i, j, w, p in edges]
    )
    ax, own = _style.axes(ax, lambda: _network.figure_for(scene, title=True)[1])
    _network.draw(ax, scene)
    shaded = [Patch(facecolor=_shade(0.6), edgecolor=_style.outline(), label="targeted")] if share.any() else None
    _network.edge_legend(ax, shaded)
    if title is None:
        title = f"{len(genes)} genes, {total} edges"
        if len(edges) < total:
            title = f"{len(edges)} strongest of {total} edges, {len(genes)} of {len(names)} genes"
    ax.set_title(_style.literal(title), fontsize=10, color=_style.muted(), loc="center")
    return _style.finish(ax.figure, ax, own=own, show=show, save=save, return_fig=return_fig)


def _share(probability: np.ndarray, genes: list[int]) -> np.ndarray:
    """How much each gene is targeted, 0 to 1, against the most targeted one."""
    count = (probability[genes] >= 0.5).sum(1) if probability.size else np.zeros(len(genes))
    return count / max(1, count.max())


def _shade(share: float) -> str:
    """White to a soft amber."""
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    scale = LinearSegmentedColormap.from_list("scgim_shade", [_style.paper(), "#f6d58a"])
    return str(to_hex(scale(0.25 + 0.75 * share if share > 0 else 0.0)))
