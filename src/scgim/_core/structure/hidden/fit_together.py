"""Effects of genes on each other and hidden factors, moved together (layer `_core`; not from the paper).

Taken in turn, a graph beside slightly wrong factors and factors beside false edges never move. Here every earlier gene
may act on every later one, and effects, loadings and noises climb the likelihood of covariance and means together.
Effects pay ``price * log(a^2 + width^2)`` each, with a width that falls: nearly a ridge at first, nearly a price for
each edge at last.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from scgim._core.design import Design
from scgim._core.structure.hidden.factor_analysis import SMALLEST_UNIQUE
from scgim._core.structure.hidden.factor_scores import SMALLEST_SCORE, Targets, factor_scores

PRICE = 12.0  # of an effect for each power of e by which it exceeds the width: of an edge, about
WIDTHS = (0.3, 0.2, 0.14, 0.1, 0.07, 0.05, 0.035, 0.025)  # standard deviations; the last is what counts as no effect
N_STEPS = 60  # of each climb, which ends before where a step gains less than so much of the value, which is of one cell
LEAST_GAIN = 1e-6
N_CORRECTIONS = 20  # of L-BFGS


@dataclass(frozen=True)
class Means:
    """Means ``(K, G)`` of contexts against the controls, their weights, and variances ``(r,)`` of factor scores."""

    mean: np.ndarray
    weight: np.ndarray
    spread: np.ndarray

    def scores(self, residual: np.ndarray, loading: np.ndarray) -> np.ndarray:
        """Posterior means ``(K, r)`` of the factors."""
        r, right = len(loading), (self.weight * residual) @ loading.T
        products = (loading[:, None] * loading).reshape(r * r, -1)  # (r r, G)
        precision = (self.weight @ products.T).reshape(-1, r, r) + np.diag(1 / self.spread)
        if r == 1:
            return np.asarray(right / precision[:, 0])
        return np.asarray(np.linalg.solve(precision, right[:, :, None])[:, :, 0])


class Climb:
    """Minus the log likelihood for each cell, with its gradient, of effects, loadings and log variances in one vector.

    Parameters
    ----------
    within
        ``(G, G)``; covariance within contexts.
    n
        Cells that it is from.
    allowed
        ``(G, G)`` bool; effects that are possible, without cycles.
    """

    def __init__(self, within: np.ndarray, n: float, allowed: np.ndarray, n_factors: int) -> None:
        self.within, self.n, self.at, self.r = within, n, np.flatnonzero(allowed), n_factors
        self.E, self.G = len(self.at), len(within)

    def pack(self, weights: np.ndarray, loading: np.ndarray, unique: np.ndarray) -> np.ndarray:
        """One vector of all."""
        return np.concatenate([weights.ravel()[self.at], loading.ravel(), np.log(unique)])

    def unpack(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Effects ``(G, G)``, loadings ``(r, G)`` and variances ``(G,)``."""
        weights = np.zeros((self.G, self.G))
        weights.ravel()[self.at] = x[: self.E]
        loading = x[self.E : self.E + self.r * self.G].reshape(self.r, self.G)
        return weights, loading, np.exp(x[self.E + self.r * self.G :])

    def __call__(self, x: np.ndarray, means: Means, ridge: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient; `ridge` are prices ``(E,)`` of squared effects."""
        weights, loading, unique = self.unpack(x)
        left, effects, diagonal = np.eye(self.G) - weights, x[: self.E], slice(None, None, self.G + 1)
        scaled = loading / unique  # (r, G)
        core = np.eye(self.r) + scaled @ loading.T
        inverse = -(scaled.T @ np.linalg.solve(core, scaled))  # of the covariance of noises
        inverse.ravel()[diagonal] += 1 / unique
        passed = self.within @ left
        ratio = inverse @ (left.T @ passed)
        of_noise = 0.5 * self.n * (inverse - ratio @ inverse)  # gradient in the covariance of noises
        residual = means.mean @ left
        score = means.scores(residual, loading)
        rest = residual - score @ loading
        weighted, priced = means.weight * rest, ridge * effects
        value = 0.5 * self.n * (np.log(np.linalg.det(core)) + np.log(unique).sum() + ratio.ravel()[diagonal].sum())
        value += 0.5 * float(np.vdot(weighted, rest) + (score**2 / means.spread).sum() + priced @ effects)
        of_effects = priced - (self.n * (passed @ inverse) + means.mean.T @ weighted).ravel()[self.at]
        of_loading = 2 * loading @ of_noise - score.T @ weighted
        gradient = np.concatenate([of_effects, of_loading.ravel(), of_noise.ravel()[diagonal] * unique])
        return float(value / self.n), gradient / self.n


def fit_together(
    within: np.ndarray,
    mean: np.ndarray,
    design: Design,
    allowed: np.ndarray,
    start: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> np.ndarray:
    """Effects of genes on each other ``(G, G)`` beside factors; most are zero.

    Parameters
    ----------
    within
        ``(G, G)``; covariance within contexts.
    mean
        ``(K, G)``; means of contexts against the controls.
    allowed
        ``(G, G)`` bool; effects that are possible, without cycles.
    start
        Effects ``(G, G)``, loadings ``(r, G)`` and variances of the noises ``(G,)``.
    """
    n = np.maximum(design.n_cells, 1.0)[:, None]
    acts = ~design.control
    climb = Climb(within, max(float(n.sum()) - len(n), 1.0), allowed, len(start[1]))
    x = climb.pack(*start)
    floor = np.full(len(x), -np.inf)
    floor[-climb.G :] = np.log(SMALLEST_UNIQUE * np.diag(within))
    means: Means | None = None
    for width in WIDTHS:
        weights, loading, unique = climb.unpack(x)
        residual, targets = mean @ (np.eye(climb.G) - weights), Targets(unique / n, design)
        if means is None:
            score = factor_scores(residual, unique / n, loading, design).score
        else:
            score = means.scores(residual, loading)
        targets.weigh((residual - score @ loading) ** 2)
        spread = np.maximum((score[acts] ** 2).mean(axis=0), SMALLEST_SCORE)
        means = Means(mean, targets.weight * acts[:, None], spread)
        ridge = 2 * PRICE / (x[: climb.E] ** 2 + width**2)
        options = {"maxiter": N_STEPS, "maxcor": N_CORRECTIONS, "ftol": LEAST_GAIN}
        bounds = np.column_stack([floor, np.full(len(x), np.inf)])
        x = minimize(climb, x, (means, ridge), "L-BFGS-B", jac=True, bounds=bounds, options=options).x
    weights = climb.unpack(x)[0]
    return np.where(np.abs(weights) > WIDTHS[-1], weights, 0.0)
