"""Exact log marginal likelihood of one gene given its parents, shifts integrated out (layer `_core`).

Not from the paper, which samples. Residual means r_k of contexts are Gaussian given the mechanism: "not a target" has
variance e_k = v / n_k + omega^2, "target" e_k + tau^2, and all contexts of a drug share the choice. Coefficients,
baselines and the noise variance v are found by expectation maximisation, for contexts that a drug does not shift tell
of the mechanism, too.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit

from scgim._core.moments.moments import Moments
from scgim._core.posterior.evidence import GeneFit
from scgim._core.structure.compiled import kernels
from scgim._core.structure.compiled.coarse import coarse_scores
from scgim._core.structure.prior import Prior, precision

SMALLEST = 1e-8  # variance of a gene, standardised
RIDGE = 1e-10  # of the trace of normal equations
COMPILED = (
    "solutions",
    "score_sets",
    "score_added",
    "coarse_added",
    "branches",
    "maximum",
    "volume",
    "observed",
    "price",
)
"""Methods of a score that the compiled kernels stand for: where one is exchanged, Python has to score."""
AT_ONCE = 32  # genes: with many contexts, more would fill the memory


class Solved(NamedTuple):
    """M parent sets of one gene, by expectation maximisation; K contexts, controls first."""

    score: np.ndarray  # (M,)
    coef: np.ndarray  # (M, F + C) coefficients, then baselines
    noise: np.ndarray  # (M,) variance
    residual: np.ndarray  # (M, K) of the means
    error: np.ndarray  # (M, K) their variances, where the gene is not a target
    odds: np.ndarray  # (M, U) log odds that drug sets target the gene
    products: np.ndarray  # (M, F + C, F + C) of the normal equations


class ShiftScore:
    """Score of parent sets under shift interventions.

    Parameters
    ----------
    drug_set
        ``(K,)``; contexts that share targets (the doses of a drug or of a combination), -1 for control.
    group
        ``(K,)``; contexts that share a baseline.
    prior
        Prior and prices; may be exchanged between searches.
    """

    n_steps = 2  # steps of expectation maximisation while searching; responsibilities are nearly 0 or 1
    n_steps_final = 10
    n_volume = 0.0  # cells whose log determinant counts: with cycles alone

    def __init__(self, moments: Moments, drug_set: np.ndarray, group: np.ndarray, prior: Prior) -> None:
        self.moments, self.prior = moments, prior
        self.n_genes, self.n_functions = moments.n_genes, moments.n_functions
        drug_set = np.asarray(drug_set)
        self.sorted = np.argsort(drug_set, kind="stable")  # controls first
        ordered = drug_set[self.sorted]
        self.n_control = int((ordered < 0).sum())
        self.labels, starts = np.unique(ordered[self.n_control :], return_index=True)
        self.starts = starts  # within the perturbed contexts
        self.sizes = np.diff(np.append(starts, len(ordered) - self.n_control))
        self.n = moments.n[self.sorted]
        self.flat = moments.mean.reshape(len(drug_set), -1)[self.sorted]  # (K, G*B)
        self.self_mean = self.flat[:, :: self.n_functions]  # (K, G) the genes as children
        self.within = moments.within
        self.cross = moments.within[:, :: self.n_functions]  # (G*B, G) parents with children
        self.self_variance = np.diag(moments.within)[:: self.n_functions].copy()  # (G,); views are read-only
        self.dof = max(moments.n.sum() - len(moments.n), 1.0)
        self.spread = None if moments.spread is None else moments.spread[self.sorted]  # (K, G)
        self.slope_sd = prior.slope_sd if self.n_functions == 1 else 0.0
        self.known_dof, self.price_factor = precision(self.dof, moments.pair_cells)
        self.within_dof = self.known_dof / (1 + self.known_dof / prior.misfit_cells)
        self.groups = np.eye(int(np.max(group)) + 1)[np.asarray(group)[self.sorted]]  # (K, C)
        self.ridge = 1e-4 if self.n_functions > 1 else 1e-9
        self.parameter_price = 0.5 * np.log(moments.n.sum())
        self._centred_cache: tuple[np.ndarray, np.ndarray] | None = None
        self._arrays: tuple[tuple[np.ndarray, ...], np.ndarray, np.ndarray] | None = None
        self._price: tuple[np.ndarray, np.ndarray] | None = None
        self._prior_numbers: tuple[tuple[np.ndarray, ...], np.ndarray] | None = None
        is_control = np.arange(len(drug_set)) < self.n_control
        self.perturbed = (~is_control).astype(float)  # the controls are the baseline: no background there
        weight = self.groups * (self.n * is_control)[:, None]
        empty = weight.sum(axis=0) == 0
        weight[:, empty] = self.groups[:, empty] * self.n[:, None]
        self.start_baseline = (weight / np.maximum(weight.sum(axis=0), 1e-12)).T  # (C, K)
        self.passed = self._passed()

    def columns(self, parents: np.ndarray) -> np.ndarray:
        """Columns of the basis functions of parents ``(..., p)`` -> ``(..., p*B)``."""
        parents = np.asarray(parents, dtype=int)
        grid = parents[..., None] * self.n_functions + np.arange(self.n_functions)
        return grid.reshape(*parents.shape[:-1], parents.shape[-1] * self.n_functions)  # also of no sets at all

    def _passed(self) -> np.ndarray | None:
        """What a unit coefficient of each gene adds to variances of its children, ``(K, G)``; None for nothing.

        The noise of observation, and a relative error `slope_sd` of what the change of the gene passes on.
        """
        if not self.slope_sd:
            return self.spread
        return self.slope_sd**2 * self.changes() ** 2 + (0.0 if self.spread is None else self.spread)

    def changes(self) -> np.ndarray:
        """Means of the genes against the baselines of the controls, ``(K, G)``, controls first; 0 for these."""
        return self._centred()[1] * self.perturbed[:, None]

    def observed(self, j: int | np.ndarray, cols: np.ndarray, coef: np.ndarray) -> np.ndarray | float:
        """What observation and uncertain slopes add to variances ``(M, K)``, for coefficients ``(M, F)`` of parents.

        `j` is the gene, or that of each row ``(M,)``.
        """
        if self.passed is None:
            return 0.0
        own = 0.0 if self.spread is None else self.spread[:, j].T
        return own + (coef[:, None, :] ** 2 @ np.moveaxis(self.passed[:, cols], 0, 2))[:, 0]

    def price(self, j: int | np.ndarray, sets: np.ndarray) -> np.ndarray:
        """Price of parent sets ``(M, p)`` of gene j, or of one gene each ``(M, 1)`` -> ``(M,)``."""
        edges = self.prior.edge_price[sets, j]
        if self.price_factor is not None:
            return ((edges + self.parameter_price * self.n_functions) * self.price_factor[sets, j]).sum(axis=-1)
        return edges.sum(axis=-1) + self.parameter_price * sets.shape[-1] * self.n_functions

    def branches(self, square: np.ndarray, error: np.ndarray, j: int | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log density of the residuals of each drug set, off and on: (M, K') perturbed contexts -> two (M, U).

        `j` is the gene, or that of each row ``(M,)``.
        """
        wide = error + np.asarray(self.prior.effect_sd[j])[..., None] ** 2
        off = np.add.reduceat(np.log(error) + square / error, self.starts, axis=1)
        on = np.add.reduceat(np.log(wide) + square / wide, self.starts, axis=1)
        p = np.asarray(self.prior.p_target[j])[..., None]
        return np.log1p(-p) - 0.5 * off, np.log(p) - 0.5 * on

    def effects(self, residual: np.ndarray, error: np.ndarray) -> np.ndarray:
        """Squared effects of the perturbed contexts, less their sampling variance, ``(K', G)``."""
        return residual**2 - error

    def maximum(self, lhs: np.ndarray, rhs: np.ndarray, j: int | np.ndarray, sets: np.ndarray) -> np.ndarray:
        """Coefficients ``(M, F)`` that solve the normal equations."""
        return np.linalg.solve(lhs, rhs[..., None])[..., 0]

    def volume(self, coef: np.ndarray, j: int | np.ndarray, sets: np.ndarray) -> np.ndarray | float:
        """Log determinant of cells in noise: zero without cycles."""
        return 0.0

    def _solve(self, j: int, sets: np.ndarray, n_steps: int | None = None) -> Solved:
        """Expectation maximisation for M parent sets of equal size p: sets (M, p)."""
        return self._maximise(j, sets, self.n_steps if n_steps is None else n_steps)

    def _maximise(self, j: int | np.ndarray, sets: np.ndarray, n_steps: int, start: np.ndarray | None = None) -> Solved:
        """So many steps, from coefficients and baselines `start` ``(M, F + C)``, or from those within contexts.

        These are uncertain, so that what parents which moved far pass on may look like a shift of the gene. Where it would
        not with that uncertainty among the variances, the steps are taken again from such odds, and the higher score counts
        (not from the paper). `j` is the gene, or that of each parent set ``(M,)``.
        """
        if start is not None or not n_steps or self.n_volume:
            return self._ascend(j, sets, n_steps, start)
        first = self._ascend(j, sets, 0)
        out, odds = self._ascend(j, sets, n_steps, first.coef), self._doubted(j, sets, first)
        turns = ((first.odds > 0) & (odds < 0)).any(axis=1)
        if not turns.any():
            return out
        other = self._ascend(j, sets, n_steps, first.coef, odds)
        better = turns & (other.score > out.score)  # (M,)
        return Solved(*(np.where(better, b.T, a.T).T for a, b in zip(out, other, strict=True)))

    def _doubted(self, j: int | np.ndarray, sets: np.ndarray, first: Solved) -> np.ndarray:
        """Log odds ``(M, U)`` at the start, for targets those with the uncertainty of coefficients within contexts.

        With changes d of the functions of the parents and their covariance S, variances gain ``v d' S^-1 d / within_dof``.
        """
        cols, perturbed = self.columns(sets), slice(self.n_control, None)
        gram = self.within[cols[:, :, None], cols[:, None, :]] + self.ridge * np.eye(cols.shape[1])
        change = np.moveaxis(self._centred()[0][perturbed, cols], 0, 2)  # (M, F, K')
        doubt = np.einsum("mfk,mfk->mk", change, np.linalg.solve(gram, change)) * first.noise[:, None] / self.within_dof
        off, on = self.branches(first.residual[:, perturbed] ** 2, first.error[:, perturbed] + doubt, j)
        return np.where(first.odds > 0, on - off, first.odds)

    def _ascend(
        self,
        j: int | np.ndarray,
        sets: np.ndarray,
        n_steps: int,
        start: np.ndarray | None = None,
        odds: np.ndarray | None = None,
    ) -> Solved:
        """Steps from one start; with log odds ``(M, U)`` of targets in the first in place of its own."""
        cols, each = self.columns(sets), j[:, None] if isinstance(j, np.ndarray) else j
        F, y = cols.shape[1], np.atleast_2d(self.self_mean[:, j].T)  # of the gene (1, K), or of each (M, K)
        x, gram, right = self._regression(each, cols)
        coef = self._within_contexts(y, x, gram, right, F) if start is None else start
        xt = np.ascontiguousarray(np.moveaxis(x, 1, 2))  # (M, F+C, K)
        omega2, perturbed, products = self.prior.background_sd[each] ** 2, slice(self.n_control, None), gram
        for step in range(n_steps + 1):
            noise = self.self_variance[j] - 2 * np.einsum("mf,mf->m", coef, right)
            noise = np.maximum(noise + np.einsum("mf,mfg,mg->m", coef, gram, coef), SMALLEST)
            residual = y - np.einsum("mfk,mf->mk", xt, coef)
            error = noise[:, None] / self.n + omega2 * self.perturbed + self.observed(j, cols, coef[:, :F])  # (M, K)
            off, on = self.branches(residual[:, perturbed] ** 2, error[:, perturbed], j)
            if step == n_steps:
                break
            hit = expit(on - off if step or odds is None else odds)
            scaled, known = xt * self._weights(j, error, hit)[:, None, :], self.within_dof / noise
            products = gram * known[:, None, None] + scaled @ x
            rhs = right * known[:, None] + (scaled @ y[:, :, None])[:, :, 0]
            products += RIDGE * np.eye(x.shape[2]) * np.trace(products, axis1=1, axis2=2)[:, None, None]
            coef = self.maximum(products, rhs, j, sets)
        square, control = residual[:, : self.n_control] ** 2, error[:, : self.n_control]
        total = (
            -0.5 * self.within_dof * (np.log(noise) + 1)
            - 0.5 * (np.log(control) + square / control).sum(axis=1)
            + np.logaddexp(off, on).sum(axis=1)
            + self.volume(coef, j, sets)
            - self.price(each, sets)
        )
        return Solved(total, coef, noise, residual, error, on - off, products)

    def _weights(self, j: int | np.ndarray, error: np.ndarray, hit: np.ndarray) -> np.ndarray:
        """Weights of contexts in the regression ``(M, K)``, by the probabilities ``(M, U)`` that drug sets hit the gene."""
        weight, hit = 1 / error, np.repeat(hit, self.sizes, axis=1)
        perturbed = weight[:, self.n_control :]
        wide = 1 / perturbed + np.asarray(self.prior.effect_sd[j])[..., None] ** 2
        weight[:, self.n_control :] = (1 - hit) * perturbed + hit / wide
        return weight

    def _regression(self, j: int | np.ndarray, cols: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Means of parents, then groups, ``(M, K, F+C)``; covariances within contexts of these, and with gene j."""
        (M, F), (K, C) = cols.shape, self.groups.shape
        groups = np.broadcast_to(self.groups, (M, K, C))
        x = np.concatenate([np.moveaxis(self.flat[:, cols], 1, 0), groups], axis=2)
        gram, right = np.zeros((M, F + C, F + C)), np.zeros((M, F + C))
        gram[:, :F, :F] = self.within[cols[:, :, None], cols[:, None, :]] + self.ridge * np.eye(F)
        right[:, :F] = self.cross[cols, j]
        return x, gram, right

    def _within_contexts(self, y: np.ndarray, x: np.ndarray, gram: np.ndarray, right: np.ndarray, F: int) -> np.ndarray:
        """Coefficients by the covariance within contexts alone, and the baselines of the controls under these, ``(M, F+C)``."""
        coef = np.zeros(right.shape)
        free = np.broadcast_to(y, x.shape[:2]).copy()  # (M, K)
        if F:
            coef[:, :F] = np.linalg.solve(gram[:, :F, :F], right[:, :F, None])[..., 0]
            free -= np.einsum("mkf,mf->mk", x[:, :, :F], coef[:, :F])
        coef[:, F:] = free @ self.start_baseline.T
        return coef

    def _compiled(self) -> tuple[tuple[np.ndarray, ...], np.ndarray, np.ndarray]:
        """Arrays that the compiled scores read: see `kernels.shift_scores`; centred means, and sizes of the drug sets."""
        if self._arrays is None:
            spread, passed = (np.zeros((0, 0)) if part is None else part.T for part in (self.spread, self.passed))
            first = self.start_baseline.sum(axis=0)  # each context has one group
            centred = self._centred()[0]
            parts = (self.flat.T, self.within, self.cross, self.self_variance, self.n, spread, passed)
            own = np.ascontiguousarray(self.self_mean.T)
            data = tuple(np.ascontiguousarray(part, dtype=float) for part in parts)
            data = (*data, self.groups.argmax(axis=1), np.ascontiguousarray(first), own)
            self._arrays = data, np.ascontiguousarray(centred.T), self.sizes.astype(np.int64)
        return self._arrays

    def _prices(self) -> np.ndarray:
        """Price of each edge with its coefficients, ``(G, G)``."""
        if self._price is None or self._price[0] is not self.prior.edge_price:
            each = self.prior.edge_price + self.parameter_price * self.n_functions
            self._price = self.prior.edge_price, each if self.price_factor is None else each * self.price_factor
        return self._price[1]

    def _numbers(self) -> np.ndarray:
        """Numbers that the compiled scores read for each gene, ``(G, 7)``: see `kernels.shift_scores`."""
        prior = self.prior
        now = prior.background_sd, prior.effect_sd, prior.p_target
        if self._prior_numbers is None or any(a is not b for a, b in zip(now, self._prior_numbers[0], strict=True)):
            columns = (now[0] ** 2, now[1] ** 2, np.log1p(-now[2]), np.log(now[2]))
            same = np.ones(self.n_genes)
            fixed = (value * same for value in (self.within_dof, self.ridge, self.n_volume))
            self._prior_numbers = now, np.column_stack([*columns, *fixed])
        return self._prior_numbers[1]

    @property
    def as_compiled(self) -> bool:
        """Whether the compiled kernels stand for every method."""
        return all(getattr(type(self), name) is getattr(ShiftScore, name) for name in COMPILED)

    def engine(self) -> tuple[Any, ...]:
        """What the compiled search reads to score on the spot, under the present prior.

        Returns
        -------
        Functions a gene (zero where Python has to score), steps of expectation maximisation, baseline groups, and the arrays of
        `kernels.shift_scores` and `coarse.coarse_scores`.
        """
        data, centred, sizes = self._compiled()
        shape = self.n_functions * self.as_compiled, self.n_steps, self.groups.shape[1]
        return *shape, data, centred, sizes, self._numbers(), self._prices()

    def solutions(self, j: int, sets: np.ndarray, n_steps: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Scores ``(M,)`` and coefficients, then baselines, ``(M, p*B + C)`` of parent sets ``(M, p)`` of gene j."""
        kernels.shift_scores(*(asked := self.asked(j, np.ascontiguousarray(sets, dtype=np.int64), n_steps)))
        return asked[-2], asked[-1]

    def asked(self, j: int, sets: np.ndarray, n_steps: int | None = None) -> tuple[Any, ...]:
        """What `kernels.shift_scores` reads, and room for scores ``(M,)`` and coefficients; holds while means and covariances change in place."""
        room = np.empty(len(sets)), np.empty((len(sets), sets.shape[1] * self.n_functions + self.groups.shape[1]))
        n_steps = self.n_steps if n_steps is None else n_steps
        given = *self._compiled(), self._numbers()[j], self._prices(), n_steps, self._inverse_row(j)
        return j, sets, self.n_functions, *given, *room

    def _inverse_row(self, j: int) -> np.ndarray:
        """Row of the inverse of the present system: none without cycles, and an array of the same kind in its place."""
        return self._compiled()[0][3]  # another layout would be compiled for, too

    def score_added(
        self, j: int, base: tuple[int, ...], candidates: np.ndarray, n_steps: int | None = None
    ) -> np.ndarray:
        """Scores ``(M,)`` of gene j with parents `base` plus each of the M candidates."""
        sets = np.empty((len(candidates), len(base) + 1), dtype=int)
        sets[:, :-1], sets[:, -1] = base, candidates
        return self.solutions(j, sets, n_steps)[0]

    def _centred(self) -> tuple[np.ndarray, np.ndarray]:
        """Means of parents ``(K, G*B)`` and children ``(K, G)`` against the baselines of the controls."""
        if self._centred_cache is None:
            parents, children = (self.groups @ (self.start_baseline @ mean) for mean in (self.flat, self.self_mean))
            self._centred_cache = self.flat - parents, self.self_mean - children
        return self._centred_cache

    def coarse_added(self, j: int, base: tuple[int, ...], candidates: np.ndarray) -> np.ndarray:
        """Scores ``(M,)`` with each candidate added, contexts weighed as without it: they tell which to score in full."""
        scores = np.empty(len(candidates))
        data, _, sizes = self._compiled()
        each, free = np.array(base, dtype=np.int64), np.ascontiguousarray(candidates, dtype=np.int64)
        prior, prices, start = self._numbers()[j], self._prices(), self.solutions(j, each[None])[1][0]
        coarse_scores(j, each, free, self.n_functions, data, sizes, prior, prices, start, scores)
        return scores

    def score_sets(self, j: int, sets: np.ndarray) -> np.ndarray:
        """Scores ``(M,)`` of parent sets ``(M, p)`` of gene j."""
        return self.solutions(j, np.asarray(sets, dtype=np.int64).reshape(len(sets), -1))[0]

    def gene(self, j: int, parents: tuple[int, ...]) -> GeneFit:
        """Everything about gene j given its parents; contexts in the order of the moments."""
        return self._genes(np.array([j]), np.array([parents], dtype=int).reshape(1, -1))[0]

    def genes_given(self, parents: dict[int, tuple[int, ...]]) -> list[GeneFit]:
        """Everything about every gene; those that have equally many parents at once, for each call of numpy has its price."""
        fits: dict[int, GeneFit] = {}
        for p in {len(of) for of in parents.values()}:
            alike = [j for j in range(self.n_genes) if len(parents[j]) == p]
            size = AT_ONCE if self.as_compiled else 1
            for genes in (alike[first : first + size] for first in range(0, len(alike), size)):
                sets = np.array([parents[j] for j in genes], dtype=int).reshape(len(genes), p)
                fits |= zip(genes, self._genes(np.array(genes), sets), strict=True)
        return [fits[j] for j in range(self.n_genes)]

    def _genes(self, genes: np.ndarray, sets: np.ndarray) -> list[GeneFit]:
        """Genes ``(M,)`` given a parent set each ``(M, p)``; one gene alone where Python has to score."""
        if self.as_compiled:  # all steps but the last, which tells more
            each, n_steps = zip(genes.tolist(), sets[:, None], strict=True), self.n_steps_final - 1
            out = self._maximise(genes, sets, 1, np.concatenate([self.solutions(j, of, n_steps)[1] for j, of in each]))
        else:
            out = self._solve(int(genes[0]), sets, self.n_steps_final)
        F, back = sets.shape[1] * self.n_functions, np.argsort(self.sorted)
        cov = np.linalg.inv(out.products)
        if self.spread is not None:  # coefficients are known less well: what large changes of parents make of that
            x = self._regression(genes[:, None], self.columns(sets))[0]
            error = out.error + np.einsum("mkf,mfg,mkg->mk", x, cov, x) * self.perturbed
            off, on = self.branches(out.residual[:, self.n_control :] ** 2, error[:, self.n_control :], genes)
            out = out._replace(error=error, odds=on - off)
        return [
            GeneFit(
                out.coef[m, :F],
                out.coef[m, F:],
                float(out.noise[m]),
                out.residual[m, back],
                out.error[m, back],
                out.odds[m],
                float(out.score[m]),
                cov[m, :F, :F],
            )
            for m in range(len(genes))
        ]
