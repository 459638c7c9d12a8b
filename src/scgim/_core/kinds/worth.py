"""Which changes of activity the score of the graph pays for (layer `_core`; not from the paper).

Beside a large background of single effects (:mod:`scgim._core.kinds.joint`), as of mechanisms that are not linear, a
change of activity can be more probable than none although the graph explains the cells worse with it. So each has to
raise the score of the graph, shifts integrated out, by more than it costs.
"""

from typing import NamedTuple

import numpy as np

from scgim._core.kinds.activity import ActiveScore, check_moments, children_of, functions_off
from scgim._core.structure.compiled.kernels import shift_scores


class ActivityChange(NamedTuple):
    """A change of the activity of one gene by one drug."""

    gene: int  # whose activity changes
    rows: np.ndarray  # (L,) contexts of the drug
    psi: np.ndarray  # (L,) change there
    # what it costs, in nats: minus the prior log odds, and minus the logarithm of the Occam factor, `log(sd / prior_sd)
    # - mean**2 / 2 prior_sd**2`
    price: float


class Scaling:
    """The score of a graph while changes of activity are made, each in place.

    With scales ``s = 1 + psi`` of parents, ``within = sum_k diag(s_k) S_k diag(s_k) / dof`` and
    ``cross = sum_k diag(s_k) S_k / dof``, of which a change of one gene touches a row and a column; and the scores of
    its children alone.

    Parameters
    ----------
    score
        Without any change of activity.
    off
        ``(G,)``; standardised expression at which genes are off.
    """

    def __init__(self, score: ActiveScore, off: np.ndarray, parents: dict[int, tuple[int, ...]]) -> None:
        m, self.n_functions = score.moments, score.n_functions
        self.score, self.scatter = score, check_moments(m)
        score.within, score.cross = score.within.copy(), score.cross.copy()
        self.means = score._compiled()[0][0]  # (F, K), controls first
        self.place = np.argsort(score.sorted)  # of each context among these
        self.flat = m.mean.reshape(len(m.n), -1)  # (K, F)
        self.zero = functions_off(m, off)  # (F,)
        self.scale = np.ones_like(self.flat)
        self.children = children_of(parents)
        sets = {j: np.array([parents[j]], dtype=np.int64) for j in range(m.n_genes) if parents[j]}
        self.asked = {j: score.asked(j, of) for j, of in sets.items()}
        self.value = {j: self.of(j) for j in sets}

    def of(self, j: int) -> float:
        """Score of gene j."""
        shift_scores(*self.asked[j])
        return float(self.asked[j][-2][0])

    def scaled(self, gene: int, rows: np.ndarray, scale: np.ndarray) -> None:
        """Exchanges what the functions of a gene are multiplied by in some contexts, ``(L,)``."""
        B, score = self.n_functions, self.score
        cols = slice(gene * B, (gene + 1) * B)
        before, S = self.scale[rows, gene * B], self.scatter[rows, cols]  # (L,), (L, B, F)
        change = (scale - before)[:, None, None] * S / score.dof
        crossed = (change * self.scale[rows, None]).sum(axis=0)  # (B, F)
        crossed[:, cols] = ((scale**2 - before**2)[:, None, None] * S[:, :, cols]).sum(axis=0) / score.dof
        score.within[cols] += crossed
        score.within[:, cols] = score.within[cols].T
        score.cross[cols] += change[:, :, ::B].sum(axis=0)
        self.scale[rows, cols] = scale[:, None]
        self.means[cols, self.place[rows]] = (
            self.zero[cols] + scale[:, None] * (self.flat[rows, cols] - self.zero[cols])
        ).T

    def gain(self, change: ActivityChange, *, keep: bool) -> float:
        """What a change of activity gains beside those that were made; it is made where `keep`, and where it gains."""
        gene, rows = change.gene, change.rows
        before = self.scale[rows, gene * self.n_functions].copy()
        self.scaled(gene, rows, before + change.psi)
        value = {j: self.of(j) for j in self.children[gene]}
        gain = sum(value[j] - self.value[j] for j in value) - change.price
        if keep and gain > 0:
            self.value |= value
        else:
            self.scaled(gene, rows, before)
        return gain


def worth(
    score: ActiveScore, off: np.ndarray, parents: dict[int, tuple[int, ...]], changes: list[ActivityChange]
) -> np.ndarray:
    """Which of the changes are worth their price ``(C,)``: taken one after the other, those that gain most alone first."""
    scaling = Scaling(score, off, parents)
    alone = np.array([scaling.gain(change, keep=False) for change in changes])
    taken = np.zeros(len(changes), dtype=bool)
    for c in np.argsort(-alone, kind="stable").tolist():
        taken[c] = scaling.gain(changes[c], keep=True) > 0
    return taken
