"""The tables of :func:`scgim.tl.diagnose` as one figure."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from scgim._checks import checked, count
from scgim.pl import _style

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@_style.documented
@checked(n_pairs=count(), **_style.SHOWN)
def diagnostics(
    tables: "Mapping[str, pd.DataFrame]",
    *,
    n_pairs: int = 8,
    show: bool | None = None,
    save: "str | Path | None" = None,
    return_fig: bool = False,
) -> "Axes | Figure | None":
    """Draw what a fit rests on, and where it does not describe the data.

    Parameters
    ----------
    tables
        The result of :func:`scgim.tl.diagnose`.
    n_pairs
        How many pairs of similar drugs to list.
    %(figure)s

    Returns
    -------
    A dict of axes, the figure if ``return_fig``, or None if it was shown. `contexts`: ratio of the error of the mean to
    what sampling explains, for each context, and of standard deviations. `support`: how far each target's effect is from
    zero against the number of cells of its drug. `similar`: the pairs of drugs that are hardest to tell apart.
    `features`: cross-validated errors of the feature maps.

    Raises
    ------
    KeyError
        If a table is missing.

    Examples
    --------
    >>> scgim.pl.diagnostics(scgim.tl.diagnose(model))
    """
    import matplotlib.pyplot as plt

    if not isinstance(tables, Mapping):
        raise TypeError(
            f"tables: expected a dict of tables, found {type(tables).__name__}; pass the result of scgim.tl.diagnose(model)."
        )
    absent = [name for name in ("contexts", "support", "similar", "features") if name not in tables]
    if absent:
        raise KeyError(f"tables: {absent} missing; pass the result of scgim.tl.diagnose(model).")
    figure, grid = plt.subplots(2, 2, figsize=(9.2, 6.4), layout="constrained")
    axes = dict(zip(("contexts", "support", "similar", "features"), grid.ravel(), strict=True))
    for axis in axes.values():
        _style.clean(axis)
    _contexts(axes["contexts"], tables["contexts"])
    _support(axes["support"], tables["support"])
    _similar(axes["similar"], tables["similar"], n_pairs)
    _features(axes["features"], tables["features"])
    return _style.finish(figure, axes, own=True, show=show, save=save, return_fig=return_fig)


def _contexts(axis: Any, table: "pd.DataFrame") -> None:
    ratio = np.sort(table["ratio"].to_numpy())[::-1]
    axis.plot(np.arange(len(ratio)), ratio, color=_style.UP, marker=".", markersize=4, linewidth=0.8, label="mean")
    sd = table["sd_ratio"].to_numpy()[np.argsort(-table["ratio"].to_numpy())]
    axis.plot(np.arange(len(sd)), sd, ".", color=_style.DOWN, markersize=4, label="standard deviation")
    axis.axhline(1, color=_style.muted(), linewidth=0.8, linestyle="--", zorder=0)
    axis.set_ylim(bottom=0)
    axis.set_title("Do predictions fit the contexts?", fontsize=10, loc="left", color=_style.ink())
    axis.set_xlabel("contexts, the worst first", fontsize=8)
    axis.set_ylabel("observed / expected", fontsize=8)
    axis.legend(frameon=False, fontsize=8, labelcolor=_style.ink())


def _support(axis: Any, table: "pd.DataFrame") -> None:
    from matplotlib.ticker import LogLocator

    axis.set_title("What do targets rest on?", fontsize=10, loc="left", color=_style.ink())
    if table.empty:
        _say(axis, "no gene is a target with probability 1/2")
        return
    doses = table["n_doses"].to_numpy()
    low, high = table["n_cells"].min(), table["n_cells"].max()
    spread = 0.12 if high < 1.5 * low else 0.02  # so that points of the same number of cells can be seen
    jitter = 1 + spread * np.random.default_rng(0).uniform(-1, 1, len(table))
    axis.scatter(
        table["n_cells"] * jitter,
        table["z"].clip(lower=0.1),
        c=np.where(table["effect"] >= 0, _style.UP, _style.DOWN),
        s=14 + 9 * np.minimum(doses, 8),
        alpha=0.65,
        linewidths=0,
    )
    axis.axhline(3, color=_style.muted(), linewidth=0.8, linestyle="--", zorder=0)
    axis.set_yscale("log")
    if high > 5 * low:
        axis.set_xscale("log")
    elif high < 1.5 * low:
        axis.set_xlim(0.5 * low, 1.5 * high)
    axis.set_xlabel("cells of the drug (jittered; larger dots: more doses)", fontsize=8)
    for scale in (axis.xaxis, axis.yaxis):
        if scale.get_scale() == "log":
            scale.set_major_locator(LogLocator(subs=(1, 2, 5)))
            scale.set_major_formatter("{x:g}")
            scale.set_minor_formatter("")
    axis.set_ylabel("|effect| / standard deviation", fontsize=8)


def _similar(axis: Any, table: "pd.DataFrame", n_pairs: int) -> None:
    axis.set_title("Which drugs cannot be told apart?", fontsize=10, loc="left", color=_style.ink())
    if table.empty:
        _say(axis, "one drug only")
        return
    part = table.head(n_pairs).iloc[::-1]
    names = [
        _style.literal(f"{_style.shorten(str(a), 18)} | {_style.shorten(str(b), 18)}")
        for a, b in zip(part["drug_1"], part["drug_2"], strict=True)
    ]
    z = np.minimum(part["z"].to_numpy(), 50.0)
    axis.barh(np.arange(len(part)), z, height=0.62, color=[_style.DOWN if d else _style.UP for d in part["distinct"]])
    axis.set_yticks(np.arange(len(part)), names, fontsize=7)
    axis.axvline(3, color=_style.muted(), linewidth=0.8, linestyle="--")
    axis.grid(visible=False, axis="y")
    count = int((~table["distinct"]).sum())
    axis.set_xlabel(f"largest difference / standard deviation ({count} of {len(table)} pairs below 3)", fontsize=8)


def _features(axis: Any, table: "pd.DataFrame") -> None:
    axis.set_title("Are features informative?", fontsize=10, loc="left", color=_style.ink())
    if table.empty:
        _say(axis, "no features were registered")
        return
    part = table.iloc[::-1]
    axis.barh(
        np.arange(len(part)),
        part["error"],
        height=0.55,
        color=[_style.DOWN if chosen else _style.outline() for chosen in part["chosen"]],
    )
    axis.set_yticks(np.arange(len(part)), [str(name) for name in part["map"]], fontsize=8)
    axis.grid(visible=False, axis="y")
    axis.set_xlabel("cross-validated error over drugs (blue: best)", fontsize=8)


def _say(axis: Any, text: str) -> None:
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center", fontsize=9, color=_style.muted())
    axis.set_xticks([])
    axis.set_yticks([])
