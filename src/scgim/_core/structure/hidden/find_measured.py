"""How much noise of measurement there is, by evidence (layer `_core`; not from the paper).

First one share of the variance of all genes, then a variance for each gene, in turn with the graph; see
`scgim._core.structure.hidden.measured`. Such noise correlates nothing: where correlations misfit beside it, it is not
kept.
"""

from typing import NamedTuple

import numpy as np

from scgim._core.design import Design
from scgim._core.moments.moments import Moments
from scgim._core.posterior.contrasts import references
from scgim._core.posterior.evidence import Evidence
from scgim._core.structure.hidden.find_hidden import SMALLEST_EIGENVALUE, Found, Search, effects_of
from scgim._core.structure.hidden.measured import climb, implied, measured_noise, most_noise, without_noise
from scgim._core.structure.misfit import START_CELLS, best_evidence
from scgim._core.structure.score import ShiftScore

SHARES = (0.05, 0.12, 0.25, 0.4, 0.6, 0.8)  # of variances, that are tried
MOST_ROUNDS = 6
WORTH = 10.0  # nats that noise has to gain


class BesideNoise(NamedTuple):
    """A graph beside noise of measurement."""

    found: Found
    weights: np.ndarray  # (G, G) effects of genes on each other
    left: Evidence  # what they leave
    fit: float  # cells that correlations beside it are worth


def evidence_beside_noise(score: ShiftScore, evidence: Evidence, weights: np.ndarray) -> tuple[float, float]:
    """Log evidence of a graph beside noise, as in `misfit.total_evidence`, and the cells that correlations are worth."""
    noise, dof = measured_noise(score.moments), score.dof
    value, vector = np.linalg.eigh(implied(weights, evidence.noise, noise))
    whiten = vector / np.sqrt(value) @ vector.T
    within, fit = best_evidence(whiten @ (score.within + np.diag(noise)) @ whiten, dof)
    log_noise = np.log(np.maximum(evidence.noise, 1e-8))
    between = float((evidence.score + 0.5 * score.within_dof * (log_noise + 1)).sum())
    return between + within - 0.5 * dof * float(np.log(value).sum()), fit


def find_measured(moments: Moments, design: Design, search: Search, least: float) -> Found | None:
    """The graph beside noise of measurement that has most evidence; None where none has more than `least`."""
    mean = moments.mean[:, :, 0]
    mean = mean - (references(design) @ mean)[design.group]  # (K, G) against the controls
    variance, most = np.diag(moments.within), most_noise(moments.within)
    if most < SMALLEST_EIGENVALUE:  # genes are sums of others
        return None
    shares, tried = [s for s in SHARES if s < most] + [most], list[BesideNoise]()
    for share in shares:
        tried.append(_judged(without_noise(moments, share * variance), search))
        if len(tried) > 1 and tried[-1].found.evidence < tried[-2].found.evidence:
            break
    at = max(range(len(tried)), key=lambda i: tried[i].found.evidence)
    near = [0.5 * (shares[at] + shares[i]) for i in (at - 1, at + 1) if 0 <= i < len(tried)]
    tried += [_judged(without_noise(moments, share * variance), search) for share in near]
    best = max(tried, key=lambda each: each.found.evidence)
    usual = best.found.moments
    for _ in range(MOST_ROUNDS):
        noise, cost = climb(usual, best.found.moments, design, best.weights, best.left, mean)
        each = _judged(without_noise(moments, noise), search, best.found, cost)
        if each.found.evidence <= best.found.evidence + WORTH:
            break
        best = each
    return best.found if best.fit >= START_CELLS and best.found.evidence > least + WORTH else None


def _judged(moments: Moments, search: Search, before: Found | None = None, price: float = 0.0) -> BesideNoise:
    """The graph for these moments.

    Of what it leaves of a gene, ``(x - x W)_j``, a share ``r_j`` is noise of the gene itself: that two genes are
    independent is known as if from ``n r_i r_j`` cells.
    """
    at = (START_CELLS, None) if before is None else (before.cells, before.order)
    score, parents, order, evidence = search(moments, *at)
    weights, noise = effects_of(parents, evidence), measured_noise(moments)
    total, fit = evidence_beside_noise(score, evidence, weights)
    share = float(np.median(evidence.noise / (evidence.noise + noise + noise @ weights**2))) ** 2
    cells = 1 / (1 / fit + (1 / share - 1) / score.dof)
    return BesideNoise(Found(moments, np.array(order), total - price, cells), weights, evidence, fit)
