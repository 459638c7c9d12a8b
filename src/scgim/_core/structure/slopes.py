"""How far mechanisms pass changes on as they pass noise on (layer `_core`; not from the paper).

Mechanisms are only about right: the slope of a curve is another one where a drug has moved the parent. What a parent passes on of a
change is right up to a relative error, ``N(0, slope_sd^2)``, drawn for each context anew, which adds
``slope_sd^2 sum_i coef_i^2 change_i^2`` to the variance of residual means. Without it, many cells make every such difference certain,
and false edges come to explain it. One number for all genes, learned by evidence; none where mechanisms are right.
"""

from __future__ import annotations

import numpy as np

from scgim._core.posterior.evidence import Evidence
from scgim._core.structure.score import ShiftScore

SLOPE_SDS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.8)  # that are tried
WORTH = 10.0  # nats that an error of slopes has to gain


def learn_slopes(score: ShiftScore, evidence: Evidence, parents: dict[int, tuple[int, ...]]) -> float:
    """Relative error of slopes under the prior of the score, from what a graph leaves."""
    if score.n_functions > 1:
        return 0.0
    G, c = score.n_genes, score.n_control
    change2 = score.changes()[c:] ** 2  # (K', G)
    weight = np.zeros((G, G))
    for j, coef in enumerate(evidence.coef):
        weight[list(parents[j]), j] = coef**2
    passed = change2 @ weight  # (K', G)
    square = (evidence.residual[score.sorted][c:] ** 2).T  # (G, K')
    base = np.maximum(evidence.error[score.sorted][c:] - score.slope_sd**2 * passed, 1e-12)
    values = []
    for slope_sd in SLOPE_SDS:
        off, on = score.branches(square, (base + slope_sd**2 * passed).T, np.arange(G))  # (G, U)
        values.append(float(np.logaddexp(off, on).sum()))
    best = int(np.argmax(values))
    return SLOPE_SDS[best] if values[best] > values[0] + WORTH else 0.0
