"""What all pictures share: colours, text widths, and what a plotting function returns."""

from functools import lru_cache
from typing import Any

import numpy as np

INK = "#22262b"
MUTED = "#7b828a"
FAINT = "#e7e9ec"
UP = "#c23b33"
DOWN = "#2f6db3"
PERTURBATION = "#2b2f36"


@lru_cache(maxsize=1)
def diverging() -> Any:
    """Blue for down, red for up, light grey for no change."""
    from matplotlib.colors import LinearSegmentedColormap

    colors = ["#1b4a8c", "#4f8fcb", "#b5d0e8", "#f3f2f0", "#f3bfa9", "#dd6b55", "#9c1c28"]
    return LinearSegmentedColormap.from_list("scgim_diverging", colors)


def symmetric(values: Any, quantile: float = 0.98) -> Any:
    """A colour scale centred at 0 that few values exceed."""
    from matplotlib.colors import Normalize

    size = np.abs(np.asarray(values, float).ravel())
    size = size[np.isfinite(size) & (size > 0)]
    top = float(np.quantile(size, quantile)) if size.size else 1.0
    return Normalize(-top, top, clip=True)


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Width of ``text`` in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    if not text.strip():
        return 0.0
    path = TextPath((0, 0), text.replace("$", r"\$"), size=size, prop=FontProperties(size=size, weight=weight))
    return float(path.get_extents().x1)


def shorten(text: str, length: int) -> str:
    """``text`` with its middle left out if it is longer than ``length``; the end often tells salts and isomers apart."""
    if len(text) <= length:
        return text
    tail = min(8, length // 4)
    return text[: length - tail - 1].rstrip() + "…" + text[len(text) - tail :].lstrip()


def literal(text: str) -> str:
    """``text`` so that matplotlib does not read a dollar sign as mathematics."""
    return text.replace("$", r"\$")


def readable(fill: Any) -> str:
    """White or ink, whichever is easier to read on ``fill``."""
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(fill)
    return "#ffffff" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.56 else INK


def number(value: float) -> str:
    """A signed number with a true minus sign."""
    text = f"{value:+.0f}" if abs(value) >= 100 else f"{value:+.2f}" if abs(value) < 1 else f"{value:+.2g}"
    return text.replace("-", "\N{MINUS SIGN}")


def clean(axis: Any) -> None:
    """Light grid, no box, small ticks."""
    axis.grid(color=FAINT, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.tick_params(labelsize=7.5, color=MUTED, labelcolor=INK)
    axis.xaxis.label.set_color(INK)
    axis.yaxis.label.set_color(INK)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_color(MUTED)


def finish(figure: Any, result: Any, *, own: bool, show: bool | None, return_fig: bool) -> Any:
    """The common end of plotting functions.

    Parameters
    ----------
    figure
        The figure drawn on.
    result
        The axes, or a list or dict of them.
    own
        Whether the function made the figure itself. A figure around axes given by the user is never shown here.
    show
        Whether to show the figure; ``None`` shows a figure that the function made.
    return_fig
        Whether to return the figure and show nothing.

    Returns
    -------
    The figure, the axes, or None when the figure has been shown.
    """
    if return_fig:
        return figure
    if show is None:
        show = own
    if not show:
        return result
    import matplotlib.pyplot as plt

    plt.show()
    return None
