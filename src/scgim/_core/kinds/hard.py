"""Exact score under hard interventions (layer `_core`).

A hard intervention replaces the mechanism of its target :cite:p:`schneider2025`. In closed form (not from the paper):
the contexts of a drug that hits gene j drop out of the regression of gene j, where its values are independent of its
parents around a mean of their own.
"""

from typing import Literal, NamedTuple

import numpy as np
from scipy.special import expit

from scgim._core.arrays import override
from scgim._core.design import Design
from scgim._core.effects import Effects, Together
from scgim._core.kinds.base import At, Learned, Moved
from scgim._core.kinds.compiled.hard import hard_scores
from scgim._core.moments.moments import Moments
from scgim._core.posterior.drift import Drift
from scgim._core.posterior.effects.curves import fit_dose_curves
from scgim._core.posterior.effects.targets import fit_targets
from scgim._core.posterior.evidence import Evidence
from scgim._core.posterior.odds import Support, odds_of_contexts
from scgim._core.posterior.shifts import ShiftsAt
from scgim._core.structure.prior import Prior
from scgim._core.structure.score import RIDGE, SMALLEST, ShiftScore, Solved

PSEUDO_CELLS = 20.0  # prior weight of the mechanism's noise for the noise of a hit gene


def quadratic(gram: np.ndarray, right: np.ndarray, coef: np.ndarray) -> np.ndarray:
    """Change of a sum of squares by a regression, ``c'Gc - 2 c'r``; products over no parents are exactly zero.

    Parameters
    ----------
    gram, right, coef
        ``(..., F, F)``, ``(..., F)`` and ``(..., F)``.
    """
    return (coef * ((gram @ coef[..., None])[..., 0] - 2 * right)).sum(axis=-1)


