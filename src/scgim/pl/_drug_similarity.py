"""Which perturbations share mechanisms."""

from typing import TYPE_CHECKING

import numpy as np

from scgim import _keys
from scgim._checks import FITTED, TEXT, checked, count
from scgim.get import perturbations
from scgim.get._tables import regulators_of
from scgim.pl import _style

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData

CELL = 0.2  # inches a perturbation
LARGE = 14.0  # inches from which on these are smaller
SMALLEST = 0.1  # inches, below which names cannot be read
LEAST_SIDE = 1.6  # inches, beside which the label of the color bar has room
BAR = 2.4  # inches of the color bar at the most


@_style.documented
@checked(
    adata=FITTED,
    key=TEXT,
    n_perturbations=count(),
    **_style.DRAWN,
)
def drug_similarity(
    adata: "AnnData | MuData",
    *,
    key: str = _keys.DEFAULT,
    n_perturbations: int = 60,
    title: str | None = None,
    ax: "Axes | None" = None,
    show: bool | None = None,
    save: "str | Path | None" = None,
    return_fig: bool = False,
) -> "Axes | Figure | None":
    """Draw how similar the inferred interventions of the perturbations are.

    The cosine between the expected effects (probability of a target times the effect) of two perturbations at their highest
    dose: 1 for the same targets in the same direction, -1 for the opposite, 0 for nothing in common, which is also the
    value of perturbations without any target. Changes of regulators count as effects on genes do. Rows are in the order of an average-linkage clustering.

    Parameters
    ----------
    %(adata)s
    %(key)s
    n_perturbations
        Show at most this many, those with the strongest effects.
    %(title)s
    %(axes)s
    %(figure)s

    %(returns)s

    Raises
    ------
    KeyError
        If ``adata`` has not been fitted with this ``key``.
    ValueError
        If ``n_perturbations`` is below 1.

    Examples
    --------
    >>> scgim.pl.drug_similarity(adata)
    """
    space = perturbations(adata, key=key)
    found = regulators_of(adata, key)
    effects = np.hstack([np.asarray(space.X, dtype=float), found.probability * found.activity])  # (P, G + T)
    kept = np.sort(np.argsort(-np.abs(effects).max(axis=1, initial=0.0), kind="stable")[:n_perturbations])
    similarity = cosine(effects[kept])
    order = cluster_order(similarity)
    names = _style.labels(space.obs["perturbation"].astype(str).to_numpy()[kept][order].tolist(), 28)
    cell = float(np.clip(LARGE / max(len(order), 1), SMALLEST, CELL))
    side, size = max(len(order) * cell, LEAST_SIDE), min(7.5, 0.75 * 72 * cell)
    room = max((_style.text_width(name, size) for name in names), default=0.0) / 72  # inches
    ax, own = _style.axes(ax, (side + room + 1.2, side + room + 0.5))
    image = ax.imshow(similarity[np.ix_(order, order)], cmap=_style.diverging(), vmin=-1, vmax=1)
    ax.grid(visible=False)
    text = [_style.literal(name) for name in names]
    ax.set_xticks(np.arange(len(text)), text, rotation=90, fontsize=size, color=_style.ink())
    ax.set_yticks(np.arange(len(text)), text, fontsize=size, color=_style.ink())
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    _style.color_bar(
        ax.figure.colorbar(image, ax=ax, shrink=min(0.6, BAR / side), aspect=14), "cosine of\nexpected effects"
    )
    if title is None and space.n_obs == 1:
        title = "one perturbation, nothing to compare"
    elif title is None and len(order) < space.n_obs:
        title = f"{len(order)} of {space.n_obs} perturbations"
    _style.head(ax, title or "")
    return _style.finish(ax.figure, ax, own=own, show=show, save=save, return_fig=return_fig)


def cosine(effects: np.ndarray) -> np.ndarray:
    """Cosines between rows ``(P, G)`` as ``(P, P)``; 0 for a row of zeros, but 1 with itself."""
    length = np.linalg.norm(effects, axis=1, keepdims=True)
    unit = np.divide(effects, length, out=np.zeros_like(effects), where=length > 0)
    out = unit @ unit.T
    np.fill_diagonal(out, 1.0)
    return np.clip(out, -1, 1)


def cluster_order(similarity: np.ndarray) -> np.ndarray:
    """Rows in the order of the leaves of an average-linkage clustering of 1 - similarity."""
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if len(similarity) < 3:
        return np.arange(len(similarity))
    distance = squareform(np.maximum(1 - similarity, 0.0), checks=False)
    return np.asarray(leaves_list(linkage(distance, method="average", optimal_ordering=True)))
