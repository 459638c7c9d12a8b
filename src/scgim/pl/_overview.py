"""Perturbation by gene: dots whose size is the target probability and whose colour is the signed effect."""

from typing import Any

import numpy as np

from scgim.pl import _style
from scgim.pl._data import Fitted

CELL = 0.255  # inches from dot to dot


def choose(fitted: Fitted, order: list[int], n_genes: int | None, n_rows: int | None) -> tuple[list[int], list[int]]:
    """The rows and genes to show, so that the dots run down a staircase: causes left, their perturbations on top.

    Parameters
    ----------
    fitted
        What was fitted.
    order
        Genes in topological order.
    n_genes, n_rows
        At most so many genes and perturbations.
    """
    probability = fitted.probability  # (P, G)
    limit = 40 if n_genes is None else n_genes
    genes = list(order)
    if len(genes) > limit:
        weight = np.where(probability >= 0.5, probability, 0.0).sum(0) + 1e-3 * probability.sum(0)
        best = set(np.argsort(-weight, kind="stable")[:limit].tolist())
        genes = [g for g in genes if g in best]
    rows = list(range(len(probability)))
    most = 60 if n_rows is None else n_rows
    if len(rows) > most:
        strength = (probability * np.abs(fitted.effect))[:, genes].max(1, initial=0.0)
        rows = sorted(np.argsort(-strength, kind="stable")[:most].tolist())
    place = {gene: k for k, gene in enumerate(genes)}

    def first(row: int) -> tuple[Any, ...]:
        hit = sorted(place[g] for g in genes if probability[row, g] >= 0.5)
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


def draw(ax: Any, fitted: Fitted, rows: list[int], genes: list[int], labels: list[str], unit: float) -> None:
    """Draw the dots; ``unit`` is the distance of two dots in points."""
    probability = fitted.probability[np.ix_(rows, genes)]  # (rows, genes)
    effect = fitted.effect[np.ix_(rows, genes)]
    norm = _style.symmetric(effect[probability >= 0.5])
    y, x = np.nonzero(probability >= 0.05)
    p = probability[y, x]
    biggest = (0.86 * unit) ** 2
    for k in range(len(rows)):
        if k % 2 == 0:
            ax.axhspan(k - 0.5, k + 0.5, color="#f6f7f8", linewidth=0, zorder=0)
    ax.vlines(np.arange(len(genes)), -0.5, len(rows) - 0.5, color=_style.FAINT, linewidth=0.5, zorder=1)
    strong = p >= 0.5
    ax.scatter(
        x, y, s=biggest * p, c=effect[y, x], cmap=_style.diverging(), norm=norm, zorder=3,
        linewidths=np.where(strong, 0.7, 0.3), edgecolors=np.where(strong, "#3c4249", "#b9bec4"),
    )  # fmt: skip
    ax.set_xlim(-0.6, len(genes) - 0.4)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    size = float(np.clip(unit * 0.47, 4.5, 9.0))
    ax.set_xticks(np.arange(len(genes)), [_style.literal(_style.shorten(fitted.genes[g], 16)) for g in genes])
    ax.set_yticks(np.arange(len(rows)), [_style.literal(label) for label in labels])
    ax.xaxis.tick_top()
    ax.tick_params(length=0, labelsize=size, labelcolor=_style.INK, pad=3)
    long = max((_style.text_width(fitted.genes[g], size) for g in genes), default=0) > unit * 0.95
    for text in ax.get_xticklabels():
        text.set(rotation=90 if long else 0, ha="center", va="bottom")
    for text, row in zip(ax.get_yticklabels(), rows, strict=True):
        if fitted.probability[row].max(initial=0.0) < 0.5:
            text.set_color(_style.MUTED)
            text.set_style("italic")
    for spine in ax.spines.values():
        spine.set_visible(False)
    _legends(ax, norm, biggest, unit)


def _legends(ax: Any, norm: Any, biggest: float, unit: float) -> None:
    """Colour bar and dot sizes to the right, in inches whatever the size of the axes."""
    from matplotlib.cm import ScalarMappable

    box = ax.get_window_extent()
    dpi = ax.figure.dpi
    width, height = box.width / dpi, box.height / dpi  # inches
    bar = min(1.15, max(0.5 * height, 0.85))
    left = 1 + 0.3 / width
    cax = ax.inset_axes((left, 1 - bar / height, 0.11 / width, bar / height))
    colorbar = ax.figure.colorbar(ScalarMappable(norm, _style.diverging()), cax=cax)
    colorbar.outline.set_visible(False)
    colorbar.ax.tick_params(labelsize=7, length=2, color=_style.MUTED, labelcolor=_style.INK)
    colorbar.set_label("effect", fontsize=8, color=_style.INK)
    levels = [0.25, 0.5, 0.75, 1.0]
    step = max(0.2, 0.95 * unit / 72)
    tall = step * len(levels)
    top = bar + 0.52
    if top + tall > height + 0.3:  # beside the colour bar in low pictures
        left, top = left + 0.75 / width, 0.2
    sizes = ax.inset_axes((left - 0.05 / width, 1 - (top + tall) / height, 0.22 / width, tall / height))
    sizes.scatter(
        np.zeros(len(levels)), np.arange(len(levels)), s=[biggest * v for v in levels], color="#9aa1a9",
        linewidths=0.7, edgecolors=["#b9bec4"] + ["#3c4249"] * 3, clip_on=False,
    )  # fmt: skip
    sizes.set(xlim=(-0.5, 0.5), ylim=(-0.5, len(levels) - 0.5), xticks=[])
    sizes.yaxis.tick_right()
    sizes.set_yticks(range(len(levels)), [f"{v:g}" for v in levels])
    sizes.tick_params(length=0, labelsize=7, pad=4, labelcolor=_style.INK)
    sizes.patch.set_visible(False)
    for spine in sizes.spines.values():
        spine.set_visible(False)
    sizes.text(
        -0.5, len(levels) - 0.25, "target\nprobability", fontsize=8, color=_style.INK, va="bottom", linespacing=1.0
    )


def figure_for(fitted: Fitted, rows: list[int], genes: list[int], labels: list[str], *, title: bool) -> tuple[Any, Any]:
    """A figure with room for the labels and the legends; cells of a fixed size."""
    import matplotlib.pyplot as plt

    cell = float(np.clip(14.0 / max(len(rows), 1), 0.17, CELL))
    size = float(np.clip(cell * 72 * 0.47, 4.5, 9.0))
    left = max((_style.text_width(label, size) for label in labels), default=0) / 72 + 0.2
    gene = max((_style.text_width(_style.shorten(fitted.genes[g], 16), size) for g in genes), default=0) / 72
    top = (gene if gene > cell * 0.95 else 0.15) + (0.45 if title else 0.15)
    wide, high = len(genes) * cell + 0.05, max(len(rows), 1) * cell
    right, bottom = 1.15 if high >= 2.2 else 1.9, max(0.15, 1.7 - high) if high < 1.7 else 0.15
    total = left + wide + right, top + high + bottom
    figure = plt.figure(figsize=total)
    return figure, figure.add_axes((left / total[0], bottom / total[1], wide / total[0], high / total[1]))
