"""Targets as sets of genes."""

from typing import TYPE_CHECKING

import numpy as np

from scgim import _keys
from scgim._checks import FITTED, FLAG, TEXT, checked, number, or_none
from scgim.get._tables import check_names, gene_names, measured, warn_of_absent

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@checked(adata=FITTED, key=TEXT, min_probability=number(0, 1), by_sign=FLAG, gene_symbols=or_none(TEXT))
def gene_sets(
    adata: "AnnData | MuData",
    *,
    key: str = _keys.DEFAULT,
    min_probability: float = 0.5,
    by_sign: bool = False,
    gene_symbols: str | None = None,
) -> dict[str, list[str]]:
    """The targets of each perturbation as a set of genes, the form that gseapy takes.

    Parameters
    ----------
    adata
        AnnData or MuData that :func:`scgim.tl.fit` has written to.
    key
        The ``key_added`` of the fit.
    min_probability
        Genes that are a target with at least this probability, at the highest dose.
    by_sign
        Two sets a perturbation, ``"drug (up)"`` and ``"drug (down)"``, by the sign of the effect.
    gene_symbols
        Column of ``adata.var`` with the names to give.

    Returns
    -------
    Genes by perturbation, the most probable first; perturbations without a target are left out.

    Warns
    -----
    UserWarning
        Genes of the fit are not in ``adata``.

    Raises
    ------
    KeyError
        If ``adata`` has not been fitted with this ``key``, or ``gene_symbols`` is not a column of ``adata.var``.
    ValueError
        If ``min_probability`` is not between 0 and 1.

    Examples
    --------
    >>> gseapy.enrich(gene_list=scgim.get.gene_sets(adata)["JQ1"], gene_sets="pathways.gmt")  # doctest: +SKIP
    """
    check_names(adata, key)
    warn_of_absent(adata, key)
    rows, names = measured(adata, key), gene_names(adata, gene_symbols)
    probability = rows.pool(np.asarray(_keys.TARGET_PROBABILITY.find(adata, key), float).T)  # (P, G)
    effect = rows.pool(np.asarray(_keys.EFFECT.find(adata, key), float).T)  # (P, G)
    out: dict[str, list[str]] = {}
    for name, own, size in zip(rows.perturbation, probability, effect, strict=True):
        genes = [g for g in np.argsort(-own, kind="stable") if own[g] >= min_probability]
        parts = {name: genes}
        if by_sign:
            parts = {
                f"{name} (up)": [g for g in genes if size[g] > 0],
                f"{name} (down)": [g for g in genes if size[g] < 0],
            }
        out |= {label: [names[g] for g in part] for label, part in parts.items() if part}
    return out
