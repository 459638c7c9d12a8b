"""Effect against evidence: every gene of a perturbation, or of all of them, as a point."""

from typing import TYPE_CHECKING, Any

import numpy as np

from scgim import _keys
from scgim._checks import FITTED, TEXT, checked, count, number, or_none
from scgim.get import targets as target_table
from scgim.get._tables import as_log_odds, find_perturbation
from scgim.pl import _style
from scgim.pl._drawing.labels import beside

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData

UNSURE = 5  # genes named where none is sure
MOST = 50.0  # log odds drawn at the most: beyond, the height would say nothing but the number of cells


@_style.documented
@checked(
    adata=FITTED,
    perturbation=or_none(TEXT),
    key=TEXT,
    min_probability=number(0, 1),
    n_labels=count(0),
    gene_symbols=or_none(TEXT),
    **_style.DRAWN,
)
def targets(
    adata: "AnnData | MuData",
    perturbation: str | None = None,
    *,
    key: str = _keys.DEFAULT,
    min_probability: float = 0.9,
    n_labels: int = 12,
    gene_symbols: str | None = None,
    title: str | None = None,
    ax: "Axes | None" = None,
    show: bool | None = None,
    save: "str | Path | None" = None,
    return_fig: bool = False,
) -> "Axes | Figure | None":
    """Draw the effect on each gene against the log odds that the gene is a target.

    The picture that a volcano plot is for changes, for direct targets: to the right what a perturbation raises, to the
    left what it lowers, and the surer the higher (log odds beyond 50 are drawn at 50). Genes above the line of
    ``min_probability`` are coloured, and the first of them named; where there are none, the five genes with the highest
    log odds are named.

    Parameters
    ----------
    %(adata)s
    perturbation
        One perturbation; all of them together if not given, labels then name the perturbation too.
    %(key)s
    min_probability
        Probability from which genes are coloured.
    n_labels
        How many genes to name, the surest first.
    %(gene_symbols)s
    %(title)s
    %(axes)s
    %(figure)s

    %(returns)s

    Raises
    ------
    KeyError
        If ``adata`` has not been fitted with this ``key``, or ``perturbation`` is not among the fitted ones.
    TypeError
        If ``perturbation`` is not text.
    ValueError
        If ``min_probability`` is not between 0 and 1.

    Examples
    --------
    >>> scgim.pl.targets(adata, "U0126")
    """
    if not 0 < min_probability < 1:
        raise ValueError(f"min_probability: expected a number between 0 and 1, found {min_probability!r}.")
    table = target_table(adata, level="drug", key=key, gene_symbols=gene_symbols)
    names = list(dict.fromkeys(table["perturbation"]))
    if perturbation is not None:
        table = table[table["perturbation"] == names[find_perturbation(names, perturbation)]]
    effect, surety = table["effect"].to_numpy(float), log_odds(table)
    odds = np.clip(surety, -MOST, MOST)
    sure = table["probability"].to_numpy(float) >= min_probability
    ax, own = _style.axes(ax, (5.4 if perturbation is not None else 7.4, 4.2))  # labels of all are twice as long
    _style.clean(ax)
    ax.axvline(0, color=_style.muted(), linewidth=0.8, zorder=1)
    ax.axhline(
        np.log(min_probability / (1 - min_probability)), color=_style.muted(), linewidth=0.8, linestyle="--", zorder=1
    )
    color = np.where(effect >= 0, *_style.signs())
    ax.scatter(effect[~sure], odds[~sure], s=9, color=_style.outline(), alpha=0.6, linewidths=0, zorder=2)
    ax.scatter(effect[sure], odds[sure], s=22, c=color[sure], linewidths=0, zorder=3)
    at = np.argsort(np.where(sure, -surety, np.inf), kind="stable")[: min(n_labels, int(sure.sum()))]
    if not sure.any():  # an order of hypotheses is all that there is, so say whose
        at = np.argsort(-surety, kind="stable")[: min(n_labels, UNSURE)]
    genes = table["symbol" if gene_symbols else "gene"].astype(str).to_numpy()[at]
    text = _style.labels(genes.tolist(), 16)
    if perturbation is None:
        drugs = table["perturbation"].astype(str).to_numpy()[at].tolist()
        text = [f"{drug}: {gene}" for drug, gene in zip(_style.labels(drugs, 16), text, strict=True)]
    beside(ax, effect[at], odds[at], text)
    ax.set_xlabel("effect, if the gene is a target", fontsize=9)
    ax.set_ylabel("log odds of a target" + (f" (at most {MOST:g})" if (surety > MOST).any() else ""), fontsize=9)
    if title is None:
        found = f"{int(sure.sum())} of {len(table)} with a probability of at least {min_probability:g}"
        title = found if perturbation is None else f"{_style.shorten(str(perturbation), 40)}: {found}"
    _style.head(ax, title)
    return _style.finish(ax.figure, ax, own=own, show=show, save=save, return_fig=return_fig)


def log_odds(table: Any) -> np.ndarray:
    """Log odds of a target, as the fit has written them or, in older results, from the probabilities."""
    if "log_odds" in table:
        return table["log_odds"].to_numpy(float)
    return as_log_odds(table["probability"].to_numpy(float))
