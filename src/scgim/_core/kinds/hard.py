"""Exact score under hard interventions (layer `_core`).

A hard intervention replaces the mechanism of its target :cite:p:`schneider2025`. In closed form (not from the paper):
the contexts of a drug that hits gene j drop out of the regression of gene j, where its values are independent of its
parents around a mean of their own.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.special import expit

from scgim._core.arrays import override
from scgim._core.design import Design
from scgim._core.effects import Effects
from scgim._core.kinds.base import At, Learned, Moved
from scgim._core.kinds.hard_kernels import hard_scores
from scgim._core.moments.moments import Moments
from scgim._core.posterior.curves import fit_dose_curves
from scgim._core.posterior.drift import Drift
from scgim._core.posterior.evidence import Evidence
from scgim._core.posterior.odds import Support, odds_of_contexts
from scgim._core.posterior.shifts import ShiftsAt
from scgim._core.posterior.targets import fit_targets
from scgim._core.structure.prior import Prior
from scgim._core.structure.score import ShiftScore

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

    def _on(self, j: int, s2: np.ndarray) -> np.ndarray:
        """Log density of the drug sets when gene j is hit, for noise variances ``(M,)`` -> ``(M, U)``."""
        target = j * self.n_functions
        spread = self.scatter[:, target, target]  # (U,)
        mean = self.flat[self.n_control :, target]  # (K',)
        wide = s2[:, None] / self.n[self.n_control :] + self.prior.effect_sd[j] ** 2
        means = np.add.reduceat(np.log(wide) + mean**2 / wide, self.starts, axis=1)
        within = self.set_dof * np.log(s2)[:, None] + spread / s2[:, None]
        return np.log(self.prior.p_target[j]) - 0.5 * (means + within)

    def _off(self, j: int, gram: np.ndarray, right: np.ndarray, fit: dict[str, np.ndarray]) -> np.ndarray:
        """Log density of the drug sets when the mechanism of gene j is intact, ``(M, U)``."""
        target = j * self.n_functions
        F = right.shape[-1]
        c = fit["coef"][:, :F]
        spread = self.scatter[:, target, target] + quadratic(gram, right, c[:, None])  # (M, U)
        square, error = fit["residual"][:, self.n_control :] ** 2, fit["error"][:, self.n_control :]
        means = np.add.reduceat(np.log(error) + square / error, self.starts, axis=1)
        within = self.set_dof * np.log(fit["v"])[:, None] + spread / fit["v"][:, None]
        return np.log1p(-self.prior.p_target[j]) - 0.5 * (means + within)

    def effects(self, residual: np.ndarray, error: np.ndarray) -> np.ndarray:
        """Squared values of the perturbed contexts, ``(K', G)``."""
        return self.flat[self.n_control :, :: self.n_functions] ** 2 - error

    def _solve(self, j: int, sets: np.ndarray, n_steps: int | None = None) -> dict[str, np.ndarray]:
        n_steps = self.n_steps if n_steps is None else n_steps
        cols, target = self.columns(sets), j * self.n_functions
        M, F = cols.shape
        C = self.groups.shape[1]
        y = self.flat[:, target]
        gram_u = self.scatter[:, cols[:, :, None], cols[:, None, :]].swapaxes(0, 1)  # (M, U, F, F)
        right_u = self.scatter[:, cols, target].swapaxes(0, 1)  # (M, U, F)
        total = self.within * self.dof
        x = np.concatenate(
            [np.moveaxis(self.flat[:, cols], 1, 0), np.broadcast_to(self.groups, (M, *self.groups.shape))], axis=2
        )
        gram_all, right_all = total[cols[:, :, None], cols[:, None, :]], total[cols, target]
        spread_all, spread_u = total[target, target], self.scatter[:, target, target]
        ridge = self.ridge * self.dof * np.eye(F)
        omega2 = self.prior.background_sd[j] ** 2
        rho = np.zeros((M, len(self.starts)))
        fit: dict[str, np.ndarray] = {"coef": np.zeros((M, F + C)), "v": np.ones(M)}
        for step in range(n_steps + 1):
            gram = gram_all - weighted_sum(rho, gram_u) + ridge
            right = right_all - weighted_sum(rho, right_u)
            spread = spread_all - rho @ spread_u
            dof = np.maximum(self.dof - rho @ self.set_dof, 2.0)
            if step == 0:
                lhs = self._start(fit, gram, right, x, y, F)
            else:
                lhs = self._weighted(fit, gram, right, x, y, rho)
            c = fit["coef"][:, :F]
            fit["v"] = np.maximum((spread + quadratic(gram, right, c)) / dof, 1e-8)
            fit["residual"] = y - (x @ fit["coef"][:, :, None])[..., 0]
            fit["error"] = fit["v"][:, None] / self.n + omega2 * self.perturbed
            hit = rho @ self.set_dof
            s2 = (rho @ spread_u + PSEUDO_CELLS * fit["v"]) / (hit + PSEUDO_CELLS)
            off, on = self._off(j, gram_u, right_u, fit), self._on(j, s2)
            rho = expit(on - off)
        control = slice(0, self.n_control)
        rest = self.dof - self.set_dof.sum()  # degrees of freedom of the controls
        c = fit["coef"][:, :F]
        gram_c, right_c = gram_all - gram_u.sum(axis=1), right_all - right_u.sum(axis=1)
        spread = spread_all - spread_u.sum() + quadratic(gram_c, right_c, c)
        square, error = fit["residual"][:, control] ** 2, fit["error"][:, control]
        score = -0.5 * (rest * np.log(fit["v"]) + spread / fit["v"]) - 0.5 * (np.log(error) + square / error).sum(
            axis=1
        )
        score = score + np.logaddexp(off, on).sum(axis=1) - self.price(j, sets)
        return {"score": score, "odds": on - off, "lhs": lhs, **fit}

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
        """Arrays that the compiled scores read: see `hard_kernels.hard_scores`; and sizes of the drug sets."""
        if self._hard_arrays is None:
            parts = (self.flat.T, self.within * self.dof, self.scatter, self.set_dof, self.n)
            data = tuple(np.ascontiguousarray(part, dtype=float) for part in parts)
            first = self.start_baseline.sum(axis=0)  # each context has one group
            self._hard_arrays = (*data, self.groups.argmax(axis=1), first), self.sizes.astype(np.int64)
        return self._hard_arrays

    def coarse_added(self, j: int, base: tuple[int, ...], candidates: np.ndarray) -> np.ndarray:
        """Scores ``(M,)`` with each candidate added, with no context taken as hit when coefficients are found."""
        return self.score_added(j, base, candidates, n_steps=0)

    def _start(
        self, fit: dict[str, np.ndarray], gram: np.ndarray, right: np.ndarray, x: np.ndarray, y: np.ndarray, F: int
    ) -> np.ndarray:
        """Coefficients within contexts alone, and baselines of the controls."""
        if F:
            fit["coef"][:, :F] = np.linalg.solve(gram, right[..., None])[..., 0]
        free = y - (x[:, :, :F] @ fit["coef"][:, :F, None])[..., 0]
        fit["coef"][:, F:] = free @ self.start_baseline.T
        return np.broadcast_to(np.eye(x.shape[2]), (len(x), x.shape[2], x.shape[2]))

    def _weighted(
        self,
        fit: dict[str, np.ndarray],
        gram: np.ndarray,
        right: np.ndarray,
        x: np.ndarray,
        y: np.ndarray,
        rho: np.ndarray,
    ) -> np.ndarray:
        """Coefficients from the cells and contexts where the mechanism is intact."""
        M, _, P = x.shape
        F = right.shape[1]
        weight = 1 / fit["error"]
        weight[:, self.n_control :] *= 1 - np.repeat(rho, self.sizes, axis=1)
        lhs = np.zeros((M, P, P))
        lhs[:, :F, :F] = gram / fit["v"][:, None, None]
        scaled = np.moveaxis(x, 1, 2) * weight[:, None, :]
        lhs += scaled @ x
        rhs = scaled @ y
        rhs[:, :F] += right / fit["v"][:, None]
        lhs += 1e-10 * np.eye(P) * np.trace(lhs, axis1=1, axis2=2)[:, None, None]
        fit["coef"] = np.linalg.solve(lhs, rhs[..., None])[..., 0]
        return lhs


class Hard:
    """``x_j = value + noise``: the mechanism of a target is cut."""

    name = "hard"
    additive = False
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
