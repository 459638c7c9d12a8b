"""One perturbation: its targets and the part of the graph downstream of them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from scgim.get._downstream import mean_change
from scgim.pl import _network, _style
from scgim.pl._data import Fitted

SURE = 0.95
"""Probabilities from which on nothing is written beside an edge."""


class Regulator(NamedTuple):
    """One whose activity the perturbation changes."""

    name: str
    probability: float
    activity: float
    weight: Mapping[int, float]  # by gene that it acts on


def reachable(weights: sparse.csr_matrix, start: list[int]) -> list[int]:
    """``start`` and all that follows from it."""
    seen, stack = set(start), list(start)
    while stack:
        gene = stack.pop()
        for child in weights.indices[weights.indptr[gene] : weights.indptr[gene + 1]]:
            if int(child) not in seen:
                seen.add(int(child))
                stack.append(int(child))
    return sorted(seen)


def draw(
    fitted: Fitted,
    row: int,
    weights: sparse.csr_matrix,
    *,
    n_genes: int,
    title: str | None,
    ax: Any,
    regulators: Sequence[Regulator] = (),
    added: np.ndarray | None = None,
) -> tuple[Any, bool]:
    """Draw one perturbation; returns the axes and whether they were made here.

    Regulators stand between the perturbation and the genes that they act on, with corners. What they add to genes is `added`
    ``(G,)``; where older results do not hold it, only targets are coloured beside them.
    """
    exact = fitted.exact and (not regulators or added is not None)
    weights = sparse.csr_matrix(weights, copy=True)
    weights.eliminate_zeros()
    probability, effect = fitted.probability[row], fitted.effect[row]
    targets = np.flatnonzero(probability >= 0.5).tolist()
    sure = bool(targets) or bool(regulators)
    if not sure:
        targets = [int(probability.argmax())]
    shift = np.where(np.isin(np.arange(len(effect)), targets), effect, 0.0)
    shift = shift if added is None or not regulators else shift + added
    n_targets, every = len(targets), set(targets)
    strongest = sorted(targets, key=lambda g: -probability[g] * abs(effect[g]))[: max(1, n_genes // 2)]
    change = mean_change(weights, shift) if exact else shift
    acted_on = {g: max(abs(r.weight.get(g, 0.0)) for r in regulators) for r in regulators for g in r.weight}
    room = max(1, n_genes - len(strongest)) // (2 if len(strongest) else 1)
    strongest += [g for g in sorted(acted_on, key=lambda g: -acted_on[g]) if g not in every][
        : room if regulators else 0
    ]
    genes, left_out = _select(weights, strongest, change, n_genes)
    targets = [gene for gene in genes if gene in every]  # a target that is drawn is drawn as one
    norm = _style.symmetric(change[genes], quantile=1.0)
    color = _style.diverging()
    nodes = []
    names = dict(zip(genes, _style.labels([fitted.genes[g] for g in genes], 14), strict=True))
    for gene in genes:
        known = exact or gene in targets
        fill = color(norm(change[gene])) if known else _style.paper()
        nodes.append(
            _network.Node(
                names[gene],
                note=_style.number(change[gene]) if exact else "",
                fill=fill,
                edge=_style.ink() if gene in targets else _style.outline(),
                width=2.2 if gene in targets else 0.9,
                text=_style.readable(fill),
            )
        )
    index = {gene: k for k, gene in enumerate(genes)}
    part = sparse.coo_matrix(weights[genes][:, genes])
    edges = [
        _network.Edge(int(i), int(j), float(w)) for i, j, w in zip(part.row, part.col, part.data, strict=True) if i != j
    ]
    drug = len(nodes)
    dark = _style.ink()
    name = _style.shorten(fitted.perturbation[row], 40)
    nodes.append(_network.Node(name, fill=dark, edge=dark, text=_style.paper(), wide=True))
    for gene in targets:
        doubt = "" if probability[gene] >= SURE else f"  (p {probability[gene]:.2f})"
        kind = "" if fitted.kind[row, gene] == "shift" else f"{fitted.kind[row, gene]} "
        label = kind + _style.number(effect[gene]) + doubt
        edges.append(_network.Edge(drug, index[gene], float(effect[gene]), dark, "-" if sure else (0, (3, 2)), label))
    for regulator in regulators:
        nodes.append(_network.Node(_style.shorten(regulator.name, 14), edge=dark, width=1.6, box=True))
        at, p = len(nodes) - 1, regulator.probability
        doubt = "" if p >= SURE else f"  (p {p:.2f})"
        label = f"regulator {_style.number(regulator.activity)}{doubt}"
        edges.append(_network.Edge(drug, at, regulator.activity, dark, "-", label))
        drawn = {g: w for g, w in regulator.weight.items() if g in index}
        edges += [_network.Edge(at, index[g], w, "", (0, (2, 2))) for g, w in drawn.items()]
    scene = _network.compose(nodes, edges)
    ax, own = _style.axes(ax, lambda: _network.figure_for(scene, title=True, right=74.0)[1])
    if title is None:
        cut = f"{len(targets)} of {n_targets}" if n_targets > len(targets) else ""
        title = _title(fitted, row, left_out, cut, sure=sure)
    _network.draw(ax, scene)
    _network.edge_legend(ax)
    if exact or targets:
        _color_bar(ax, norm, "change of the mean" if exact else "effect")
    ax.set_title(_style.literal(title), fontsize=10, color=_style.muted())
    return ax, own


def _select(weights: sparse.csr_matrix, targets: list[int], change: np.ndarray, n_genes: int) -> tuple[list[int], int]:
    """Targets and the genes downstream that change most, and how many are left out."""
    below = [g for g in reachable(weights, targets) if g not in targets]
    room = max(0, n_genes - len(targets))
    if not np.any(change[below]):  # changes unknown: the nearest genes
        change = np.asarray(abs(weights[targets]).sum(0)).ravel()
    kept = sorted(below, key=lambda g: -abs(change[g]))[:room]
    return sorted(targets + kept), len(below) - len(kept)


def _title(fitted: Fitted, row: int, left_out: int, drawn: str, *, sure: bool) -> str:
    """The dose, and what a reader has to know about the choice of genes."""
    parts = [f"at dose {fitted.dose[row]:g}"] if np.isfinite(fitted.dose[row]) else []
    if not sure:
        parts.append("no gene is a target with probability 1/2; the most probable one is drawn")
    if drawn:
        parts.append(f"{drawn} targets")
    if left_out:
        parts.append(f"without the {left_out} least changed {'gene' if left_out == 1 else 'genes'}")
    return ", ".join(parts)


def _color_bar(ax: Any, norm: Any, label: str) -> None:
    from matplotlib.cm import ScalarMappable

    box = ax.get_window_extent()
    width, height = box.width / ax.figure.dpi, box.height / ax.figure.dpi
    tall = min(1.2, 0.8 * height)
    cax = ax.inset_axes((1 + 0.08 / width, 1 - (tall + 0.1) / height, 0.11 / width, tall / height))
    bar = ax.figure.colorbar(ScalarMappable(norm, _style.diverging()), cax=cax)
    bar.outline.set_visible(False)
    cax.grid(visible=False)
    bar.ax.tick_params(labelsize=7, length=2, color=_style.muted(), labelcolor=_style.ink())
    bar.set_label(label, fontsize=8, color=_style.ink())
