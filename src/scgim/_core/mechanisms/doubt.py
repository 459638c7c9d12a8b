"""How far a graph may be trusted, and so the change that an operation makes (layer `_core`; not from the paper).

``w_ij -> b_ij (1 + e_ij) w_ij``, ``b_ij ~ Bernoulli(p_ij)``, ``e_j ~ N(0, R_j)``,

with the relative sampling covariance of coefficients from n cells, ``R_j = noise_j^2 (n Cov_pa(j))^-1 / w w'``, where
the covariance of parents is that which the mechanisms imply, and the relative error of mechanisms that are only about
right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scgim._core.mechanisms.additive import Mechanisms
from scgim._core.mechanisms.neural import NeuralMechanisms
from scgim._core.mechanisms.total import covariance

LARGEST_RELATIVE = 1.0
"""Relative standard deviation of an edge, at the most: an edge this doubtful is judged by its probability."""
SMALLEST = 1e-12


@dataclass(frozen=True)
class Doubt:
    """Uncertainty of the edges of a fit."""

    probability: list[np.ndarray]  # of the edges from the parents of each gene, `(p,)` each
    relative: list[np.ndarray]  # relative covariance `(p, p)` of their effects, given that they are there

    @classmethod
    def of(
        cls, mechanisms: Mechanisms | NeuralMechanisms, probability: np.ndarray, n_cells: float, slope_sd: float = 0.0
    ) -> Doubt:
        """From a fit.

        Parameters
        ----------
        mechanisms
            Of the genes; those that are not linear stand for lines of the same strength here.
        probability
            ``(G, G)``; of edges, row causes column.
        n_cells
            Cells that coefficients rest on.
        slope_sd
            Relative error of what each parent passes on.
        """
        weights = mechanisms.weights()
        between = covariance(weights, mechanisms.noise_sd)
        relative = []
        for j, pa in enumerate(mechanisms.parents):
            block = between[np.ix_(pa, pa)]
            block = block + SMALLEST * (np.trace(block) + SMALLEST) * np.eye(len(pa))
            error = mechanisms.noise_sd[j] ** 2 / max(n_cells, 1.0) * np.linalg.inv(block)  # (p, p)
            weight = np.where(weights[pa, j] == 0, SMALLEST, weights[pa, j])
            found = error / np.outer(weight, weight)
            shrink = np.minimum(1.0, LARGEST_RELATIVE / np.sqrt(np.maximum(np.diag(found), SMALLEST)))
            relative.append(found * np.outer(shrink, shrink) + slope_sd**2 * np.eye(len(pa)))
        return cls([np.clip(probability[pa, j], 0.0, 1.0) for j, pa in enumerate(mechanisms.parents)], relative)

    def draw(
        self, mechanisms: Mechanisms | NeuralMechanisms, reference: np.ndarray, rng: np.random.Generator
    ) -> Mechanisms | NeuralMechanisms:
        """Mechanisms of another graph and other effects; genes whose parents are at `reference` ``(G,)`` stay."""
        multiplier = np.ones((mechanisms.n_genes,) * 2)
        for j, pa in enumerate(mechanisms.parents):
            if len(pa):
                there = rng.random(len(pa)) < self.probability[j]
                values, vectors = np.linalg.eigh(self.relative[j])
                error = vectors @ (np.sqrt(np.maximum(values, 0.0)) * rng.standard_normal(len(pa)))
                multiplier[pa, j] = there * (1 + error)
        return mechanisms.with_edges(multiplier, reference)

    def spread(
        self,
        mechanisms: Mechanisms | NeuralMechanisms,
        factor: np.ndarray,
        direct: np.ndarray,
        direct_variance: np.ndarray,
    ) -> np.ndarray:
        """Mean squared error ``(G,)`` of the change that an operation makes, for linear mechanisms without cycles.

        Along the order, ``c_j = direct_j + factor_j sum_i w_ij m_ij c_i``, whose first two moments follow from those of
        the parents, as the edges into a gene are independent of what comes before it. Exact.

        Parameters
        ----------
        mechanisms
            As they were fitted, not operated on.
        factor, direct
            ``(G,)``; what of the parents' change reaches each gene, and what is done to the gene itself.
        direct_variance
            ``(G,)``; of `direct`.
        """
        n_genes, weights = mechanisms.n_genes, mechanisms.weights()
        point, mean, second = np.zeros(n_genes), np.zeros(n_genes), np.zeros((n_genes, n_genes))
        for j in np.asarray(mechanisms.order):
            pa, own = mechanisms.parents[j], factor[j] * weights[mechanisms.parents[j], j]  # (p,)
            p, relative = self.probability[j], self.relative[j]
            expected = own * p
            pairs = np.outer(own, own) * (np.outer(p, p) + np.diag(p * (1 - p))) * (1 + relative)  # (p, p)
            incoming = expected @ mean[pa]
            point[j], mean[j] = direct[j] + own @ point[pa], direct[j] + incoming
            second[j] = second[:, j] = expected @ second[pa] + direct[j] * mean  # E[c_j c_k] of genes k before j
            square = direct[j] ** 2 + direct_variance[j] + 2 * direct[j] * incoming
            second[j, j] = square + (pairs * second[np.ix_(pa, pa)]).sum()
        return np.asarray(np.diag(second) - 2 * point * mean + point**2)
