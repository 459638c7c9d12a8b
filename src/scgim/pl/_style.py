"""What all pictures share: colours, text widths, and what a plotting function returns."""

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scgim._checks import AXES, FLAG, PATH, TEXT, Check, or_none
from scgim._docstrings import splice
from scgim._writing import told

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UP = "#c23b33"
DOWN = "#2f6db3"
BLUE, RED = "#4f8fcb", "#dd6b55"  # lighter, for edges on dark paper


def paper() -> str:
    """Colour of the axes in the style in force; white where it is transparent."""
    from matplotlib import rcParams
    from matplotlib.colors import to_hex, to_rgba

    color = to_rgba(rcParams["axes.facecolor"])
    return str(to_hex(color[:3])) if color[3] > 0 else "#ffffff"


def is_dark() -> bool:
    """Whether the style in force has dark paper."""
    return _lightness(paper()) < 0.5


def ink() -> str:
    """Colour of text: dark on light paper, light on dark paper, whatever the style says of text."""
    return "#e9ecef" if is_dark() else "#22262b"


def _blend(share: float) -> str:
    """Paper with a share of ink."""
    from matplotlib.colors import to_hex, to_rgb

    red, green, blue = (share * a + (1 - share) * b for a, b in zip(to_rgb(ink()), to_rgb(paper()), strict=True))
    return str(to_hex((red, green, blue)))


def muted() -> str:
    """Colour of secondary text."""
    return _blend(0.6)


def outline() -> str:
    """Colour of thin outlines."""
    return _blend(0.45)


def faint() -> str:
    """Colour of grid lines."""
    return _blend(0.1)


def stripe() -> str:
    """Colour of every second row."""
    return _blend(0.04)


def _lightness(color: Any) -> float:
    """Perceived lightness, 0 to 1."""
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(color)
    return 0.299 * red + 0.587 * green + 0.114 * blue


MOST_COLUMNS = 4  # panels side by side
SAVED_DPI = 200  # dots per inch of saved figures: enough for print at their size
READABLE = 0.56  # lightness below which white is easier to read


def diverging() -> Any:
    """Blue for down, red for up; no change is light grey on light paper, and dark grey on dark."""
    return _diverging(dark=is_dark())


@lru_cache(maxsize=2)
def _diverging(*, dark: bool) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    colors = ["#1b4a8c", "#4f8fcb", "#b5d0e8", "#f3f2f0", "#f3bfa9", "#dd6b55", "#9c1c28"]
    if dark:
        colors = ["#a9cdf2", "#4f8fcb", "#2c4d6e", "#3a3b3d", "#743a31", "#dd6b55", "#fbb9a4"]
    return LinearSegmentedColormap.from_list("scgim_diverging", colors)


