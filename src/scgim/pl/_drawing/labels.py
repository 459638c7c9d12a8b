"""Names of points, where they can be read."""

from typing import Any

import numpy as np

from scgim.pl import _style

FONT, LINE = 7.5, 1.45  # size of labels in points, and distance of lines in sizes
GAP, PAD = 14, 3  # points from the points to a column of names, and from the column to the edge of the axes


def beside(ax: Any, x: np.ndarray, y: np.ndarray, text: list[str], *, least: float = 0.3) -> None:
    """Names in a column at either side, one below the other, each tied to its point by a thin line.

    Parameters
    ----------
    ax
        Axes on which the points have been drawn; it is widened for the names.
    x, y
        ``(n,)``; the points. Those right of zero are named on the right.
    text
        n names.
    least
        Share of the width that stays for the points, however long the names are.
    """
    if not len(text):
        return
    window = ax.get_window_extent()
    width, height = (size * 72 / ax.figure.dpi for size in (window.width, window.height))  # points
    sides = {side: [k for k in range(len(text)) if (x[k] >= 0) == (side > 0)] for side in (-1, 1)}
    left, right = ax.get_xlim()
    column_width = {  # points
        side: max(_style.text_width(text[k], FONT) for k in own) + GAP + PAD if own else 0.0
        for side, own in sides.items()
    }
    for_points = max(width - sum(column_width.values()), least * width)
    room = {side: wide / for_points * (right - left) for side, wide in column_width.items()}  # in units of the data
    ax.set_xlim(left - room[-1], right + room[1])
    inside = PAD / width * (ax.get_xlim()[1] - ax.get_xlim()[0])
    edges = {-1: ax.get_xlim()[0] + inside, 1: ax.get_xlim()[1] - inside}
    low, high = ax.get_ylim()
    step = min(LINE * FONT / height, 1 / max(len(text), 1)) * (high - low)
    for side, own in sides.items():
        order = sorted(own, key=lambda k: (-y[k], -abs(x[k])))
        heights = column(np.array([y[k] for k in order], float), step, low + step / 2, high - step / 2)
        for k, at in zip(order, heights, strict=True):
            ax.annotate(
                _style.literal(text[k]), (x[k], y[k]), xytext=(edges[side], at), fontsize=FONT, color=_style.ink(),
                ha="right" if side > 0 else "left", va="center", zorder=4,
                arrowprops={"arrowstyle": "-", "color": _style.outline(), "linewidth": 0.5, "shrinkB": 2, "relpos": (side < 0, 0.5)},
            )  # fmt: skip


def column(wanted: np.ndarray, step: float, low: float, high: float) -> np.ndarray:
    """Heights ``(n,)`` near those wanted, which fall, at least `step` apart, from `low` to `high` if there is room for all."""
    at = wanted.copy()
    for k in range(len(at)):  # downwards from the first
        at[k] = min(at[k], high if k == 0 else at[k - 1] - step)
    for k in reversed(range(len(at))):  # and upwards where the column would leave the axes
        at[k] = max(at[k], low if k == len(at) - 1 else at[k + 1] + step)
    return at
