"""The objective along the structure search and the training."""

from typing import TYPE_CHECKING

import numpy as np

from scgim import _keys
from scgim._checks import AXES, FITTED, SOME_NAMES, TEXT, checked, or_none
from scgim.get._tables import as_list
from scgim.pl import _style

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData

KEPT_BY = "validation_loss"  # the epoch with the lowest has its weights kept


@_style.documented
@checked(
    adata=FITTED,
    key=TEXT,
    metrics=or_none(SOME_NAMES),
    ax=or_none(AXES),
    **_style.SHOWN,
)
def history(
    adata: "AnnData | MuData",
    *,
    key: str = _keys.DEFAULT,
    metrics: list[str] | None = None,
    ax: "Axes | None" = None,
    show: bool | None = None,
    save: "str | Path | None" = None,
    return_fig: bool = False,
) -> "Axes | Figure | None":
    """Draw how the objective developed, one panel for each stage and metric.

    Each round of the search has a prior of its own, so that its scores are not comparable to those of other rounds, and a panel of its
    own where it has more than one. A dashed line in the panel of the loss on held-out cells marks the epoch whose weights the model has (the lowest loss, unless
    ``keep_best`` was turned off): where losses only rise, it is the first.

    Parameters
    ----------
    %(adata)s
    %(key)s
    metrics
        Which metrics to draw, such as ``"score"``, or ``"training: score"`` for one stage; if not given, all but those that are zero
        throughout or the same as one before.
    ax
        Axes to draw into, which takes exactly one panel.
    %(figure)s

    Returns
    -------
    A list of axes (or the ``ax`` given), the figure if ``return_fig``, or None if it was shown.

    Raises
    ------
    KeyError
        If ``adata`` has not been fitted with this ``key``.
    ValueError
        If a metric is unknown, or ``ax`` is given with several panels.

    Examples
    --------
    >>> scgim.pl.history(adata)
    """
    table = _keys.HISTORY.find(adata, key)
    metrics = None if metrics is None else as_list(metrics)
    groups = table.groupby(["stage", "metric"], sort=False, observed=True)
    every = {(str(stage), str(metric)): part for (stage, metric), part in groups}
    panels = [(*name, part) for name, part in every.items() if metrics is None or _is_asked(*name, metrics)]
    panels = [panel for panel in panels if len(panel[2]) > 1] or panels
    if metrics is None:
        panels = _distinct(panels)
    found = sorted({metric for _, metric in every})
    unknown = [metric for metric in metrics or [] if not any(_is_asked(*name, [metric]) for name in every)]
    if unknown or not panels:
        raise ValueError(f"metrics: expected some of {found}, found {unknown or metrics}.")
    if ax is None:
        axes = _style.panels(len(panels), 3.1, 2.4, right=0.3, bottom=0.1)
    elif len(panels) == 1:
        axes = [ax]
    else:
        titles = [f"{stage}: {metric}" for stage, metric, _ in panels]
        raise ValueError(f"ax: it takes one panel, found {len(panels)}; choose one of {titles} with metrics=[...].")
    from matplotlib.ticker import MaxNLocator

    for axis, (stage, metric, part) in zip(axes, panels, strict=True):
        few = len(part) <= 40
        _style.clean(axis)
        axis.plot(
            part["step"], part["value"], color=_style.DOWN, linewidth=1.6, marker="o" if few else None, markersize=3
        )
        axis.set_title(f"{stage}: {metric}", fontsize=9, color=_style.ink(), loc="left")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_xlabel("step", fontsize=8, color=_style.ink())
        if metric == KEPT_BY:
            _mark_kept(axis, part)
    return _style.finish(
        axes[0].figure, axes if ax is None else ax, own=ax is None, show=show, save=save, return_fig=return_fig
    )


def _is_asked(stage: str, metric: str, asked: list[str]) -> bool:
    return metric in asked or f"{stage}: {metric}" in asked


def _distinct(panels: list[tuple[str, str, "pd.DataFrame"]]) -> list[tuple[str, str, "pd.DataFrame"]]:
    """Without those that are zero throughout, or repeat one before."""
    kept: dict[tuple[object, ...], tuple[str, str, pd.DataFrame]] = {}
    for stage, metric, part in panels:
        if part["value"].any():
            kept.setdefault((stage, *part["value"].to_numpy(np.float32)), (stage, metric, part))
    return list(kept.values())


def _mark_kept(axis: "Axes", part: "pd.DataFrame") -> None:
    """A line at the epoch with the lowest held-out loss, and its number."""
    step = part["step"].iloc[int(part["value"].argmin())]
    axis.axvline(step, color=_style.ink(), linewidth=1, linestyle="--", zorder=0)
    axis.text(
        0.98, 0.96, f"kept: {step:g}", transform=axis.transAxes, ha="right", va="top", fontsize=8, color=_style.ink()
    )