def signs() -> tuple[str, str]:
    """Colours of up and of down, lighter on dark paper."""
    return (RED, BLUE) if is_dark() else (UP, DOWN)


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
    """``text`` on one line, with its middle left out if it is longer than ``length``; the end often tells salts and isomers apart."""
    text = " ".join(text.split("\n"))
    if len(text) <= length:
        return text
    tail = min(8, length // 4)
    return text[: length - tail - 1].rstrip() + "…" + text[len(text) - tail :].lstrip()


def labels(names: "list[str]", length: int) -> "list[str]":
    """The names, cut to `length`; those that would then be the same keep as much of their end as tells them apart."""
    cut = {name: shorten(name, length) for name in names}
    for same in set(cut.values()):
        rivals = [name for name in cut if cut[name] == same]
        if len(rivals) > 1:
            tail = next(k for k in range(1, max(map(len, rivals)) + 1) if len({n[-k:] for n in rivals}) == len(rivals))
            head = max(length - tail - 1, 3)
            cut |= {name: f"{name[:head]}…{name[-tail:]}" if head + tail + 1 < len(name) else name for name in rivals}
    return [cut[name] for name in names]


def literal(text: str) -> str:
    """``text`` so that matplotlib does not read a dollar sign as mathematics."""
    return text.replace("$", r"\$")


def readable(fill: Any) -> str:
    """White or ink, whichever is easier to read on ``fill``."""
    return "#ffffff" if _lightness(fill) < READABLE else "#22262b"


def number(value: float) -> str:
    """A signed number with a true minus sign."""
    text = f"{value:+.0f}" if abs(value) >= 100 else f"{value:+.2f}" if abs(value) < 1 else f"{value:+.2g}"
    return text.replace("-", "\N{MINUS SIGN}")


def clean(axis: Any) -> None:
    """Light grid, no box, small ticks."""
    axis.grid(color=faint(), linewidth=0.6)
    axis.set_axisbelow(True)
    axis.tick_params(labelsize=7.5, color=muted(), labelcolor=ink())
    axis.xaxis.label.set_color(ink())
    axis.yaxis.label.set_color(ink())
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_color(muted())


def head(axis: Any, title: str, **more: Any) -> None:
    """A title in small, muted text, where there is one."""
    if title:
        axis.set_title(literal(title), fontsize=9, color=muted(), loc="left", **more)


def color_bar(bar: Any, label: str) -> None:
    """A colour bar without a box, with small ticks."""
    bar.outline.set_visible(False)
    bar.ax.grid(visible=False)
    bar.ax.tick_params(labelsize=7, length=2, color=muted(), labelcolor=ink())
    bar.set_label(label, fontsize=8, color=ink())


SHOWN: dict[str, Check] = {"show": or_none(FLAG), "save": or_none(PATH), "return_fig": FLAG}
"""Checks of what every picture takes."""
DRAWN: dict[str, Check] = {"title": or_none(TEXT), "ax": or_none(AXES), **SHOWN}
"""And of what those of one panel take."""

documented = splice(
    {
        "adata": """
            adata
                AnnData or MuData that :func:`scgim.tl.fit` has written to.""",
        "key": """
            key
                The ``key_added`` of the fit.""",
        "gene_symbols": """
            gene_symbols
                Column of ``adata.var`` with the names to show, instead of ``adata.var_names``.""",
        "title": """
            title
                Title of the picture.""",
        "axes": """
            ax
                Axes to draw into, made if not given.""",
        "figure": """
            show
                Show the figure instead of returning the axes.
            save
                File to write the figure to; its ending says the format.
            return_fig
                Return the figure.""",
        "returns": """
            Returns
            -------
            The axes, the figure if ``return_fig``, or None if it was shown.""",
    }
)
"""Splices what pictures share into a docstring."""


def axes(ax: "Axes | None", make: Callable[[], Any] | tuple[float, float]) -> "tuple[Axes, bool]":
    """Axes to draw into, and whether they were made here.

    Parameters
    ----------
    ax
        The axes that the user gave, or None.
    make
        Size of a new figure in inches, or a function that makes axes.
    """
    if ax is not None:
        return ax, False
    if callable(make):
        return make(), True
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=make, layout="constrained")[1], True


def panels(n: int, wide: float, high: float, *, right: float = 0.0, bottom: float = 0.0) -> list[Any]:
    """Axes of n panels of this size in inches, `MOST_COLUMNS` side by side, in a figure with more room at the right and the bottom."""
    import matplotlib.pyplot as plt

    columns = min(n, MOST_COLUMNS)
    lines = -(-n // columns)
    size = (wide * columns + right, high * lines + bottom)
    axes = plt.subplots(lines, columns, figsize=size, squeeze=False, layout="constrained")[1].ravel()
    for unused in axes[n:]:
        unused.set_visible(False)
    return list(axes[:n])


def finish(figure: Any, result: Any, *, own: bool, show: bool | None, save: str | Path | None, return_fig: bool) -> Any:
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
    save
        File to write the figure to, or None.
    return_fig
        Whether to return the figure and show nothing.

    Returns
    -------
    The figure, the axes, or None when the figure has been shown.
    """
    if save is not None:
        _save(figure, save)
    if return_fig:
        return figure
    if show is None:
        show = own
    if not show:
        return result
    import matplotlib.pyplot as plt

    plt.show()
    return None


def _save(figure: Any, path: str | Path) -> None:
    """Write the figure; a sentence where the folder or the format does not exist."""
    folder, kind = os.path.dirname(os.fspath(path)), os.path.splitext(path)[1].removeprefix(".").lower()
    known = sorted(figure.canvas.get_supported_filetypes())
    if kind and kind not in known:
        raise ValueError(f"save: expected a file name that ends in one of {known}, found {os.fspath(path)!r}.")
    if folder and not os.path.isdir(folder):
        raise ValueError(f"save: expected a file in a folder that exists, found no folder {folder!r}; make it first.")
    if os.path.isdir(path):
        raise ValueError(f"save: expected a file, found the folder {os.fspath(path)!r}; name a file in it.")
    with told("save", Path(path).parent):
        figure.savefig(path, bbox_inches="tight", dpi=SAVED_DPI)
