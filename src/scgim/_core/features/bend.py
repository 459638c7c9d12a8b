r"""Bent features: monotone functions that make columns linear in interventions (layer `_core`; not from the paper).

.. math:: y_q = T_q(x_q), \qquad T_q' = \exp(\theta_q) > 0,

with a log slope :math:`\theta_q` that is linear between knots. Given the effects of the training drugs, :math:`y_q` is
Gaussian with covariance :math:`K + \nu I`, and the column has its log likelihood plus :math:`\sum_i \theta_q(x_{iq})`.
Evidence chooses the variance of the steps of :math:`\theta` between knots (Laplace); zero leaves features as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from scgim._core.state import savable

STEPS = (0.03, 0.1, 0.3, 1.0)  # variances of the steps of the log slope
N_KNOTS = 8
WIDTH = 1e-4  # of differences of gradients
MOST_COLUMNS = 60  # with more, principal components are read
FEWEST_FREE = 10  # degrees of freedom that effects leave: where they explain any column, they tell nothing of a bend
WORTH = 3.0  # nats that a bend has to gain
DISTINCT = 0.8  # share of values of a column that differ; ties, as in bits, tell nothing of a slope
NOISE = np.log(1e-5), np.log(1e3)  # range of the log ratio of noise to effects
Loss = Callable[[np.ndarray], tuple[float, np.ndarray]]


@savable
@dataclass(frozen=True)
class Bend:
    """Monotone functions of Q columns."""

    knots: np.ndarray  # (K, Q) increasing positions
    # (K, Q) value and log slope at the knots
    height: np.ndarray
    log_slope: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(n, Q) -> (n, Q)."""
        out = np.empty(x.shape)
        for q, (knots, height, theta) in enumerate(zip(self.knots.T, self.height.T, self.log_slope.T, strict=True)):
            cell, at = locate(x[:, q], knots)
            width, u = np.diff(knots)[cell], np.diff(theta)[cell]
            beyond = x[:, q] - np.clip(x[:, q], knots[0], knots[-1])
            out[:, q] = height[cell] + width * at * np.exp(theta[cell]) * moments(u * at)[0]
            out[:, q] += beyond * np.exp(np.where(beyond < 0, theta[0], theta[-1]))
        return out


