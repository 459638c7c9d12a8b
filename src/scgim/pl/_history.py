"""The objective along the structure search and the training."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scgim import _keys
from scgim._checks import AXES, FITTED, SOME_NAMES, TEXT, checked, or_none
from scgim.get._tables import as_list
from scgim.pl import _style

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData

SEARCH, TRAINING = "search", "training"  # stages; that of the search's rounds together
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

    Scores of the search are drawn as nats below the best one, on an axis that is logarithmic beyond one nat, round by round. Each round
    has a prior of its own: only scores of the same round, which a line joins, compare exactly. A dashed line in the panel of the loss on held-out cells marks the epoch whose weights the model has (the lowest loss, unless
    ``keep_best`` was turned off): where losses only rise, it is the first.

    Parameters
    ----------
    %(adata)s
    %(key)s
    metrics
        Which metrics to draw, such as ``"score"``, or ``"search 3: score"`` for one stage, in its own units; if not given, all but
        those that are constant or the same as one before.
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
    if metrics is None or "score" in metrics:
        panels = _rounds_together(panels)
    if metrics is None:
        panels = _telling(panels)
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
    for axis, (stage, metric, part) in zip(axes, panels, strict=True):
        _style.clean(axis)
        axis.set_title(f"{stage}: {metric}", fontsize=9, color=_style.ink(), loc="left")
        draw = _draw_rounds if stage == SEARCH and part["stage"].nunique() > 1 else _draw_steps
        draw(axis, part)
        if metric == KEPT_BY:
            _mark_kept(axis, part)
    return _style.finish(
        axes[0].figure, axes if ax is None else ax, own=ax is None, show=show, save=save, return_fig=return_fig
    )


def _is_asked(stage: str, metric: str, asked: list[str]) -> bool:
    return metric in asked or f"{stage}: {metric}" in asked


def _rounds_together(panels: list[tuple[str, str, "pd.DataFrame"]]) -> list[tuple[str, str, "pd.DataFrame"]]:
    """Scores of all rounds of the search in one panel, the first, where there are several."""
    rounds = [part for stage, metric, part in panels if metric == "score" and stage != TRAINING]
    if len(rounds) < 2:
        return panels
    others = [panel for panel in panels if panel[1] != "score" or panel[0] == TRAINING]
    return [(SEARCH, "score", pd.concat(rounds)), *others]


def _telling(panels: list[tuple[str, str, "pd.DataFrame"]]) -> list[tuple[str, str, "pd.DataFrame"]]:
    """Without those that are constant, or repeat one before; all where none is left."""
    kept: dict[tuple[object, ...], tuple[str, str, pd.DataFrame]] = {}
    for stage, metric, part in panels:
        value = part["value"].to_numpy()
        if np.ptp(value) > 1e-9 * np.abs(value).max():
            kept.setdefault((stage, *value.astype(np.float32)), (stage, metric, part))
    return list(kept.values()) or panels


def _draw_steps(axis: "Axes", part: "pd.DataFrame") -> None:
    """One metric along the steps of one stage."""
    from matplotlib.ticker import MaxNLocator

    marker = "o" if len(part) <= 40 else None
    axis.plot(part["step"], part["value"], color=_style.DOWN, linewidth=1.6, marker=marker, markersize=3)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("step", fontsize=8, color=_style.ink())


def _draw_rounds(axis: "Axes", part: "pd.DataFrame") -> None:
    """How far scores are below the best one: a unit of the axis is a round, however many steps it has."""
    best = part["value"].max()
    names, ends = part["stage"].astype(str), []
    for place, name in enumerate(names.unique()):
        value = part.loc[names == name, "value"].to_numpy()
        along = place + 0.7 * np.arange(len(value)) / max(len(value) - 1, 1)
        axis.plot(along, best - value, color=_style.DOWN, linewidth=1.6, marker="o", markersize=3)
        ends += [(along[0], best - value[0]), (along[-1], best - value[-1])]
    axis.plot(*zip(*ends, strict=True), color=_style.faint(), linewidth=1, zorder=0)
    axis.set_yscale("symlog", linthresh=1.0)
    axis.set_ylim(bottom=0.0)
    axis.invert_yaxis()  # up is better
    axis.set_ylabel("nats below the best", fontsize=8, color=_style.ink())
    several = names.nunique() > 3
    axis.set_xticks(range(names.nunique()), names.unique(), fontsize=8, rotation=30 if several else 0, ha="center")


def _mark_kept(axis: "Axes", part: "pd.DataFrame") -> None:
    """A line at the epoch with the lowest held-out loss, and its number."""
    step = part["step"].iloc[int(part["value"].argmin())]
    axis.axvline(step, color=_style.ink(), linewidth=1, linestyle="--", zorder=0)
    axis.text(
        0.98, 0.96, f"kept: {step:g}", transform=axis.transAxes, ha="right", va="top", fontsize=8, color=_style.ink()
    )
