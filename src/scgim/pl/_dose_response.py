"""Effects on the targets of one perturbation against the dose."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scgim import _keys
from scgim._checks import AXES, FITTED, NAMES, TABLE, TEXT, checked, count, did_you_mean, or_none
from scgim.get._tables import as_list, check_names, in_targets, perturbation_names
from scgim.pl import _style
from scgim.pl._data import Fitted, find, read, with_regulators

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData

COLORS = (
    "#009e73",
    "#e69f00",
    "#7a5ea8",
    "#8a6d5a",
    "#cc79a7",
    "#4aa3a2",
    "#b8b12b",
    "#7f7f7f",
)  # no red or blue: these are signs
MARKERS = "os^DvPX"  # one fewer than colors, so that no two of many genes look the same
LOGARITHMIC = 20.0  # times the lowest dose from which on the axis is logarithmic


@_style.documented
@checked(
    adata=FITTED,
    perturbation=TEXT,
    key=TEXT,
    genes=or_none(NAMES),
    n_genes=count(),
    curves=or_none(TABLE),
    ax=or_none(AXES),
    **_style.SHOWN,
)
def dose_response(
    adata: "AnnData | MuData",
    perturbation: str,
    *,
    key: str = _keys.DEFAULT,
    genes: str | Sequence[str] | None = None,
    n_genes: int = 6,
    curves: "pd.DataFrame | None" = None,
    ax: "Axes | None" = None,
    show: bool | None = None,
    save: "str | Path | None" = None,
    return_fig: bool = False,
) -> "Axes | Figure | None":
    """Draw the effects of one perturbation on its targets at the fitted doses, with two standard deviations.

    Parameters
    ----------
    adata
        AnnData or MuData that :func:`scgim.tl.fit` has written to, fitted with a dose.
    perturbation
        The perturbation; the parts of a combination are joined by ``" + "``.
    %(key)s
    genes
        Gene or genes, or regulators, to draw; by default the targets with a probability of at least 1/2 (or the most probable one).
    n_genes
        Draw at most this many of the targets.
    curves
        Result of :func:`scgim.tl.dose_curves`: then the Hill curve of the drug is drawn, scaled to each effect at the highest dose, with its EC50 as
        a dotted line where it lies between the doses.
    %(axes)s
    %(figure)s

    %(returns)s

    Raises
    ------
    KeyError
        If ``adata`` has not been fitted with this ``key``, or the perturbation or a gene is unknown.
    ValueError
        If no dose was registered.

    Examples
    --------
    >>> scgim.pl.dose_response(adata, "U0126", curves=scgim.tl.dose_curves(model))
    """
    params = _keys.PARAMS.find(adata, key)
    if not as_list(params.get("dose_key")):
        raise ValueError(f"key={key!r}: no dose was registered; fit with scgim.tl.fit(adata, ..., dose_key=...).")
    check_names(adata, key)
    fitted = with_regulators(read(adata, key), adata, key)
    row = find(fitted, perturbation)
    chosen = _chosen(fitted, row, genes, n_genes)
    nodes = [(fitted.genes[g], g >= adata.n_vars) for g in chosen]  # regulators stand behind the genes
    table = _curve(_keys.TARGETS.find(adata, key), params, fitted.perturbation[row])
    parts = [table[(table["gene"] == name) & (table["regulator"] == regulator)] for name, regulator in nodes]
    ax, own = _style.axes(ax, (5.4, 3.0))
    _style.clean(ax)
    ax.axhline(0, color=_style.muted(), linewidth=0.8, zorder=1)
    tops = _draw_effects(ax, parts, _style.labels([name for name, _ in nodes], 28), fitted.probability[row, chosen])
    dose = table["total_dose"].to_numpy(float)
    if curves is not None:
        _draw_curves(ax, _of_drug(curves, fitted.perturbation[row]), dose, tops)
    _dose_axis(ax, dose, as_list(params["dose_key"]))
    title = _style.literal(_style.shorten(fitted.perturbation[row], 44))
    ax.set_title(title, fontsize=10, loc="left", color=_style.ink())
    ax.set_ylabel("effect", fontsize=9)
    place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0)} if own else {"loc": "best"}  # not into a neighbour
    ax.legend(frameon=False, fontsize=8, labelcolor=_style.ink(), **place)
    return _style.finish(ax.figure, ax, own=own, show=show, save=save, return_fig=return_fig)


def _chosen(fitted: Fitted, row: int, genes: str | Sequence[str] | None, n_genes: int) -> list[int]:
    """The genes asked for, or the targets, or the most probable one."""
    if genes is None:
        order = np.argsort(-fitted.probability[row], kind="stable")
        called = [int(g) for g in order[:n_genes] if fitted.probability[row, g] >= _keys.CALLED]
        return called or [int(order[0])]
    named = as_list(genes)
    unknown = [gene for gene in named if gene not in fitted.genes]
    if unknown:
        raise KeyError(
            f"genes: {unknown} are not among the fitted genes, found {fitted.genes[:5]} ...{did_you_mean(unknown[0], fitted.genes)}."
        )
    return [fitted.genes.index(gene) for gene in named]


def _draw_effects(ax: Any, parts: "list[pd.DataFrame]", names: list[str], probability: np.ndarray) -> list[float]:
    """Effects at the doses with two standard deviations, by gene; those at the highest dose."""
    tops = []
    for k, (part, name, p) in enumerate(zip(parts, names, probability, strict=True)):
        color, marker = COLORS[k % len(COLORS)], MARKERS[k % len(MARKERS)]
        dose, effect, sd = (part[c].to_numpy(float) for c in ("total_dose", "effect", "effect_sd"))
        ax.fill_between(
            dose, effect - 2 * sd, effect + 2 * sd, color=color, alpha=0.3 if _style.is_dark() else 0.16, linewidth=0
        )
        label = _style.literal(f"{name} (p {p:.2f})")
        ax.plot(dose, effect, color=color, linewidth=1.6, marker=marker, markersize=4, label=label)
        tops.append(float(effect[-1]))
    return tops


def _dose_axis(ax: Any, dose: np.ndarray, columns: list[str]) -> None:
    """Logarithmic where doses differ much; of one dose, that one. The column's name may tell the unit."""
    if dose.min() > 0 and dose.max() / dose.min() > LOGARITHMIC:
        ax.set_xscale("log")
    elif dose.min() == dose.max():
        ax.set_xticks(dose[:1], [f"{dose[0]:g}"])
    ax.set_xlabel(_style.literal(columns[0]) if len(columns) == 1 else "total dose", fontsize=9)


