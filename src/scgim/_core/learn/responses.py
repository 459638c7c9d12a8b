"""Cells that follow a drug unequally: what that adds to variances and covariances (layer `_core`; not from the paper).

Where a share s of the cells responds, a mean that moves by m moves by m / s in these, and cells vary along the change,

``cov_k = within + spread_d m_k m_k'``, with ``spread_d = (1 - s) / s`` of each drug.

Pooled over contexts this correlates whatever a drug moves, and false edges come to explain it. The spread of each drug
is learned by the evidence of the variances of its contexts; where it is none nothing is changed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import softmax

from scgim._core.design import Design
from scgim._core.moments.moments import Moments, Responses
from scgim._core.posterior.contrasts import references
from scgim._core.posterior.spread import FEWEST_CONTEXTS, log_density, log_evidence

# that are tried: 95 to 10 % of the cells respond
SPREADS = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.3, 1.6, 2.0, 2.5, 3.2, 4.0, 6.0, 9.0)
WORTH = 10.0  # nats that unequal responses have to gain
N_STEPS = 30  # of expectation maximisation, for how many drugs have which spread
KEPT = 0.2  # of the variance within contexts in any direction, at the least
TINY = 1e-12


def changes(moments: Moments, design: Design) -> tuple[np.ndarray, np.ndarray]:
    """Changes of the means of all functions from the controls ``(K, F)``, and what sampling adds to their squares ``(K,)``.

    Of controls of the same baseline group, 0 where it has none; the second is relative to the variance of cells.
    """
    n, weight = np.maximum(moments.n, 1.0), references(design)  # (C, K)
    mean = moments.mean.reshape(len(n), -1)
    has_control = np.bincount(design.group[design.control], minlength=len(weight)) > 0
    moved = (~design.control & has_control[design.group])[:, None]
    change = np.where(moved, mean - (weight @ mean)[design.group], 0.0)
    return change, moved[:, 0] * (1 / n + (weight**2 @ (1 / n))[design.group])


def learn_spreads(log: np.ndarray) -> np.ndarray:
    """Posterior mean of the spread of each drug set ``(U,)``.

    Parameters
    ----------
    log
        ``(U, S)``; log densities under each of `SPREADS`, whose shares among the drug sets are learned.
    """
    share = np.full(log.shape[1], 1 / log.shape[1])
    for _ in range(N_STEPS):
        weight = softmax(log + np.log(share + TINY), axis=1)  # (U, S)
        share = weight.mean(axis=0)
    return np.asarray(weight @ np.array(SPREADS))


def _spreads(moments: Moments, design: Design, excess: np.ndarray) -> np.ndarray:
    """Spread of the responses in each context ``(K,)``, 0 in all of them where evidence does not ask for any.

    `excess` ``(K, G)`` are squares of the changes of the genes, less those of sampling.
    """
    nothing, freedom = np.zeros(len(moments.n)), np.maximum(moments.n - 1.0, 0.0)
    pooled = np.diag(moments.within)[:: moments.n_functions]  # (G,)
    known, varied = freedom >= 2, pooled > 0
    if moments.square is None or known.sum() < FEWEST_CONTEXTS or not varied.any():
        return nothing
    nu, square = freedom[known], moments.square[np.ix_(known, varied)]
    pooled, excess = pooled[varied], excess[np.ix_(known, varied)]
    still = [np.maximum(pooled - s * (nu @ excess) / nu.sum(), KEPT * pooled) for s in SPREADS]  # (G,) each
    alike, priors = log_evidence(square, nu, [rest + s * excess for s, rest in zip(SPREADS, still, strict=True)])
    best = int(np.argmax(alike))
    if alike[best] < alike[0] + WORTH:
        return nothing
    each = np.stack(
        [log_density(square, nu, still[best] + s * excess, priors[best]).sum(axis=1) for s in SPREADS], axis=1
    )
    drug_set, log = design.drug_set[known], np.zeros((design.n_drug_sets, len(SPREADS)))
    np.add.at(log, drug_set[drug_set >= 0], each[drug_set >= 0])
    return design.by_context(learn_spreads(log))


def _less(within: np.ndarray, added: np.ndarray) -> np.ndarray:
    """A covariance ``(F, F)`` without what was added to it, with some of it kept in every direction."""
    values, vectors = np.linalg.eigh(within)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    inverse = vectors / np.sqrt(np.maximum(values, TINY * values.max()))
    share, directions = np.linalg.eigh(inverse.T @ added @ inverse)
    back = root @ directions
    return np.asarray(within - (back * np.minimum(share, 1 - KEPT)) @ back.T)


def find_responses(moments: Moments, design: Design) -> Moments:
    """The moments without what unequal responses add to the covariance within contexts, which they then name.

    They are as they were where evidence does not ask for any.
    """
    if moments.square is None or moments.spread is not None or not design.control.any():
        return moments
    change, sampling = changes(moments, design)
    pooled = np.diag(moments.within)
    excess = np.maximum(change**2 - sampling[:, None] * pooled, 0.0)[:, :: moments.n_functions]  # (K, G)
    spread = _spreads(moments, design, excess)
    if not spread.any():
        return moments
    freedom = np.maximum(moments.n - 1.0, 0.0)
    cells = spread * freedom / freedom.sum()  # (K,)
    within = _less(moments.within, (change * cells[:, None]).T @ change - (cells @ sampling) * moments.within)
    return replace(moments, within=within, responses=Responses(spread, spread[:, None] * excess))
