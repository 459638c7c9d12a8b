"""Where genes are off under neural mechanisms (layer `model`; not from the paper): see `scgim._core.kinds.off`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from scgim._core.arrays import sum_by
from scgim._core.kinds.off import FREEDOM, PRIOR_SD, STRONGEST
from scgim.model._module.mechanisms.base import as_array
from scgim.model._module.mechanisms.neural import NeuralGenes

if TYPE_CHECKING:
    from scgim._core.posterior.evidence import Evidence

MOST_CELLS = 4_000  # from which it is read
STEPS = np.linspace(-1.0, 1.0, 9)  # standard deviations around where it was found before


@torch.no_grad()
def off_of_networks(
    networks: NeuralGenes,
    z: torch.Tensor,
    context: torch.Tensor,
    psi: np.ndarray,
    evidence: Evidence,
    group: np.ndarray,
    controls: np.ndarray,
    off: np.ndarray,
) -> np.ndarray:
    """Where genes are off ``(G,)``, in standardised expression, near where they were found to be.

    Parameters
    ----------
    networks
        Of all genes.
    z, context
        Standardised cells ``(n, G)`` and their contexts ``(n,)``.
    psi
        ``(K, G)``; changes of activity.
    evidence
        Baselines and errors that go with the networks.
    group
        ``(K,)``; baseline group of each context.
    controls
        ``(G,)``; means of the controls.
    off
        ``(G,)``; as found before.
    """
    out, parents = off.copy(), networks.parents()
    for i in np.flatnonzero((np.abs(psi) > STRONGEST).any(axis=0)):
        children = [j for j, pa in enumerate(parents) if i in pa]
        acts = torch.as_tensor(np.abs(psi[:, i]) > STRONGEST)[context]
        at = acts.nonzero()[:, 0][:: max(int(acts.sum()) // MOST_CELLS, 1)]
        if not children or not len(at):
            continue
        x, k = z[at], context[at].numpy()
        change = torch.as_tensor(psi[k]).to(x)
        rows, which = np.unique(k, return_inverse=True)
        count = np.bincount(which)[:, None]
        seen = x + change * (x - torch.as_tensor(out).to(x))
        values = out[i] + STEPS
        loss = 0.5 * ((values - controls[i]) / PRIOR_SD) ** 2
        for s, value in enumerate(values):
            seen[:, i] = x[:, i] + change[:, i] * (x[:, i] - float(value))
            left = as_array((x - networks(seen))[:, children])  # (n, c)
            mean = sum_by(left, which, len(rows)) / count - evidence.baseline[group[rows]][:, children]
            square = mean**2 / evidence.error[rows][:, children]
            loss[s] += 0.5 * (FREEDOM + 1) * np.log1p(square / FREEDOM).sum()
        out[i] = values[int(np.argmin(loss))]
    return out
