"""Starting points for the search of systems with cycles (layer `_core`; not from the paper).

Greedy changes of an acyclic graph seldom reach the graph of a cyclic system. The exact likelihood as a function of all
coefficients, with a penalty on their size and with differences between contexts that are allowed for at first and
then withdrawn, leads from anywhere to a dense system whose large coefficients are a better start.
"""

from __future__ import annotations

import numpy as np
import torch

from scgim._core.structure.score import ShiftScore

BACKGROUNDS = (1.0, 0.5, 0.2, 0.1, 0.03, 0.0)
"""Standard deviations of differences between contexts, withdrawn step by step."""
PENALTY = 0.01
"""Weight of the absolute coefficients, in nats a cell."""
SMALLEST = 0.08
"""Standardised coefficient that counts as an edge."""


class DenseLikelihood:
    """Minus the log marginal likelihood a cell of all coefficients, standardised, shifts integrated out.

    Parameters
    ----------
    score
        Holds the moments and the prior of the interventions; linear mechanisms.
    allowed
        ``(G, G)`` bool; coefficients that may differ from zero.
    """

    def __init__(self, score: ShiftScore, allowed: np.ndarray) -> None:
        G, prior = score.n_genes, score.prior
        self.score = score
        self.allowed = torch.as_tensor((allowed & ~np.eye(G, dtype=bool)).astype(float))
        self.within, self.mean = torch.as_tensor(score.within), torch.as_tensor(score.flat)
        self.n = torch.as_tensor(np.asarray(score.n, float))[:, None]
        self.group = torch.as_tensor(score.groups)
        self.drug_set = torch.as_tensor(np.repeat(np.arange(len(score.starts)), score.sizes))
        self.slab2 = torch.as_tensor(prior.effect_sd**2)
        self.log_off, self.log_on = (torch.as_tensor(np.log(p)) for p in (1 - prior.p_target, prior.p_target))

    def _by_drug_set(self, values: torch.Tensor) -> torch.Tensor:
        out = torch.zeros(len(self.score.starts), values.shape[1], dtype=values.dtype)
        return out.index_add(0, self.drug_set, values)

    def __call__(
        self, weight: torch.Tensor, log_v: torch.Tensor, baseline: torch.Tensor, background: float, penalty: float = 0.0
    ) -> torch.Tensor:
        """Coefficients ``(G, G)``, log noise variances ``(G,)``, baselines ``(C, G)``; constants are left out."""
        c, N, dof = self.score.n_control, float(self.n.sum()), self.score.dof
        weight = weight * self.allowed
        free = torch.eye(len(weight), dtype=weight.dtype) - weight
        spread = ((self.within @ free) * free).sum(0)  # (G,)
        residual = self.mean @ free - self.group @ baseline
        error = log_v.exp() / self.n  # (K, G)
        value = -N * torch.linalg.slogdet(free)[1] + 0.5 * dof * (log_v + spread / log_v.exp()).sum()
        value = value + 0.5 * (error[:c].log() + residual[:c] ** 2 / error[:c]).sum()
        square, narrow = residual[c:] ** 2, error[c:] + background**2
        wide = narrow + self.slab2
        off = self.log_off - 0.5 * self._by_drug_set(narrow.log() + square / narrow)
        on = self.log_on - 0.5 * self._by_drug_set(wide.log() + square / wide)
        value = value - torch.logaddexp(off, on).sum()
        return value / N + penalty * (weight**2 + 1e-4).sqrt().sum()


def dense_start(score: ShiftScore, allowed: np.ndarray, start: np.ndarray, n_steps: int = 60) -> np.ndarray:
    """Coefficients ``(G, G)`` of a system with every allowed edge, small ones set to zero.

    Parameters
    ----------
    score, allowed
        See `DenseLikelihood`.
    start
        ``(G, G)``; coefficients to start from.
    n_steps
        Steps of L-BFGS for each background.
    """
    objective = DenseLikelihood(score, allowed)
    weight = torch.tensor(np.where(allowed, start, 0.0), dtype=torch.float64, requires_grad=True)
    log_v = torch.tensor(np.log(np.maximum(score.self_variance, 1e-8)), requires_grad=True)
    baseline = torch.tensor(score.start_baseline @ score.flat, requires_grad=True)
    for background in BACKGROUNDS:
        steps = torch.optim.LBFGS(
            [weight, log_v, baseline], max_iter=n_steps, history_size=20, line_search_fn="strong_wolfe"
        )

        def closure(steps: torch.optim.LBFGS = steps, background: float = background) -> torch.Tensor:
            steps.zero_grad()
            value = objective(weight, log_v, baseline, background, PENALTY)
            value.backward()
            return value

        steps.step(closure)  # type: ignore[arg-type]
    found = (weight * objective.allowed).detach().numpy()
    found = np.where(np.isfinite(found), found, 0.0)
    return np.where(np.abs(found) > SMALLEST, found, 0.0)
