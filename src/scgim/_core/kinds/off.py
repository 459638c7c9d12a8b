"""The expression at which a gene does nothing to its children: "off" (layer `_core`; not from the paper).

A change of activity scales what children read around that expression, which is not zero: the zero of a scale is
arbitrary. At first it is where the controls are; then it is found from how the means of children moved where their
slopes have told the activity, ``r_kj = psi_ki (f_ij(m_ki) - f_ij(off_i)) + error``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scgim._core.kinds.activity import children_of

if TYPE_CHECKING:
    from scgim._core.moments.moments import Moments
    from scgim._core.posterior.evidence import Evidence

REACH = np.linspace(-4.0, 4.0, 65)  # standard deviations of the gene from where the controls are
PRIOR_SD = 2.0  # in the same
FREEDOM = 4.0  # of the t distribution of what else moved a child
STRONGEST = 0.1  # change of activity below which a context says nothing


def learn_off(
    moments: Moments,
    group: np.ndarray,
    parents: dict[int, tuple[int, ...]],
    evidence: Evidence,
    psi: np.ndarray,
    controls: np.ndarray,
    off: np.ndarray,
) -> np.ndarray:
    """Where genes are off ``(G,)``, in standardised expression.

    Parameters
    ----------
    group
        ``(K,)``; baseline group of each context.
    parents, evidence
        The graph, and what it leaves of the means.
    psi
        ``(K, G)``; changes of activity, 0 for genes whose activity stays.
    controls
        ``(G,)``; means of the controls, where genes are taken to be off as long as nothing is known.
    off
        ``(G,)``; as found before.
    """
    B = moments.n_functions
    spread = np.sqrt(np.maximum(np.diag(moments.within)[::B], 0.0))  # (G,)
    flat, children, out = moments.mean.reshape(len(psi), -1), children_of(parents), off.copy()
    for i in np.flatnonzero((np.abs(psi) > STRONGEST).any(axis=0)).tolist():
        rows = np.flatnonzero(np.abs(psi[:, i]) > STRONGEST)  # (k,)
        at = controls[i] + REACH * spread[i]  # (R,)
        functions = _functions_at(moments, i, at)  # (R, B)
        loss = 0.5 * (REACH / PRIOR_SD) ** 2
        for j in children[i]:
            coef = dict(zip(parents[j], evidence.coef[j].reshape(-1, B), strict=True))
            left = flat[rows, j * B] - evidence.baseline[group[rows], j]  # (k,) what gene i makes, and error
            for q, c in coef.items():
                seen = flat[rows, q * B : (q + 1) * B] @ c
                left = left - seen
                if q != i:
                    left = left - psi[rows, q] * (seen - float(_functions_at(moments, q, out[q : q + 1])[0] @ c))
            told = flat[rows, i * B : (i + 1) * B] @ coef[i] - (functions @ coef[i])[:, None]  # (R, k)
            square = (left - psi[rows, i] * told) ** 2 / evidence.error[rows, j]
            loss = loss + 0.5 * (FREEDOM + 1) * np.log1p(square / FREEDOM).sum(axis=1)
        out[i] = at[int(np.argmin(loss))]
    return out


def _functions_at(moments: Moments, gene: int, value: np.ndarray) -> np.ndarray:
    """Basis functions of one gene at standardised values ``(R,)`` -> ``(R, B)``."""
    rows = np.zeros((len(value), moments.n_genes))
    rows[:, gene] = value
    return np.asarray(moments.mechanism.functions(rows)[:, gene])
