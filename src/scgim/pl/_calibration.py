"""Whether probabilities mean what they say."""

from typing import TYPE_CHECKING, Any

import numpy as np

from scgim._checks import checked, count
from scgim.metrics import reliability_table
from scgim.pl import _style

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@_style.documented
@checked(n_bins=count(), **_style.DRAWN)
def calibration(
    truth: Any,
    probability: Any,
    *,
    n_bins: int = 10,
    title: str | None = None,
    ax: "Axes | None" = None,
    show: bool | None = None,
    save: "str | Path | None" = None,
    return_fig: bool = False,
) -> "Axes | Figure | None":
    """Draw the share of true calls against the probability that was given to them.

    Points on the diagonal are calibrated; below it, calls are less often true than they say. The area of a point is the
    number of calls in it, bars are 90 % intervals of a binomial share (Wilson).

    Parameters
    ----------
    truth
        What is true: booleans or 0 and 1, of any shape.
    probability
        Probabilities of the same shape, of targets or of edges.
    n_bins
        How many equal bins from 0 to 1.
    %(title)s
    %(axes)s
    %(figure)s

    %(returns)s

    Raises
    ------
    ValueError
        If the shapes differ, or a probability is not between 0 and 1, see :func:`scgim.metrics.reliability_table`.

    Examples
    --------
    >>> scgim.pl.calibration(table["gene"].isin(known), table["probability"])
    """
    table = reliability_table(truth, probability, n_bins=n_bins)
    ax, own = _style.axes(ax, (3.8, 3.6))
    _style.clean(ax)
    ax.plot([0, 1], [0, 1], color=_style.muted(), linewidth=0.8, linestyle="--", zorder=1)
    said, found, n = (table[c].to_numpy(float) for c in ("probability", "frequency", "n"))
    low, high = wilson(found, n)
    ax.vlines(said, low, high, color=_style.DOWN, linewidth=1.2, zorder=2)
    ax.scatter(said, found, s=14 + 90 * np.sqrt(n / n.max()), color=_style.DOWN, linewidths=0, zorder=3)
    ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
    ax.set_xlabel("probability said", fontsize=9)
    ax.set_ylabel("share that is true", fontsize=9)
    _style.head(ax, title or "")
    return _style.finish(ax.figure, ax, own=own, show=show, save=save, return_fig=return_fig)


Z90 = 1.6449  # standard normal quantile of 0.95: two-sided 90 %


def wilson(share: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Limits of the 90 % Wilson interval of a binomial share, elementwise."""
    centre = (share + Z90**2 / (2 * n)) / (1 + Z90**2 / n)
    half = Z90 / (1 + Z90**2 / n) * np.sqrt(share * (1 - share) / n + Z90**2 / (4 * n**2))
    return centre - half, centre + half
