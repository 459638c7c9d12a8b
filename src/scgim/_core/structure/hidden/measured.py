"""Noise of measurement: what is seen of a gene varies more than the gene (layer `_core`; not from the paper).

Of what is seen, ``x = y + m``, the genes y act on one another, and the noise m on nothing: slopes between noisy genes
are too small, while means are passed on whole. The covariance within contexts is ``A' D A + M`` with
``A = inv(I - effects)`` and diagonal D and M.
"""

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from scgim._core.design import Design
from scgim._core.mechanisms.total import covariance
from scgim._core.moments.moments import Moments
from scgim._core.posterior.evidence import Evidence

MOST = 0.9  # of the smallest eigenvalue of correlations within contexts, that noise which all genes share may have
SMALLEST, LARGEST = 1e-3, 0.95  # share of the variance of a gene
SPREAD = 1.0  # standard deviation of log variances of genes around the common one
N_STEPS = 100
STEP = 1e-3  # of log variances, for the curvature


def without_noise(moments: Moments, noise: np.ndarray) -> Moments:
    """The moments of genes that are measured with noise of these variances ``(G,)``."""
    within = moments.within - np.diag(noise)
    return replace(moments, within=within, spread=noise / np.maximum(moments.n, 1.0)[:, None], measured=noise)


def measured_noise(moments: Moments) -> np.ndarray:
    """Variances ``(G,)`` of the noise that was taken out."""
    if moments.measured is None:
        raise ValueError("moments: expected some without noise of measurement, found those of what is seen.")
    return moments.measured


def most_noise(within: np.ndarray) -> float:
    """Largest share of the variance of every gene that may be noise."""
    sd = np.sqrt(np.diag(within))
    return float(MOST * max(np.linalg.eigvalsh(within / np.outer(sd, sd))[0], 0.0))


def implied(weights: np.ndarray, own: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Covariance ``(G, G)`` of what is seen, from effects of genes on each other and variances ``(G,)`` of both noises."""
    return np.asarray(covariance(weights, np.sqrt(own)) + np.diag(noise))


class Climb:
    """Minus the log likelihood for each cell, with its gradient, of effects and log variances of both noises in one vector.

    Parameters
    ----------
    within
        ``(G, G)``; covariance of what is seen within contexts.
    n
        Cells that it is from.
    at
        Rows and columns of the effects.
    mean, weight
        ``(K, G)``; means of contexts against the controls, and precisions of what the effects leave of them.
    usual
        ``(G,)``; variance of the noise of measurement, around which those of the genes lie.
    """

    def __init__(
        self,
        within: np.ndarray,
        n: float,
        at: tuple[np.ndarray, ...],
        mean: np.ndarray,
        weight: np.ndarray,
        usual: np.ndarray,
    ) -> None:
        self.within, self.n, self.at, self.mean, self.weight = within, n, at, mean, weight
        self.log_usual, self.G, self.E = np.log(usual), len(within), len(at[0])

    def unpack(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Effects ``(G, G)`` and variances ``(G,)`` of noises that are passed on, and of those of measurement."""
        weights = np.zeros((self.G, self.G))
        weights[self.at] = x[: self.E]
        own, noise = np.exp(x[self.E :]).reshape(2, self.G)
        return weights, own, noise

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient."""
        weights, own, noise = self.unpack(x)
        left = np.eye(self.G) - weights
        total = np.linalg.inv(left)
        genes = total.T * own @ total
        inverse = np.linalg.inv(genes + np.diag(noise))
        ratio = inverse @ self.within
        slope = 0.5 * (inverse - ratio @ inverse)  # gradient in the covariance, for each cell
        rest = self.mean @ left
        weighted = self.weight * rest
        apart = (x[self.E + self.G :] - self.log_usual) / SPREAD
        value = 0.5 * (-np.linalg.slogdet(inverse)[1] + np.trace(ratio))
        value += 0.5 * float(np.vdot(weighted, rest) + apart @ apart) / self.n
        back = slope @ total.T
        of_effects = 2 * genes @ back - self.mean.T @ weighted / self.n
        of_noise = np.diag(slope) * noise + apart / SPREAD / self.n
        return value, np.concatenate([of_effects[self.at], np.diag(total @ back) * own, of_noise])

    def cost(self, x: np.ndarray) -> float:
        """Minus the log of prior over posterior of the variances of the genes at their mode, as if these were independent."""
        apart = (x[self.E + self.G :] - self.log_usual) / SPREAD
        curvature = np.empty(self.G)
        for j in range(self.G):
            step = np.zeros(len(x))
            step[self.E + self.G + j] = STEP
            curvature[j] = (self(x + step)[1] - self(x - step)[1])[self.E + self.G + j] / (2 * STEP)
        return 0.5 * float(apart @ apart + np.log(np.maximum(SPREAD**2 * self.n * curvature, 1.0)).sum())


def climb(
    usual: Moments, moments: Moments, design: Design, weights: np.ndarray, evidence: Evidence, mean: np.ndarray
) -> tuple[np.ndarray, float]:
    """Variances ``(G,)`` of the noise of measurement, where effects and noises move together, and what they cost.

    Parameters
    ----------
    usual, moments
        Without the noise that all genes share, and that was found so far.
    weights, evidence
        Effects ``(G, G)`` of genes on each other in a graph, and what it leaves.
    mean
        ``(K, G)``; means of contexts against the controls.
    """
    noise, common = measured_noise(moments), measured_noise(usual)
    within = moments.within + np.diag(noise)
    still = 1 - expit(design.by_context(evidence.log_odds, -np.inf))  # (K, G)
    weight = still * ~design.control[:, None] / evidence.error
    at, n = np.nonzero(weights), max(float(moments.n.sum()) - len(moments.n), 1.0)
    function = Climb(within, n, at, mean, weight, common)
    variance = np.diag(within)
    start = np.concatenate([weights[at], np.log(evidence.noise), np.log(noise)])
    lowest, highest = np.log(SMALLEST * variance), np.log(LARGEST * variance)
    low = np.concatenate([np.full(len(at[0]), -np.inf), lowest, lowest])
    high = np.concatenate([np.full(len(at[0]), np.inf), np.full(len(variance), np.inf), highest])
    options = {"maxiter": N_STEPS, "ftol": 1e-9}
    found = minimize(
        function,
        np.clip(start, low, high),
        method="L-BFGS-B",
        jac=True,
        bounds=list(zip(low, high, strict=True)),
        options=options,
    )
    return function.unpack(found.x)[2], function.cost(found.x)
