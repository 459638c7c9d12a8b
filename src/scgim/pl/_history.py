"""The objective along the structure search and the training."""

from typing import TYPE_CHECKING

from scgim import _keys
from scgim._checks import AXES, FITTED, SOME_NAMES, TEXT, checked, or_none
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

    A dashed line in the panel of the loss on held-out cells marks the epoch whose weights the model has (the lowest loss, unless
    ``keep_best`` was turned off): where losses only rise, it is the first.

    Parameters
    ----------
    %(adata)s
    %(key)s
    metrics
        Which metrics to draw; if not given, all but those that are zero throughout.
    ax
        Axes to draw into, which takes exactly one metric.
    %(figure)s

    Returns
    -------
    A list of axes (or the ``ax`` given), the figure if ``return_fig``, or None if it was shown.

    Raises
    ------
    KeyError
        If ``adata`` has not been fitted with this ``key``.
    ValueError
        If a metric is unknown, or ``ax`` is given with several.

    Examples
    --------
    >>> scgim.pl.history(adata)
    """
    table = _keys.HISTORY.find(adata, key)
    panels = [
        (str(stage), str(metric), part)
        for (stage, metric), part in table.groupby(["stage", "metric"], sort=False, observed=True)
        if (part["value"].any() if metrics is None else str(metric) in metrics)
    ]
    found = sorted({str(metric) for metric in table["metric"]})
    unknown = [metric for metric in metrics or [] if metric not in found]
    if unknown or not panels:
        raise ValueError(f"metrics: expected some of {found}, found {unknown or metrics}.")
    if ax is None:
        axes = _style.panels(len(panels), 3.1, 2.4, right=0.3, bottom=0.1)
    elif len(panels) == 1:
        axes = [ax]
    else:
        raise ValueError(f"ax: it takes one metric, found {len(panels)}; choose one of {found} with metrics=[...].")
    for axis, (stage, metric, part) in zip(axes, panels, strict=True):
        few = len(part) <= 40
        _style.clean(axis)
        axis.plot(
            part["step"], part["value"], color=_style.DOWN, linewidth=1.6, marker="o" if few else None, markersize=3
        )
        axis.set_title(f"{stage}: {metric}", fontsize=9, color=_style.ink(), loc="left")
        axis.set_xlabel("step", fontsize=8, color=_style.ink())
        if metric == KEPT_BY:
            _mark_kept(axis, part)
    return _style.finish(
        axes[0].figure, axes if ax is None else ax, own=ax is None, show=show, save=save, return_fig=return_fig
    )


def _mark_kept(axis: "Axes", part: "pd.DataFrame") -> None:
    """A line at the epoch with the lowest held-out loss, and its number."""
    step = part["step"].iloc[int(part["value"].argmin())]
    axis.axvline(step, color=_style.ink(), linewidth=1, linestyle="--", zorder=0)
    axis.text(
        0.98, 0.96, f"kept: {step:g}", transform=axis.transAxes, ha="right", va="top", fontsize=8, color=_style.ink()
    )
