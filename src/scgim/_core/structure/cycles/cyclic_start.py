"""Starting points for the search of systems with cycles (layer `_core`; not from the paper).

Greedy changes of an acyclic graph seldom reach a cyclic one. The exact likelihood of all coefficients, with a penalty
on their size and differences between contexts that are withdrawn step by step, leads from anywhere to a dense system
whose large coefficients do.
"""

import numpy as np
import torch
from scipy.special import expit

from scgim._core.structure.score import ShiftScore

BACKGROUNDS = (1.0, 0.5, 0.2, 0.1, 0.03, 0.0)
"""Standard deviations of differences between contexts, withdrawn step by step."""
N_STEPS = 60
"""Of L-BFGS for each background."""
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

    def gradient(
        self, weight: np.ndarray, log_v: np.ndarray, baseline: np.ndarray, background: float, penalty: float = 0.0
    ) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
        """The value, and its derivatives in all that it depends on, of the shapes of these."""
        score, allowed, n = self.score, self.allowed.numpy(), self.n.numpy()
        c, N, dof, v = score.n_control, float(n.sum()), score.dof, np.exp(log_v)
        weight = weight * allowed
        free = np.eye(len(weight)) - weight
        against = score.within @ free  # (G, G)
        spread = (against * free).sum(axis=0)  # (G,)
        residual = score.flat @ free - score.groups @ baseline  # (K, G)
        narrow = v / n
        narrow[c:] += background**2
        inverse, square = 1 / narrow, residual**2
        wide_inverse = 1 / (narrow[c:] + score.prior.effect_sd**2)
        off_parts, on_parts = (
            square[c:] * inverse[c:] - np.log(inverse[c:]),
            square[c:] * wide_inverse - np.log(wide_inverse),
        )
        off = self.log_off.numpy() - 0.5 * np.add.reduceat(off_parts, score.starts)  # (U, G)
        on = self.log_on.numpy() - 0.5 * np.add.reduceat(on_parts, score.starts)
        value = -N * np.linalg.slogdet(free)[1] + 0.5 * dof * (log_v + spread / v).sum()
        value += 0.5 * (square[:c] * inverse[:c] - np.log(inverse[:c])).sum() - np.logaddexp(off, on).sum()
        rho = np.repeat(expit(on - off), score.sizes, axis=0)  # (K', G)
        by_error = inverse * (1 - square * inverse)  # twice the derivative in the error, (K, G)
        wide_error = wide_inverse * (1 - square[c:] * wide_inverse)
        by_error[c:] += rho * (wide_error - by_error[c:])
        inverse[c:] += rho * (wide_inverse - inverse[c:])
        by_residual = residual * inverse  # (K, G)
        of_free = dof * against / v - N * np.linalg.inv(free).T + score.flat.T @ by_residual
        size = np.sqrt(weight**2 + 1e-4)
        return (
            float(value) / N + penalty * float(size.sum()),
            allowed * (penalty * weight / size - of_free / N),
            0.5 * (dof * (1 - spread / v) + v * (by_error / n).sum(axis=0)) / N,
            -score.groups.T @ by_residual / N,
        )


def dense_start(score: ShiftScore, allowed: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Coefficients ``(G, G)`` of a system with every allowed edge, small ones set to zero.

    Parameters
    ----------
    score, allowed
        See `DenseLikelihood`.
    start
        ``(G, G)``; coefficients to start from.
    """
    objective = DenseLikelihood(score, allowed)
    weight = torch.tensor(np.where(allowed, start, 0.0), dtype=torch.float64, requires_grad=True)
    log_v = torch.tensor(np.log(np.maximum(score.self_variance, 1e-8)), requires_grad=True)
    baseline = torch.tensor(score.start_baseline @ score.flat, requires_grad=True)
    for background in BACKGROUNDS:
        steps = torch.optim.LBFGS(
            [weight, log_v, baseline], max_iter=N_STEPS, history_size=20, line_search_fn="strong_wolfe"
        )

        def closure(background: float = background) -> torch.Tensor:
            now = [part.detach().numpy() for part in (weight, log_v, baseline)]
            value, *gradients = objective.gradient(now[0], now[1], now[2], background, PENALTY)
            for part, gradient in zip((weight, log_v, baseline), gradients, strict=True):
                part.grad = torch.from_numpy(gradient)
            return torch.tensor(value)

        steps.step(closure)  # type: ignore[arg-type]
    found = (weight * objective.allowed).detach().numpy()
    found = np.where(np.isfinite(found), found, 0.0)
    return np.where(np.abs(found) > SMALLEST, found, 0.0)