def locate(x: np.ndarray, knots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Interval of each value, and where in it the value is, 0 to 1 (values outside are at the end)."""
    cell = np.clip(np.searchsorted(knots, x) - 1, 0, len(knots) - 2)
    return cell, np.clip((x - knots[cell]) / np.diff(knots)[cell], 0, 1)


def moments(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Integrals of exp(u s) and of s exp(u s) over s from 0 to 1."""
    small = np.abs(u) < 1e-3
    v = np.where(small, 1.0, u)
    zeroth = np.where(small, 1 + u / 2 + u**2 / 6, np.expm1(v) / v)
    return zeroth, np.where(small, 0.5 + u / 3 + u**2 / 8, (np.exp(v) - np.expm1(v) / v) / v)


class Column:
    """Likelihood of one column, whose parameters are the K - 1 steps of the log slope and the log noise.

    Parameters
    ----------
    x
        (n,) standardised.
    basis, square
        (n, R) orthonormal directions that effects explain, and (R,) their prior variances, of mean 1 over the n rows.
    """

    def __init__(self, x: np.ndarray, basis: np.ndarray, square: np.ndarray) -> None:
        self.basis, self.square, self.freedom = basis, square, len(x) - 1
        self.knots = 0.5 * (np.linspace(x.min(), x.max(), N_KNOTS) + np.quantile(x, np.linspace(0, 1, N_KNOTS)))
        self.cell, self.at = locate(x, self.knots)
        hat = np.zeros((len(x), N_KNOTS))
        rows = np.arange(len(x))
        hat[rows, self.cell], hat[rows, self.cell + 1] = 1 - self.at, self.at
        self.centre = np.tri(N_KNOTS, N_KNOTS - 1, -1)  # log slopes are centre @ steps, of mean zero over the drugs
        self.centre -= hat.mean(0) @ self.centre

    def heights(self, theta: np.ndarray) -> np.ndarray:
        """(K,) values at the knots, given log slopes there."""
        return np.r_[0.0, np.cumsum(np.diff(self.knots) * np.exp(theta[:-1]) * moments(np.diff(theta))[0])]

    def values(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) bent column, and its derivatives by the log slopes (n, K)."""
        width, rows, k = np.diff(self.knots), np.arange(len(self.at)), np.arange(N_KNOTS - 1)
        whole = (width * np.exp(theta[:-1]))[:, None] * np.column_stack(moments(np.diff(theta)))
        by_knot = np.zeros((N_KNOTS - 1, N_KNOTS))
        by_knot[k, k], by_knot[k, k + 1] = whole[:, 0] - whole[:, 1], whole[:, 1]
        total = np.r_[np.zeros((1, N_KNOTS)), np.cumsum(by_knot, axis=0)]
        zeroth, first = moments(np.diff(theta)[self.cell] * self.at)
        size = width[self.cell] * self.at * np.exp(theta[self.cell])
        slope = total[self.cell]
        slope[rows, self.cell] += size * (zeroth - self.at * first)
        slope[rows, self.cell + 1] += size * self.at * first
        return slope.sum(1), slope  # an integral of exp(theta), whose derivatives by all log slopes sum to it

    def loss(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """Negative log likelihood but for a constant, its scale profiled, and the gradient."""
        noise = np.exp(parameters[-1])
        y, slope = self.values(self.centre @ parameters[:-1])
        y = y - y.mean()
        inside, spread = self.basis.T @ y, self.square + noise
        solved = (y - self.basis @ inside) / noise + self.basis @ (inside / spread)
        misfit, rest = float(y @ solved), self.freedom - len(spread)
        loss = 0.5 * (self.freedom * np.log(misfit) + np.log(spread).sum() + rest * parameters[-1])
        by_steps = self.freedom / misfit * (solved @ slope) @ self.centre
        by_noise = 0.5 * ((noise / spread).sum() + rest - self.freedom * noise * (solved @ solved) / misfit)
        return float(loss), np.r_[by_steps, by_noise]

    def straight(self) -> np.ndarray:
        """Parameters without a bend, at the best noise."""
        grid = [np.r_[np.zeros(N_KNOTS - 1), v] for v in np.linspace(*NOISE, 40)]
        return grid[int(np.argmin([self.loss(p)[0] for p in grid]))]


def _curvature(loss: Loss, at: np.ndarray) -> np.ndarray:
    """Second derivatives in the steps, (K - 1, K - 1), by differences of the gradient."""
    change = WIDTH * np.eye(len(at))[:-1]
    out = np.array([loss(at + c)[1][:-1] - loss(at - c)[1][:-1] for c in change]) / (2 * WIDTH)
    return 0.5 * (out + out.T)


def _promise(column: Column, start: np.ndarray, variance: float) -> float:
    """Gain of evidence by a bend, from the gradient and the curvature without one."""
    values, vectors = np.linalg.eigh(_curvature(column.loss, start))
    values = np.maximum(values, 0) + 1 / variance
    slope = vectors.T @ column.loss(start)[1][:-1]
    return 0.5 * float((slope**2 / values).sum() - np.log(variance * values).sum())


def _fit(column: Column, start: np.ndarray, variance: float) -> tuple[np.ndarray, float]:
    """Best parameters, and evidence with the steps integrated out."""

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = column.loss(parameters)
        steps = np.r_[parameters[:-1], 0.0]
        return value + 0.5 * float(steps @ steps) / variance, slope + steps / variance

    limits = [(-4.0, 4.0)] * (N_KNOTS - 1) + [NOISE]
    best = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=limits, options={"maxiter": 100})
    sign, log_det = np.linalg.slogdet(variance * _curvature(loss, best.x))
    return best.x, -float(best.fun) - 0.5 * float(log_det) if sign > 0 else -np.inf


def learn_bend(x: np.ndarray, effects: np.ndarray) -> Bend | None:
    """Functions of a block of columns, (D, Q), that make them linear in effects, (D, P); None where evidence asks for none."""
    n = len(x)
    if not 0 < x.shape[1] <= MOST_COLUMNS:
        return None
    bends = np.array([len(np.unique(column)) >= DISTINCT * n for column in x.T])
    u, s, _ = np.linalg.svd(effects - effects.mean(0), full_matrices=False)
    keep = s > 1e-6 * max(s[0], 1e-300)
    if not bends.any() or not keep.any() or n - 1 - keep.sum() < FEWEST_FREE:
        return None
    loc, scale = x[:, bends].mean(0), x[:, bends].std(0)
    columns = [Column(c, u[:, keep], n * s[keep] ** 2 / (s**2).sum()) for c in ((x[:, bends] - loc) / scale).T]
    found = [column.straight() for column in columns]
    plain = -sum(column.loss(p)[0] for column, p in zip(columns, found, strict=True))
    if max(sum(_promise(c, p, v) for c, p in zip(columns, found, strict=True)) for v in STEPS) < WORTH:
        return None
    best, chosen = plain + WORTH, None
    for variance in STEPS:
        fits = [_fit(column, p, variance) for column, p in zip(columns, found, strict=True)]
        found, total = [p for p, _ in fits], sum(evidence for _, evidence in fits)
        if total > best:
            best, chosen = total, found
    if chosen is None:
        return None
    knots = np.tile(np.linspace(-1.0, 1.0, N_KNOTS)[:, None], x.shape[1])
    height, theta = knots.copy(), np.zeros_like(knots)
    slopes = [c.centre @ p[:-1] for c, p in zip(columns, chosen, strict=True)]
    theta[:, bends] = np.column_stack(slopes)
    knots[:, bends] = np.column_stack([c.knots for c in columns]) * scale + loc
    height[:, bends] = np.column_stack([c.heights(t) for c, t in zip(columns, slopes, strict=True)]) * scale + loc
    return Bend(knots, height, theta)