def weighted_sum(weight: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Sum over drug sets: weights ``(M, U)`` and parts ``(M, U, ...)`` -> ``(M, ...)``."""
    flat = weight[:, None] @ parts.reshape(*parts.shape[:2], int(np.prod(parts.shape[2:])))
    return flat.reshape(len(parts), *parts.shape[2:])


class Products(NamedTuple):
    """A gene and M sets of parents: means of contexts, and products around these, over all cells and in each drug set."""

    y: np.ndarray  # (K,) of the gene
    x: np.ndarray  # (M, K, F + C) of parents, then baseline groups
    gram: np.ndarray  # (M, F, F) of parents
    right: np.ndarray  # (M, F) of parents with the gene
    spread: float  # of the gene
    gram_sets: np.ndarray  # (M, U, F, F)
    right_sets: np.ndarray  # (M, U, F)
    spread_sets: np.ndarray  # (U,)

    def without(self, share: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Products over the cells that are left where a share ``(M, U)`` of each drug set is taken out."""
        gram, right = weighted_sum(share, self.gram_sets), weighted_sum(share, self.right_sets)
        return self.gram - gram, self.right - right, self.spread - share @ self.spread_sets


class HardScore(ShiftScore):
    """Score of parent sets under hard interventions; needs moments with the scatter of each drug set."""

    n_steps = 3

    def __init__(self, moments: Moments, drug_set: np.ndarray, group: np.ndarray, prior: Prior) -> None:
        super().__init__(moments, drug_set, group, prior)
        if moments.scatter is None or moments.pool is None:
            raise ValueError(
                "moments: hard interventions need the scatter of each drug set; pass `pool` to compute_moments."
            )
        pool = moments.pool[self.sorted][self.n_control + self.starts]
        self.scatter = moments.scatter[pool]  # (U, G*B, G*B)
        counts = self.n[self.n_control :] - 1
        self.set_dof = np.add.reduceat(counts, self.starts)  # (U,)
        self._hard_arrays: tuple[tuple[np.ndarray, ...], np.ndarray] | None = None

    def _on(self, j: int, noise: np.ndarray) -> np.ndarray:
        """Log density of the drug sets when gene j is hit, for noise variances ``(M,)`` of its cells -> ``(M, U)``."""
        target = j * self.n_functions
        spread = self.scatter[:, target, target]  # (U,)
        mean = self.flat[self.n_control :, target]  # (K',)
        wide = noise[:, None] / self.n[self.n_control :] + self.prior.effect_sd[j] ** 2
        means = np.add.reduceat(np.log(wide) + mean**2 / wide, self.starts, axis=1)
        within = self.set_dof * np.log(noise)[:, None] + spread / noise[:, None]
        return np.log(self.prior.p_target[j]) - 0.5 * (means + within)

    def _off(
        self, j: int, own: Products, coef: np.ndarray, noise: np.ndarray, residual: np.ndarray, error: np.ndarray
    ) -> np.ndarray:
        """Log density of the drug sets when the mechanism of gene j is intact, ``(M, U)``."""
        spread = own.spread_sets + quadratic(own.gram_sets, own.right_sets, coef[:, None])  # (M, U)
        square, error = residual[:, self.n_control :] ** 2, error[:, self.n_control :]
        means = np.add.reduceat(np.log(error) + square / error, self.starts, axis=1)
        within = self.set_dof * np.log(noise)[:, None] + spread / noise[:, None]
        return np.log1p(-self.prior.p_target[j]) - 0.5 * (means + within)

    def effects(self, residual: np.ndarray, error: np.ndarray) -> np.ndarray:
        """Squared values of the perturbed contexts, ``(K', G)``."""
        return self.flat[self.n_control :, :: self.n_functions] ** 2 - error

    def _solve(self, j: int, sets: np.ndarray, n_steps: int | None = None) -> Solved:
        own, n_steps = self._products(j, sets), self.n_steps if n_steps is None else n_steps
        (M, F), n_groups = own.right.shape, self.groups.shape[1]
        ridge, omega2 = self.ridge * self.dof * np.eye(F), self.prior.background_sd[j] ** 2
        coef, noise, error = np.zeros((M, F + n_groups)), np.ones(M), np.ones((M, len(own.y)))
        hit = np.zeros((M, len(self.starts)))  # probability of each drug set
        for step in range(n_steps + 1):
            gram, right, spread = own.without(hit)
            gram = gram + ridge
            if step == 0:
                coef, products = self._start(own, gram, right)
            else:
                coef, products = self._weighted(own, gram, right, noise, error, hit)
            dof = np.maximum(self.dof - hit @ self.set_dof, 2.0)
            noise = np.maximum((spread + quadratic(gram, right, coef[:, :F])) / dof, SMALLEST)
            residual = own.y - (own.x @ coef[:, :, None])[..., 0]
            error = noise[:, None] / self.n + omega2 * self.perturbed
            of_hit = hit @ own.spread_sets + PSEUDO_CELLS * noise
            on = self._on(j, of_hit / (hit @ self.set_dof + PSEUDO_CELLS))
            off = self._off(j, own, coef[:, :F], noise, residual, error)
            hit = expit(on - off)
        score = self._of_controls(own, coef[:, :F], noise, residual, error)
        score = score + np.logaddexp(off, on).sum(axis=1) - self.price(j, sets)
        return Solved(score, coef, noise, residual, error, on - off, products)

    def _products(self, j: int, sets: np.ndarray) -> Products:
        cols, target, total = self.columns(sets), j * self.n_functions, self.within * self.dof
        groups = np.broadcast_to(self.groups, (len(cols), *self.groups.shape))
        return Products(
            self.flat[:, target],
            np.concatenate([np.moveaxis(self.flat[:, cols], 1, 0), groups], axis=2),
            total[cols[:, :, None], cols[:, None, :]],
            total[cols, target],
            total[target, target],
            self.scatter[:, cols[:, :, None], cols[:, None, :]].swapaxes(0, 1),
            self.scatter[:, cols, target].swapaxes(0, 1),
            self.scatter[:, target, target],
        )

    def _of_controls(
        self, own: Products, coef: np.ndarray, noise: np.ndarray, residual: np.ndarray, error: np.ndarray
    ) -> np.ndarray:
        """Log density of the controls, whose mechanisms are intact, ``(M,)``."""
        dof = self.dof - self.set_dof.sum()
        gram, right = own.gram - own.gram_sets.sum(axis=1), own.right - own.right_sets.sum(axis=1)
        spread = own.spread - own.spread_sets.sum() + quadratic(gram, right, coef)
        square, error = residual[:, : self.n_control] ** 2, error[:, : self.n_control]
        return -0.5 * (dof * np.log(noise) + spread / noise) - 0.5 * (np.log(error) + square / error).sum(axis=1)

    def solutions(self, j: int, sets: np.ndarray, n_steps: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Scores ``(M,)`` and coefficients, then baselines, of parent sets ``(M, p)`` of gene j."""
        sets = np.ascontiguousarray(sets, dtype=np.int64)
        scores = np.empty(len(sets))
        coefs = np.empty((len(sets), sets.shape[1] * self.n_functions + self.groups.shape[1]))
        data, sizes = self._of_sets()
        prior, prices = self._numbers()[j].copy(), self._prices()
        prior[4:] = self.dof, self.ridge * self.dof, PSEUDO_CELLS
        steps = self.n_steps if n_steps is None else n_steps
        hard_scores(j, sets, self.n_functions, data, sizes, prior, prices, steps, scores, coefs)
        return scores, coefs

    def _of_sets(self) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
        """Arrays that the compiled scores read: see `compiled.hard.hard_scores`; and sizes of the drug sets."""
        if self._hard_arrays is None:
            parts = (self.flat.T, self.within * self.dof, self.scatter, self.set_dof, self.n)
            data = tuple(np.ascontiguousarray(part, dtype=float) for part in parts)
            first = self.start_baseline.sum(axis=0)  # each context has one group
            self._hard_arrays = (*data, self.groups.argmax(axis=1), first), self.sizes.astype(np.int64)
        return self._hard_arrays

    def coarse_added(self, j: int, base: tuple[int, ...], candidates: np.ndarray) -> np.ndarray:
        """Scores ``(M,)`` with each candidate added, with no context taken as hit when coefficients are found."""
        return self.score_added(j, base, candidates, n_steps=0)

    def _start(self, own: Products, gram: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients within contexts alone, and baselines of the controls; products that stand for none."""
        (M, F), P = right.shape, own.x.shape[2]
        coef = np.zeros((M, P))
        if F:
            coef[:, :F] = np.linalg.solve(gram, right[..., None])[..., 0]
        coef[:, F:] = (own.y - (own.x[:, :, :F] @ coef[:, :F, None])[..., 0]) @ self.start_baseline.T
        return coef, np.broadcast_to(np.eye(P), (M, P, P))

    def _weighted(
        self, own: Products, gram: np.ndarray, right: np.ndarray, noise: np.ndarray, error: np.ndarray, hit: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients from the cells and contexts where the mechanism is intact, and products of the normal equations."""
        (M, F), P = right.shape, own.x.shape[2]
        weight = 1 / error
        weight[:, self.n_control :] *= 1 - np.repeat(hit, self.sizes, axis=1)
        products = np.zeros((M, P, P))
        products[:, :F, :F] = gram / noise[:, None, None]
        scaled = np.moveaxis(own.x, 1, 2) * weight[:, None, :]
        products += scaled @ own.x
        rhs = scaled @ own.y
        rhs[:, :F] += right / noise[:, None]
        products += RIDGE * np.eye(P) * np.trace(products, axis1=1, axis2=2)[:, None, None]
        return np.linalg.solve(products, rhs[..., None])[..., 0], products


class Hard:
    """``x_j = value + noise``: the mechanism of a target is cut."""

    name = "hard"
    additive = False
    together: Together = "mean"
    scatter: Literal["none", "drug_set", "context"] = "drug_set"
    scored = True

    def units(self, scale: np.ndarray) -> np.ndarray:
        """Those of the expression, counted from zero."""
        return scale

    def point(self, effects: Effects) -> tuple[np.ndarray, np.ndarray]:
        """The value, where a gene is hit more probably than not."""
        return effects.probability > 0.5, effects.mean

    def write(self, moved: Moved, at: At, effect: np.ndarray) -> None:
        """Nothing else moves a gene that is hit; of two values the mean is taken."""
        listen = moved.of_rows("listen")
        moved.add[at] = np.where(listen[at] == 0, (moved.add[at] + effect) / 2, effect)
        listen[at] = 0.0

    def score(self, moments: Moments, design: Design, prior: Prior) -> HardScore:
        """Exact, with the values of hit genes integrated out."""
        return HardScore(moments, design.drug_set, design.group, prior)

    def posterior(
        self,
        evidence: Evidence,
        own: np.ndarray,
        design: Design,
        prior: Prior,
        known: np.ndarray | None,
        shifts: ShiftsAt,
    ) -> Learned:
        """Values of the genes that are hit, along dose curves; the odds of being hit are those of the score.

        At no dose a gene is where the controls have it, not at an expression of zero.
        """
        origin = design.control_mean(own)
        change = own - origin
        curves = fit_dose_curves(change, evidence.error, evidence.on(design), design)
        log_odds = override(design.mean_by_drug(evidence.log_odds), known)  # (D, G)
        kind = fit_targets(change, evidence.error, design, curves, log_odds, kind=self.name, superpose=False)
        support = Support.not_compared(odds_of_contexts(log_odds, design), design.identified)
        return Learned(kind.counted_from(origin), curves, Drift.none(len(design.drugs), prior.background_sd), support)
