"""Activity interventions: a drug scales the outgoing effects of its target (layer `_core`; not from the paper).

Given the graph, the change psi of a gene's outgoing effects is a quadratic problem in the second moments of a context,
summed over the children. Activities are chosen together with shifts (:mod:`scgim._core.kinds.joint`), in turn with the
structure.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from scgim._core.effects import Effects, Together
from scgim._core.kinds.base import At, Moved
from scgim._core.moments.moments import Moments
from scgim._core.posterior.evidence import GeneFit
from scgim._core.structure.prior import Prior
from scgim._core.structure.score import ShiftScore

NO_CHILD = 1e6  # variance of the activity of a gene without children


def check_moments(moments: Moments) -> np.ndarray:
    """Scatter of each context ``(K, F, F)``; raises where the moments lack it."""
    if moments.scatter is None or moments.pool is None or len(moments.scatter) != len(moments.n):
        raise ValueError("moments: activity interventions need the scatter of each context; pass `pool=arange(K)`.")
    every = np.arange(len(moments.n))
    return moments.scatter if np.array_equal(moments.pool, every) else moments.scatter[moments.pool]


def functions_off(moments: Moments, off: np.ndarray) -> np.ndarray:
    """Basis functions ``(F,)`` of genes that are off, at these standardised values ``(G,)``."""
    return np.asarray(moments.mechanism.functions(off).ravel())


def children_of(parents: dict[int, tuple[int, ...]]) -> dict[int, list[int]]:
    """Children of every gene."""
    children: dict[int, list[int]] = {gene: [] for gene in parents}
    for child, of_child in parents.items():
        for gene in of_child:
            children[gene].append(child)
    return children


class ActiveScore(ShiftScore):
    """Shift score in which parents act scaled by 1 + psi in each context.

    Parameters
    ----------
    activity
        ``(K, G)``; psi, in the order of the contexts.
    off
        ``(G,)``; standardised expression at which a gene does nothing, around which its children see it scaled.
    """

    def __init__(
        self,
        moments: Moments,
        drug_set: np.ndarray,
        group: np.ndarray,
        prior: Prior,
        activity: np.ndarray | None = None,
        off: np.ndarray | None = None,
    ) -> None:
        super().__init__(moments, drug_set, group, prior)
        if activity is None or not activity.any():
            return
        scatter = check_moments(moments)
        scale = np.repeat(1 + activity, self.n_functions, axis=1)  # (K, F)
        zero = functions_off(moments, np.zeros(moments.n_genes) if off is None else off)
        flat = moments.mean.reshape(len(scale), -1)
        self.flat = (zero + scale * (flat - zero))[self.sorted]  # as parents are read; `self_mean`, of children, stays
        self._centred_cache = None
        total, cross = np.zeros_like(self.within), np.zeros_like(self.cross)
        for s, part in zip(scale, scatter, strict=True):
            scaled = s[:, None] * part
            total += scaled * s
            cross += scaled[:, :: self.n_functions]
        self.within, self.cross = total / self.dof, cross / self.dof


@dataclass
class Children:
    """What one gene j tells of the activities of its p parents, by context, in units of its noise variance.

    ``within_linear`` (K, p) and ``within_square`` (K, p, p): products of the residual with the parents' contributions,
    and of these with each other, around their means. ``mean`` (K, p): mean contributions. ``residual`` and ``error``
    (K,): mean residual and its variance, of which ``sampling`` (K,) is due to the number of cells.
    """

    parents: np.ndarray
    within_linear: np.ndarray
    within_square: np.ndarray
    mean: np.ndarray
    residual: np.ndarray
    error: np.ndarray
    sampling: np.ndarray


def child_evidence(
    moments: Moments, group: np.ndarray, j: int, parents: np.ndarray, fit: GeneFit, off: np.ndarray
) -> Children:
    """Sufficient statistics of gene j for the activities of its parents, which are off at these standardised values ``(G,)``."""
    B, scatter = moments.n_functions, check_moments(moments)
    p, coef, noise = len(parents), fit.coef, fit.noise
    cols = (parents[:, None] * B + np.arange(B)).ravel()
    every = np.append(cols, j * B)
    S = scatter[:, every[:, None], every]  # (K, pB+1, pB+1)
    flat = moments.mean.reshape(len(S), -1)
    loading = np.zeros((len(every), p))  # contributions of the parents
    for q in range(p):
        loading[q * B : (q + 1) * B, q] = coef[q * B : (q + 1) * B]
    weight = -loading.sum(axis=1)
    weight[-1] = 1.0  # residual of gene j
    against = S @ loading  # (K, pB+1, p)
    linear, square = np.swapaxes(against, 1, 2) @ weight, loading.T @ against  # (K, p), (K, p, p)
    return Children(
        parents,
        linear / noise,
        square / noise,
        (flat[:, cols] - functions_off(moments, off)[cols]) @ loading[:-1],
        flat[:, j * B] - flat[:, cols] @ coef - fit.baseline[group],
        fit.error,
        noise / np.maximum(moments.n, 1),
    )


def estimates(
    children: list[Children], activity: np.ndarray, shifted: np.ndarray, effect_sd: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Activity of every gene given those of the others: estimates and variances, ``(K, G)`` each.

    Parameters
    ----------
    activity
        ``(K, G)``; expected activities, of which each gene's own is taken out.
    shifted
        ``(K, G)``; probability that the gene is itself shifted, which leaves less to learn from its mean.
    effect_sd
        ``(G,)``; standard deviation of shifts.
    """
    linear, square = np.zeros_like(activity), np.zeros_like(activity)
    for j, child in enumerate(children):
        if not len(child.parents):
            continue
        weight = (1 - shifted[:, j]) / child.error + shifted[:, j] / (child.error + effect_sd[j] ** 2)  # (K,)
        products = child.within_square + (weight[:, None] * child.mean)[:, :, None] * child.mean[:, None]
        psi = activity[:, child.parents]
        own = np.diagonal(products, axis1=1, axis2=2)
        right = child.within_linear + (weight * child.residual)[:, None] * child.mean
        linear[:, child.parents] += right - (products @ psi[:, :, None])[:, :, 0] + own * psi
        square[:, child.parents] += own
    square = np.maximum(square, 1 / NO_CHILD)
    return linear / square, 1 / square


class Activity:
    """``x_j = baseline_j + f_j((1 + psi) x) + noise``: what children read of a target is scaled, from nothing to twice."""

    name = "activity"
    additive = False
    together: Together = "product"
    scatter: Literal["none", "drug_set", "context"] = "context"
    scored = False

    def units(self, scale: np.ndarray) -> np.ndarray:
        """None: a relative change."""
        return np.ones_like(scale)

    def point(self, effects: Effects) -> tuple[np.ndarray, np.ndarray]:
        """The posterior mean, wherever a target is possible."""
        return effects.probability > 0, effects.expected

    def write(self, moved: Moved, at: At, effect: np.ndarray) -> None:
        """Changes of activity multiply."""
        moved.of_rows("speak")[at] *= 1 + effect
