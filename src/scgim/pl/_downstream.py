"""One perturbation: its targets and the part of the graph downstream of them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from scgim import _keys
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


class Shown(NamedTuple):
    """What is drawn of one perturbation, and what is known of it."""

    genes: list[int]
    targets: list[int]  # those of the genes
    n_targets: int  # of the perturbation, drawn or not
    left_out: int  # genes downstream
    change: np.ndarray  # (G,) of the mean, or the effects of targets where that is not known
    exact: bool  # whether it is known
    sure: bool  # whether it has a target or changes a regulator


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
    weights = sparse.csr_matrix(weights, copy=True)
    weights.eliminate_zeros()
    shown = _choose(fitted, row, weights, n_genes, regulators, added)
    norm = _style.symmetric(shown.change[shown.genes], quantile=1.0)
    scene = _network.compose(*_network_of(fitted, row, weights, shown, regulators, norm))
    ax, own = _style.axes(ax, lambda: _network.figure_for(scene, title=True, right=74.0)[1])
    _network.draw(ax, scene)
    _network.edge_legend(ax)
    if shown.exact or shown.targets:
        _color_bar(ax, norm, "change of the mean" if shown.exact else "effect")
    title = _title(fitted, row, shown) if title is None else title
    ax.set_title(_style.literal(title), fontsize=10, color=_style.muted())
    return ax, own


def _choose(
    fitted: Fitted,
    row: int,
    weights: sparse.csr_matrix,
    n_genes: int,
    regulators: Sequence[Regulator],
    added: np.ndarray | None,
) -> Shown:
    """Targets, or the most probable one, genes that regulators act on, and those downstream that change most."""
    exact = fitted.exact and (not regulators or added is not None)
    probability, effect = fitted.probability[row], fitted.effect[row]
    targets = np.flatnonzero(probability >= _keys.CALLED).tolist()
    sure = bool(targets) or bool(regulators)
    if not sure:
        targets = [int(probability.argmax())]
    shift = np.where(np.isin(np.arange(len(effect)), targets), effect, 0.0)
    shift = shift if added is None or not regulators else shift + added
    strongest = sorted(targets, key=lambda g: -probability[g] * abs(effect[g]))[: max(1, n_genes // 2)]
    change = mean_change(weights, shift) if exact else shift
    acted_on = {g: max(abs(r.weight.get(g, 0.0)) for r in regulators) for r in regulators for g in r.weight}
    room = max(1, n_genes - len(strongest)) // (2 if strongest else 1) if regulators else 0
    others = [g for g in sorted(acted_on, key=lambda g: -acted_on[g]) if g not in set(targets)]
    genes, left_out = _select(weights, strongest + others[:room], change, n_genes)
    drawn = [gene for gene in genes if gene in set(targets)]  # a target that is drawn is drawn as one
    return Shown(genes, drawn, len(targets), left_out, change, exact, sure)


def _network_of(
    fitted: Fitted,
    row: int,
    weights: sparse.csr_matrix,
    shown: Shown,
    regulators: Sequence[Regulator],
    norm: Any,
) -> tuple[list[_network.Node], list[_network.Edge]]:
    """Genes, the perturbation and its regulators, and what acts on what."""
    genes, dark = shown.genes, _style.ink()
    names = _style.labels([fitted.genes[g] for g in genes], 14)
    nodes = [_gene(name, g, shown, norm) for name, g in zip(names, genes, strict=True)]
    index = {gene: k for k, gene in enumerate(genes)}
    part = sparse.coo_matrix(weights[genes][:, genes])
    edges = [
        _network.Edge(int(i), int(j), float(w)) for i, j, w in zip(part.row, part.col, part.data, strict=True) if i != j
    ]
    drug, name = len(nodes), _style.shorten(fitted.perturbation[row], 40)
    nodes.append(_network.Node(name, fill=dark, edge=dark, text=_style.paper(), wide=True))
    for gene in shown.targets:
        effect, kind = float(fitted.effect[row, gene]), fitted.kind[row, gene]
        label = _said("" if kind == "shift" else f"{kind} ", effect, fitted.probability[row, gene])
        edges.append(_network.Edge(drug, index[gene], effect, dark, "-" if shown.sure else (0, (3, 2)), label))
    for regulator in regulators:
        at = len(nodes)
        nodes.append(_network.Node(_style.shorten(regulator.name, 14), edge=dark, width=1.6, box=True))
        label = _said("regulator ", regulator.activity, regulator.probability)
        edges.append(_network.Edge(drug, at, regulator.activity, dark, "-", label))
        drawn = {g: w for g, w in regulator.weight.items() if g in index}
        edges += [_network.Edge(at, index[g], w, "", (0, (2, 2))) for g, w in drawn.items()]
    return nodes, edges


def _gene(name: str, gene: int, shown: Shown, norm: Any) -> _network.Node:
    """The pill of a gene, in the colour of its change."""
    target, change = gene in shown.targets, shown.change[gene]
    fill = _style.diverging()(norm(change)) if shown.exact or target else _style.paper()
    return _network.Node(
        name,
        note=_style.number(change) if shown.exact else "",
        fill=fill,
        edge=_style.ink() if target else _style.outline(),
        width=2.2 if target else 0.9,
        text=_style.readable(fill),
    )


def _said(what: str, size: float, probability: float) -> str:
    """What stands beside an edge: a size, and its probability where that is in doubt."""
    return what + _style.number(size) + ("" if probability >= SURE else f"  (p {probability:.2f})")


def _select(weights: sparse.csr_matrix, targets: list[int], change: np.ndarray, n_genes: int) -> tuple[list[int], int]:
    """Targets and the genes downstream that change most, and how many are left out."""
    below = [g for g in reachable(weights, targets) if g not in targets]
    room = max(0, n_genes - len(targets))
    if not np.any(change[below]):  # changes unknown: the nearest genes
        change = np.asarray(abs(weights[targets]).sum(0)).ravel()
    kept = sorted(below, key=lambda g: -abs(change[g]))[:room]
    return sorted(targets + kept), len(below) - len(kept)


def _title(fitted: Fitted, row: int, shown: Shown) -> str:
    """The dose, and what a reader has to know about the choice of genes."""
    parts = [f"at dose {fitted.dose[row]:g}"] if np.isfinite(fitted.dose[row]) else []
    if not shown.sure:
        parts.append("no gene is a target with probability 1/2; the most probable one is drawn")
    if shown.n_targets > len(shown.targets):
        parts.append(f"{len(shown.targets)} of {shown.n_targets} targets")
    if shown.left_out:
        parts.append(f"without the {shown.left_out} least changed {'gene' if shown.left_out == 1 else 'genes'}")
    return ", ".join(parts)


def _color_bar(ax: Any, norm: Any, label: str) -> None:
    from matplotlib.cm import ScalarMappable

    box = ax.get_window_extent()
    width, height = box.width / ax.figure.dpi, box.height / ax.figure.dpi
    tall = min(1.2, 0.8 * height)
    cax = ax.inset_axes((1 + 0.08 / width, 1 - (tall + 0.1) / height, 0.11 / width, tall / height))
    _style.color_bar(ax.figure.colorbar(ScalarMappable(norm, _style.diverging()), cax=cax), label)
