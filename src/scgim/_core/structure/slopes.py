"""How far mechanisms pass changes on as they pass noise on (layer `_core`; not from the paper).

The slope of a curve is another one where a drug has moved the parent. What a parent passes on of a change is right up
to a relative error ``N(0, slope_sd^2)``, anew in each context, which adds ``slope_sd^2 sum_i coef_i^2 change_i^2`` to
the variance of residual means; else false edges come to explain it. One number, learned by evidence; none where
contexts have few cells, where differences between wells look alike.
"""

import numpy as np

from scgim._core.posterior.evidence import Evidence
from scgim._core.structure.score import ShiftScore

SLOPE_SDS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.8)  # that are tried
FEWEST_CELLS = 100  # of the usual context of a drug
WORTH = 10.0  # nats that an error of slopes has to gain


def learn_slopes(
    score: ShiftScore, evidence: Evidence, parents: dict[int, tuple[int, ...]], background_sd: np.ndarray
) -> float:
    """Relative error of slopes beside a background ``(G,)``, from what a graph leaves under the prior of the score."""
    G, c = score.n_genes, score.n_control
    if score.n_functions > 1 or len(score.n) == c or np.median(score.n[c:]) < FEWEST_CELLS:
        return 0.0
    change2 = score.changes()[c:] ** 2  # (K', G)
    weight = np.zeros((G, G))
    for j, coef in enumerate(evidence.coef):
        weight[list(parents[j]), j] = coef**2
    passed = change2 @ weight  # (K', G)
    square = (evidence.residual[score.sorted][c:] ** 2).T  # (G, K')
    known = score.slope_sd**2 * passed + score.prior.background_sd**2 - background_sd**2
    base = np.maximum(evidence.error[score.sorted][c:] - known, 1e-12)
    values = []
    for slope_sd in SLOPE_SDS:
        off, on = score.branches(square, (base + slope_sd**2 * passed).T, np.arange(G))  # (G, U)
        values.append(float(np.logaddexp(off, on).sum()))
    best = int(np.argmax(values))
    return SLOPE_SDS[best] if values[best] > values[0] + WORTH else 0.0
