"""Perturbation by gene: dots whose size is the target probability and whose colour is the signed effect."""

from typing import Any

import numpy as np

from scgim import _keys
from scgim.pl import _style
from scgim.pl._data import Fitted

CELL = 0.255  # inches from dot to dot
DRAWN = 0.05  # least probability of a dot


def choose(fitted: Fitted, order: list[int], n_genes: int | None, n_rows: int | None) -> tuple[list[int], list[int]]:
    """The rows and genes to show, so that the dots run down a staircase: causes left, their perturbations on top.

    Parameters
    ----------
    fitted
        What was fitted.
    order
        Genes in topological order.
    n_genes, n_rows
        At most so many genes and perturbations; where it is left open and genes are many, those without any dot are left out.
    """
    probability = fitted.probability  # (P, G)
    strength = (probability * np.abs(fitted.effect)).max(1, initial=0.0)  # (P,)
    rows = _strongest(fitted, strength, 60 if n_rows is None else n_rows)
    first_of = {int(probability[row].argmax()): None for row in sorted(rows, key=lambda r: -strength[r])}
    limit = min(max(40, len(first_of)), 80) if n_genes is None else n_genes
    genes = list(order)
    if len(genes) > limit:
        weight = np.where(probability >= _keys.CALLED, probability, 0.0).sum(0) + 1e-3 * probability.sum(0)  # (G,)
        ranked = [*first_of, *np.argsort(-weight, kind="stable").tolist()]  # no row without its first target
        drawn = [g for g in ranked if n_genes is not None or probability[:, g].max() >= DRAWN]
        best = set(list(dict.fromkeys(drawn or ranked))[:limit])  # no empty columns
        genes = [g for g in genes if g in best]
    place = {gene: k for k, gene in enumerate(genes)}

    def first(row: int) -> tuple[Any, ...]:
        hit = sorted(place[g] for g in genes if probability[row, g] >= _keys.CALLED)
        if not hit:
            return (1, [], 0.0, row)
        return (0, hit[:2], fitted.effect[row, genes[hit[0]]], row)

    rows.sort(key=first)
    if len({fitted.perturbation[r] for r in rows}) < len(rows):  # doses of a perturbation stay together
        rank: dict[str, int] = {}
        for row in rows:
            rank.setdefault(fitted.perturbation[row], len(rank))
        rows.sort(key=lambda r: (rank[fitted.perturbation[r]], fitted.dose[r]))
    return rows, genes


def _strongest(fitted: Fitted, strength: np.ndarray, most: int) -> list[int]:
    """Rows of the perturbations with the strongest effects, at most so many perturbations, each with all of its doses."""
    names = list(dict.fromkeys(fitted.perturbation))
    if len(names) <= most:
        return list(range(len(fitted.perturbation)))
    best = {name: max(s for s, n in zip(strength, fitted.perturbation, strict=True) if n == name) for name in names}
    kept = set(sorted(names, key=lambda name: -best[name])[:most])
    return [row for row, name in enumerate(fitted.perturbation) if name in kept]


USUAL = "shift"
"""Kind of intervention that needs no legend where it is the only one."""
MARKERS = {USUAL: "o", "hard": "s", "activity": "D", "regulator": "^"}
"""Form of a dot by the kind of intervention."""
AREA = {"activity": 0.55, "hard": 0.8}
"""Forms that are larger than a circle of the same nominal size."""


def picture(
    ax: Any, fitted: Fitted, rows: list[int], genes: list[int], labels: list[str], title: str, colors: str = "effect"
) -> tuple[Any, bool]:
    """Dots with legends and title, in the axes or in new ones; the axes and whether they are new. `colors` says what colours stand for."""
    ax, own = _style.axes(ax, lambda: figure_for(fitted, rows, genes, labels, title=bool(title))[1])
    if not own:
        make_room(ax)
    box = ax.get_window_extent()
    unit = min(box.width / max(len(genes), 1), box.height / max(len(rows), 1)) * 72 / ax.figure.dpi
    draw(ax, fitted, rows, genes, labels, unit, colors)
    _style.head(ax, title, pad=6)
    return ax, own


