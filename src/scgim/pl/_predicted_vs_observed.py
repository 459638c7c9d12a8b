"""Predicted against observed changes from the control, gene by gene."""

import os
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scgim._checks import TABLE, TEXT, checked, count, one_of, or_none
from scgim.get._tables import find_perturbation
from scgim.pl import _style
from scgim.pl._drawing.labels import beside

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ("context", "perturbation", "gene", "observed", "predicted")  # of the table that are read
SIDE = 2.9  # inches a panel


@_style.documented
@checked(
    table=TABLE,
    perturbation=or_none(TEXT),
    level=one_of("drug", "context"),
    n_panels=count(),
    n_labels=or_none(count(0)),
    **_style.DRAWN,
)
def predicted_vs_observed(
    table: "pd.DataFrame",
    perturbation: str | None = None,
    *,
    level: Literal["drug", "context"] = "drug",
    n_panels: int = 12,
    n_labels: int | None = None,
    title: str | None = None,
    ax: "Axes | None" = None,
    show: bool | None = None,
    save: "str | Path | None" = None,
    return_fig: bool = False,
) -> "Axes | Figure | None":
    """Draw the predicted against the observed change from control of each gene, one panel for each perturbation.

    Points on the dashed diagonal are predicted exactly. The solid line is the least-squares line of the predicted on the
    observed changes; above each panel stand its slope (below 1: changes are predicted too small), which noise of the observed
    changes pulls towards 0, and the correlation over genes.

    Parameters
    ----------
    table
        The result of :func:`scgim.tl.changes`.
    perturbation
        One perturbation; all of them, a panel each, if not given.
    level
        ``"drug"``: a panel shows all doses and batches of a perturbation. ``"context"``: a panel for each of them.
    n_panels
        Show at most this many, those whose observed changes are the largest.
    n_labels
        How many genes of a panel to name, those of the largest change, observed or predicted; 12 on a single panel and 4 on
        several if not given.
    %(title)s
    ax
        Axes to draw into, which takes exactly one panel.
    %(figure)s

    Returns
    -------
    The axes of a single panel, else a list of them; the figure if ``return_fig``, or None if it was shown.

    Raises
    ------
    KeyError
        If a column of the table is missing, or ``perturbation`` is not in it.
    ValueError
        If the table is empty, or ``ax`` is given with several panels.

    Examples
    --------
    >>> scgim.pl.predicted_vs_observed(scgim.tl.changes(model, adata_test))
    """
    panels, total = _panels(table, perturbation, level, n_panels)
    if ax is not None and len(panels) > 1:
        raise ValueError(
            f"ax: takes one panel, and the table has {len(panels)}; choose one by perturbation= (and a table of one context)."
        )
    n_labels = (12 if len(panels) == 1 else 4) if n_labels is None else n_labels
    own, single = ax is None, len(panels) == 1
    if single:
        axes = [_style.axes(ax, (4.6, 4.2))[0]]
    else:
        axes = _style.panels(len(panels), SIDE, SIDE + 0.2)
    common, names = _apart([name for name, _ in panels])
    for axis, name, (_, part) in zip(axes, names, panels, strict=True):
        _panel(axis, name, part, n_labels, length=44 if single else 30)
    if title is None and (common or len(panels) < total):
        some = f"{len(panels)} of {total}, those that change most" if len(panels) < total else ""
        title = ": ".join(part for part in (common, some) if part)
    if title:
        axes[0].figure.suptitle(_style.literal(title), fontsize=9, color=_style.muted(), x=0.01, ha="left")
    result = axes[0] if single else axes
    return _style.finish(axes[0].figure, result, own=own, show=show, save=save, return_fig=return_fig)


def _panels(
    table: "pd.DataFrame", perturbation: str | None, level: str, n_panels: int
) -> tuple[list[tuple[str, "pd.DataFrame"]], int]:
    """The parts of the table to draw with their names, in its order, and how many there are."""
    absent = [column for column in COLUMNS if column not in table]
    if absent:
        raise KeyError(f"table: columns {absent} are missing; pass the result of scgim.tl.changes(model, adata_test).")
    if table.empty:
        raise ValueError("table: expected at least one row, found none; pass the result of scgim.tl.changes(model).")
    if perturbation is not None:
        names = list(dict.fromkeys(table["perturbation"].astype(str)))
        table = table[table["perturbation"].astype(str) == names[find_perturbation(names, perturbation)]]
    by = "perturbation" if level == "drug" else "context"
    parts = [(str(name), part) for name, part in table.groupby(by, sort=False, observed=True)]
    size = np.array([np.abs(part["observed"].to_numpy(float)).max() for _, part in parts])
    shown = np.sort(np.argsort(-size, kind="stable")[:n_panels])
    return [parts[k] for k in shown], len(parts)


def _apart(names: list[str]) -> tuple[str, list[str]]:
    """What names of contexts begin with alike, whole ``column=value`` pairs only, and the rest of each."""
    start = os.path.commonprefix(names).rpartition(", ")[0] if len(names) > 1 else ""
    return start, [name[len(start) + 2 :] if start else name for name in names]


def agreement(observed: np.ndarray, predicted: np.ndarray) -> tuple[float, float]:
    """Slope of the least-squares line of predicted on observed changes ``(n,)``, and their correlation; nan where undefined."""
    x, y = observed - observed.mean(), predicted - predicted.mean()
    slope = x @ y / (x @ x) if x @ x > 0 else np.nan
    correlation = x @ y / np.sqrt((x @ x) * (y @ y)) if (x @ x) * (y @ y) > 0 else np.nan
    return float(slope), float(correlation)


def _panel(axis: Any, name: str, part: "pd.DataFrame", n_labels: int, *, length: int) -> None:
    """One panel."""
    _style.clean(axis)
    x, y = part["observed"].to_numpy(float), part["predicted"].to_numpy(float)
    low, high = float(min(x.min(), y.min(), 0.0)), float(max(x.max(), y.max(), 0.0))
    margin = 0.05 * (high - low) or 1.0
    ends = np.array([low - margin, high + margin])
    slope, correlation = agreement(x, y)
    line, point = _style.signs()
    axis.plot(ends, ends, color=_style.muted(), linewidth=0.8, linestyle="--", zorder=1)
    axis.axhline(0, color=_style.faint(), linewidth=0.8, zorder=1)
    axis.axvline(0, color=_style.faint(), linewidth=0.8, zorder=1)
    if np.isfinite(slope):
        across = np.array([x.min(), x.max()])
        axis.plot(across, y.mean() + slope * (across - x.mean()), color=line, linewidth=1.0, zorder=3)
    axis.scatter(x, y, s=11, color=point, alpha=0.6, linewidths=0, zorder=2)
    axis.set(xlim=ends, ylim=ends)
    genes = part["gene"].astype(str).to_numpy()
    order = np.argsort(-np.maximum(np.abs(x), np.abs(y)), kind="stable")
    chosen = order[np.sort(np.unique(genes[order], return_index=True)[1])][:n_labels]  # a gene once
    beside(axis, x[chosen], y[chosen], _style.labels(genes[chosen].tolist(), 16), least=0.5)
    numbers = f"slope {slope:.2f}, r {correlation:.2f}".replace("-", "\N{MINUS SIGN}")
    head = f"{_style.literal(_style.shorten(name, length))}\n{numbers}"
    axis.set_title(head, fontsize=8.5, loc="left", color=_style.ink())
    axis.set_xlabel("observed change", fontsize=8.5)
    axis.set_ylabel("predicted change", fontsize=8.5)