def _of_drug(curves: "pd.DataFrame", name: str) -> Any:
    """The row of a drug."""
    absent = [column for column in ("perturbation", "ec50", "slope", "ec50_in_range") if column not in curves]
    if absent:
        raise KeyError(f"curves: columns {absent} are missing; pass the result of scgim.tl.dose_curves(model).")
    rows = curves[curves["perturbation"].astype(str) == name]
    if rows.empty:
        raise KeyError(
            f"curves: found no row of {name!r}; a drug that was measured only in combinations has no curve, leave it out."
        )
    return rows.iloc[0]


def _draw_curves(ax: Any, row: Any, doses: np.ndarray, tops: list[float]) -> None:
    """The curve ``x^n / (x^n + ec50^n)``, through the effect at the highest dose of each gene."""
    x = np.geomspace(doses.min() / 2, doses.max() * 1.2, 200)
    share = _hill(x, row["ec50"], row["slope"]) / _hill(doses.max(), row["ec50"], row["slope"])
    for k, top in enumerate(tops):
        ax.plot(x, top * share, color=COLORS[k % len(COLORS)], linewidth=0.9, linestyle="--", zorder=1)
    if row["ec50_in_range"]:
        ax.axvline(row["ec50"], color=_style.muted(), linewidth=0.8, linestyle=":", zorder=1)


def _hill(dose: Any, ec50: float, slope: float) -> Any:
    return 1 / (1 + (ec50 / dose) ** slope)


def _curve(targets: Any, params: Any, name: str) -> Any:
    """Rows of one perturbation with its total dose, averaged over batches, in the order of the dose."""
    names, total = perturbation_names(targets, *in_targets(params), str(params["control"]))
    regulator = targets["kind"] == "regulator" if "kind" in targets else False  # which may have the name of a gene
    table = targets.assign(gene=targets["gene"].astype(str), total_dose=total, regulator=regulator)
    table = table[[n == name for n in names]].groupby(["gene", "regulator", "total_dose"])
    table = table[["effect", "effect_sd"]].mean().reset_index()
    return table.sort_values("total_dose")