def draw(
    ax: Any, fitted: Fitted, rows: list[int], genes: list[int], labels: list[str], unit: float, colors: str
) -> None:
    """Draw the dots; ``unit`` is the distance of two dots in points, ``colors`` what colours stand for."""
    biggest = (0.86 * unit) ** 2
    for stripe in range(0, len(rows), 2):
        ax.axhspan(stripe - 0.5, stripe + 0.5, color=_style.stripe(), linewidth=0, zorder=0)
    ax.vlines(np.arange(len(genes)), -0.5, len(rows) - 0.5, color=_style.faint(), linewidth=0.5, zorder=1)
    norm = _dots(ax, fitted, rows, genes, biggest)
    ax.set_xlim(-0.6, len(genes) - 0.4)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    _names(ax, fitted, rows, genes, labels, unit)
    for spine in ax.spines.values():
        spine.set_visible(False)
    _legends(ax, norm, biggest, unit, colors)


def _dots(ax: Any, fitted: Fitted, rows: list[int], genes: list[int], biggest: float) -> Any:
    """One dot for each perturbation and gene, at most `biggest` square points; the scale of their colours."""
    probability = fitted.probability[np.ix_(rows, genes)]  # (rows, genes)
    effect = fitted.effect[np.ix_(rows, genes)]
    norm = _style.symmetric(effect[probability >= _keys.CALLED])
    y, x = np.nonzero(probability >= DRAWN)
    chance, kind = probability[y, x], fitted.kind[np.ix_(rows, genes)][y, x]
    called = chance >= _keys.CALLED
    for name in dict.fromkeys(kind):
        at = kind == name
        ax.scatter(
            x[at], y[at], s=biggest * chance[at] * AREA.get(name, 1.0), c=effect[y[at], x[at]], cmap=_style.diverging(), norm=norm,
            zorder=3, marker=MARKERS.get(name, "o"), linewidths=np.where(called[at], 0.7, 0.3),
            edgecolors=np.where(called[at], _style.ink(), _style.outline()),
        )  # fmt: skip
    shown = list(dict.fromkeys(kind[called]))
    if set(shown) - {USUAL}:
        _kind_legend(ax, shown)
    return norm


def _names(ax: Any, fitted: Fitted, rows: list[int], genes: list[int], labels: list[str], unit: float) -> None:
    """Genes above, upright where they do not fit; perturbations left, in grey italics where they have no target."""
    size = float(np.clip(unit * 0.47, 4.5, 9.0))
    above = _style.labels([fitted.genes[g] for g in genes], 16)
    ax.set_xticks(np.arange(len(genes)), [_style.literal(name) for name in above])
    ax.set_yticks(np.arange(len(rows)), [_style.literal(label) for label in labels])
    ax.xaxis.tick_top()
    ax.grid(visible=False)
    ax.tick_params(length=0, labelsize=size, labelcolor=_style.ink(), pad=3)
    long = max((_style.text_width(fitted.genes[g], size) for g in genes), default=0) > unit * 0.95
    for text in ax.get_xticklabels():
        text.set(rotation=90 if long else 0, ha="center", va="bottom")
    for text, row in zip(ax.get_yticklabels(), rows, strict=True):
        if fitted.probability[row].max(initial=0.0) < _keys.CALLED:
            text.set_color(_style.muted())
            text.set_style("italic")


