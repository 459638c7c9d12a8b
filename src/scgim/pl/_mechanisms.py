"""Where perturbations act: all of them at a glance, or one with what follows from it."""

from typing import TYPE_CHECKING, Any

import numpy as np

from scgim import _keys
from scgim._checks import DOSE, FITTED, TEXT, checked, count, or_none
from scgim.get._tables import acted_on, check_names, measured, regulated, regulators_of, warn_of_absent
from scgim.pl import _downstream, _overview, _style
from scgim.pl._data import find, read, with_regulators
from scgim.pl._drawing.layout import topological

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData


@_style.documented
@checked(
    adata=FITTED,
    perturbation=or_none(TEXT),
    key=TEXT,
    dose=DOSE,
    n_genes=or_none(count()),
    n_perturbations=or_none(count()),
    gene_symbols=or_none(TEXT),
    **_style.DRAWN,
)
def mechanisms(
    adata: "AnnData | MuData",
    perturbation: str | None = None,
    *,
    key: str = _keys.DEFAULT,
    dose: str | float = "highest",
    n_genes: int | None = None,
    n_perturbations: int | None = None,
    gene_symbols: str | None = None,
    title: str | None = None,
    ax: "Axes | None" = None,
    show: bool | None = None,
    save: "str | Path | None" = None,
    return_fig: bool = False,
) -> "Axes | Figure | None":
    """Draw the inferred mechanisms of action.

    Without ``perturbation``: one row a perturbation, one column a gene, causes left of their consequences. The size of a
    dot is the probability that the gene is a target, its colour the signed effect, its form the kind of intervention where
    there are several; perturbations without a target of probability 1/2 are in grey italics.

    With ``perturbation``: its targets with the effect on each (and the probability p where it is below 0.95), and the part
    of the graph downstream of them. Genes are coloured by the change of
    their mean that the model predicts (linear mechanisms and shifts; otherwise only targets are coloured, by effect).

    Parameters
    ----------
    %(adata)s
    perturbation
        One perturbation; the parts of a combination are joined by ``" + "``.
    %(key)s
    dose
        ``"highest"`` shows the highest dose of each perturbation, ``"all"`` one row a dose, a number this dose.
    n_genes
        Show at most this many genes, the first target of every row before others. By default 40, or as many as first
        targets need, at the most 80, and of more genes than that those with a dot alone; and 25 for one perturbation.
    n_perturbations
        Show at most this many perturbations, those with the strongest effects, each with all doses asked for. By default 60.
    %(gene_symbols)s
    %(title)s
    %(axes)s
    %(figure)s

    %(returns)s

    Raises
    ------
    KeyError
        If ``adata`` has not been fitted with this ``key``, or ``perturbation`` is not among the fitted ones, or
        ``gene_symbols`` is not in ``adata.var``.
    ValueError
        If ``dose`` was not measured.

    Examples
    --------
    >>> scgim.pl.mechanisms(adata)
    >>> scgim.pl.mechanisms(adata, "U0126")
    """
    from scipy.sparse import csr_matrix

    check_names(adata, key)
    if perturbation is not None and dose == "all":
        raise ValueError("dose: expected 'highest' or a number when one perturbation is drawn, found 'all'.")
    warn_of_absent(adata, key)
    if perturbation is not None:
        fitted = read(adata, key, dose=dose, gene_symbols=gene_symbols)
        row, weights = find(fitted, perturbation), csr_matrix(_keys.GRAPH.find(adata, key))
        limit = 25 if n_genes is None else n_genes
        acting = _regulators(row, adata, key, dose)
        added = regulated(adata, key, measured(adata, key, dose))
        drawn, own = _downstream.draw(
            fitted,
            row,
            weights,
            n_genes=limit,
            title=title,
            ax=ax,
            regulators=acting,
            added=None if added is None else added[row],
        )
        return _style.finish(drawn.figure, drawn, own=own, show=show, save=save, return_fig=return_fig)
    fitted = read(adata, key, dose=dose, gene_symbols=gene_symbols)
    order, fitted = _order(adata, key), with_regulators(fitted, adata, key, dose)
    order += list(range(len(order), len(fitted.genes)))  # regulators, which act on genes, last
    rows, genes = _overview.choose(fitted, order, n_genes, n_perturbations)
    labels = _style.labels([fitted.label[row] for row in rows], 38)
    if title is None:
        what = "genes" if len(fitted.genes) == adata.n_vars else "genes and regulators"
        title = _selection(len(rows), len(fitted.label), len(genes), len(fitted.genes), what)
    ax, own = _overview.picture(ax, fitted, rows, genes, labels, title)
    return _style.finish(ax.figure, ax, own=own, show=show, save=save, return_fig=return_fig)


def _regulators(row: int, adata: Any, key: str, dose: str | float) -> list[_downstream.Regulator]:
    """Regulators that a perturbation changes more probably than not, with the genes that the network has them act on."""
    found = regulators_of(adata, key, dose)
    return [
        _downstream.Regulator(
            found.names[t],
            float(found.probability[row, t]),
            float(found.activity[row, t]),
            acted_on(adata, key, found.names[t]),
        )
        for t in np.flatnonzero(found.probability[row] >= _keys.CALLED)
    ]


def _selection(rows: int, all_rows: int, genes: int, all_genes: int, what: str) -> str:
    """Says what is left out, if anything is."""
    parts = [f"{rows} of {all_rows} perturbations"] if rows < all_rows else []
    parts += [f"{genes} of {all_genes} {what}"] if genes < all_genes else []
    return ", ".join(parts)


def _order(adata: Any, key: str) -> list[int]:
    """Genes with causes before consequences."""
    from scipy.sparse import coo_matrix

    weights = coo_matrix(_keys.GRAPH.find(adata, key))
    edges = sorted(
        zip(weights.row.tolist(), weights.col.tolist(), np.abs(weights.data), strict=True), key=lambda e: -e[2]
    )
    return topological(list(range(adata.n_vars)), [(i, j) for i, j, w in edges if w > 0])