def _kind_legend(ax: Any, kinds: list[str]) -> None:
    """Below the dots: which form stands for which kind of intervention."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], linestyle="", marker=MARKERS.get(k, "o"), color=_style.outline(), markersize=6, label=k)
        for k in kinds
    ]
    ax.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0.0, -0.01), ncols=len(kinds), frameon=False, fontsize=8,
        labelcolor=_style.ink(), borderaxespad=0.1, handletextpad=0.2,
    )  # fmt: skip


def _legends(ax: Any, norm: Any, biggest: float, unit: float, colors: str) -> None:
    """Colour bar and dot sizes to the right, in inches whatever the size of the axes."""
    from matplotlib.cm import ScalarMappable

    box = ax.get_window_extent()
    dpi = ax.figure.dpi
    width, height = box.width / dpi, box.height / dpi  # inches
    bar = min(1.15, max(0.5 * height, 0.85))
    left = 1 + 0.3 / width
    cax = ax.inset_axes((left, 1 - bar / height, 0.11 / width, bar / height))
    _style.color_bar(ax.figure.colorbar(ScalarMappable(norm, _style.diverging()), cax=cax), colors)
    levels = [0.25, 0.5, 0.75, 1.0]
    step = max(0.2, 0.95 * unit / 72)  # inches: large cells have large dots
    tall = step * len(levels)
    top = bar + 0.52
    if top + tall > height + 0.3:  # beside the colour bar in low pictures
        left, top = left + 0.75 / width, 0.2
    sizes = ax.inset_axes((left - 0.05 / width, 1 - (top + tall) / height, (step + 0.02) / width, tall / height))
    sizes.scatter(
        np.zeros(len(levels)), np.arange(len(levels)), s=[biggest * v for v in levels], color=_style.outline(),
        linewidths=0.7, edgecolors=[_style.outline()] + [_style.ink()] * 3, clip_on=False,
    )  # fmt: skip
    sizes.grid(visible=False)
    sizes.set(xlim=(-0.5, 0.5), ylim=(-0.5, len(levels) - 0.5), xticks=[])
    sizes.yaxis.tick_right()
    sizes.set_yticks(range(len(levels)), [f"{v:g}" for v in levels])
    sizes.tick_params(length=0, labelsize=7, pad=4, labelcolor=_style.ink())
    sizes.patch.set_visible(False)
    for spine in sizes.spines.values():
        spine.set_visible(False)
    sizes.text(
        -0.5, len(levels) - 0.25, "target\nprobability", fontsize=8, color=_style.ink(), va="bottom", linespacing=1.0
    )


def make_room(ax: Any) -> None:
    """Narrows axes of the user for the legends beside them, as a colour bar does, unless the figure lays itself out."""
    if ax.figure.get_layout_engine() is not None:
        return
    box, window = ax.get_position(), ax.get_window_extent()
    width, height = window.width / ax.figure.dpi, window.height / ax.figure.dpi  # inches
    ax.set_position([box.x0, box.y0, box.width * (1 - min(beside(height) / width, 0.45)), box.height])


def beside(high: float) -> float:
    """Inches that colour bar and dot sizes take to the right of a picture of this height: one below the other where there is room."""
    return 1.15 if high >= 2.2 else 1.9


def figure_for(fitted: Fitted, rows: list[int], genes: list[int], labels: list[str], *, title: bool) -> tuple[Any, Any]:
    """A figure with room for the labels and the legends; cells of a fixed size."""
    import matplotlib.pyplot as plt

    cell = float(np.clip(14.0 / max(len(rows), 1), 0.17, CELL))
    size = float(np.clip(cell * 72 * 0.47, 4.5, 9.0))
    left = max((_style.text_width(label, size) for label in labels), default=0) / 72 + 0.2
    gene = max((_style.text_width(_style.shorten(fitted.genes[g], 16), size) for g in genes), default=0) / 72
    top = (gene if gene > cell * 0.95 else 0.15) + (0.45 if title else 0.15)
    wide, high = len(genes) * cell + 0.05, max(len(rows), 1) * cell
    right, bottom = beside(high), max(0.3, 1.7 - high)  # inches
    total = left + wide + right, top + high + bottom
    figure = plt.figure(figsize=total)
    return figure, figure.add_axes((left / total[0], bottom / total[1], wide / total[0], high / total[1]))
