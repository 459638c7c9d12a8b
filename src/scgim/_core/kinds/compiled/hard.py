"""Compiled inner loop of the scores of parent sets under hard interventions (layer `_core`; not from the paper).

The formulas are those of `scgim._core.kinds.hard.HardScore`, which tests compare with; baselines are eliminated group
by group.
"""

import math

import numba
import numpy as np

from scgim._core.from_disk import from_disk
from scgim._core.structure.compiled.numerics import ENTRY, FAST, INNER, PART, factorise, solve, solve_beside_baselines

SMALLEST = 1e-8  # variance of a gene, standardised
FEWEST = 2.0  # degrees of freedom of a mechanism


@numba.njit(**INNER, fastmath=FAST)
def quadratic(gram, right, coef):  # type: ignore[no-untyped-def]
    """Change of a sum of squares by a regression, ``c'Gc - 2 c'r``."""
    total = 0.0
    for a in range(len(coef)):
        inner = -2 * right[a]
        for b in range(len(coef)):
            inner += gram[a, b] * coef[b]
        total += coef[a] * inner
    return total


@numba.njit(**INNER, fastmath=FAST)
def gather(cols, target, data, x, gram_all, right_all, gram_sets, right_sets):  # type: ignore[no-untyped-def]
    """Means of parents ``(F, K)`` and their products with each other and the gene, of all cells and drug sets; in place."""
    means, total, scatter = data[0], data[1], data[2]
    F, K = x.shape
    for a in range(F):
        right_all[a] = total[cols[a], target]
        for k in range(K):
            x[a, k] = means[cols[a], k]
        for b in range(F):
            gram_all[a, b] = total[cols[a], cols[b]]
    for u in range(len(scatter)):
        for a in range(F):
            right_sets[u, a] = scatter[u, cols[a], target]
            for b in range(F):
                gram_sets[u, a, b] = scatter[u, cols[a], cols[b]]


@numba.njit(**INNER, fastmath=FAST)
def take_out(share, gram_all, right_all, gram_sets, right_sets, gram, right):  # type: ignore[no-untyped-def]
    """Products over the cells that are left where a share ``(U,)`` of each drug set is taken out."""
    F = len(right)
    for a in range(F):
        right[a] = right_all[a]
        for b in range(F):
            gram[a, b] = gram_all[a, b]
    for u in range(len(share)):
        if share[u] > 0:
            for a in range(F):
                right[a] -= share[u] * right_sets[u, a]
                for b in range(F):
                    gram[a, b] -= share[u] * gram_sets[u, a, b]


@numba.njit(**INNER, fastmath=FAST)
def solve_within(gram, right, x, y, group, first, lhs, coef, baseline):  # type: ignore[no-untyped-def]
    """Coefficients within contexts alone, and baselines of the controls; in place."""
    F, K = x.shape
    for a in range(F):
        coef[a] = right[a]
        for b in range(F):
            lhs[a, b] = gram[a, b]
    factorise(lhs, F)
    solve(lhs, coef, F)
    for c in range(len(baseline)):
        baseline[c] = 0.0
    for k in range(K):
        left = y[k]
        for a in range(F):
            left -= coef[a] * x[a, k]
        baseline[group[k]] += first[k] * left


@numba.njit(**INNER, fastmath=FAST)
def solve_intact(gram, right, x, y, group, weight, v, lhs, coef, baseline, sums, mixed, mixed_y):  # type: ignore[no-untyped-def]
    """Coefficients and baselines from the cells and contexts ``(K,)`` where the mechanism is intact; in place."""
    (F, K), C = x.shape, len(baseline)
    for c in range(C):
        sums[c] = mixed_y[c] = 0.0
    for k in range(K):
        sums[group[k]] += weight[k]
        mixed_y[group[k]] += weight[k] * y[k]
    trace = 0.0
    for c in range(C):
        trace += sums[c]
    for a in range(F):
        for c in range(C):
            mixed[c, a] = 0.0
        coef[a] = right[a] / v
        for k in range(K):
            mixed[group[k], a] += weight[k] * x[a, k]
            coef[a] += weight[k] * x[a, k] * y[k]
        for b in range(a + 1):
            inner = gram[a, b] / v
            for k in range(K):
                inner += weight[k] * x[a, k] * x[b, k]
            lhs[a, b] = inner
        trace += lhs[a, a]
    solve_beside_baselines(lhs, coef, baseline, sums, mixed, mixed_y, trace)


@numba.njit(**INNER, fastmath=FAST)
def weigh_sets(target, data, sizes, prior, gram_sets, right_sets, coef, v, own_v, residual, error, off, on):  # type: ignore[no-untyped-def]
    """Log density of each drug set where the mechanism is intact, `off`, and where the gene is hit, `on`, ``(U,)`` each.

    `v` and `own_v` are the variances of the mechanism's noise and of cells in which the gene is hit.
    """
    y, scatter, set_dof, cells = data[0][target], data[2], data[3], data[4]
    slab2, log_off, log_on = prior[1], prior[2], prior[3]
    log_v, log_own, stop = math.log(v), math.log(own_v), len(y) - sizes.sum()
    for u in range(len(sizes)):
        start, stop = stop, stop + sizes[u]
        spread = scatter[u, target, target]
        off[u] = set_dof[u] * log_v + (spread + quadratic(gram_sets[u], right_sets[u], coef)) / v
        on[u] = set_dof[u] * log_own + spread / own_v
        for k in range(start, stop):
            wide = own_v / cells[k] + slab2
            off[u] += math.log(error[k]) + residual[k] * residual[k] / error[k]
            on[u] += math.log(wide) + y[k] * y[k] / wide
        off[u], on[u] = log_off - 0.5 * off[u], log_on - 0.5 * on[u]


@numba.njit(**PART, fastmath=FAST)
def weigh_intact(rho, sizes, n_control, error, weight):  # type: ignore[no-untyped-def]
    """Weights of the means of contexts ``(K,)``, by their errors and by the probability that the mechanism is intact there."""
    for k in range(len(weight)):
        weight[k] = 1 / error[k]
    stop = n_control
    for u in range(len(sizes)):
        start, stop = stop, stop + sizes[u]
        for k in range(start, stop):
            weight[k] *= 1 - rho[u]


@numba.njit(**PART, fastmath=FAST)
def leave(y, x, group, coef, baseline, v, cells, omega2, n_control, residual, error):  # type: ignore[no-untyped-def]
    """What coefficients and baselines leave of the means ``(K,)``, and the variances of these; in place."""
    for k in range(len(y)):
        residual[k] = y[k] - baseline[group[k]]
        error[k] = v / cells[k] + (omega2 if k >= n_control else 0.0)
    for a in range(len(coef)):
        for k in range(len(y)):
            residual[k] -= coef[a] * x[a, k]


@numba.njit(**INNER, fastmath=FAST)
def add_up(target, data, dof, gram, right, coef, v, residual, error, n_control, off, on):  # type: ignore[no-untyped-def]
    """Log density of drug sets, and of the controls, whose products are `gram` and `right`; `dof` is that of all cells."""
    scatter, set_dof = data[2], data[3]
    score, spread = 0.0, data[1][target, target]
    for u in range(len(off)):
        score += max(off[u], on[u]) + math.log1p(math.exp(-abs(off[u] - on[u])))
        spread -= scatter[u, target, target]
        dof -= set_dof[u]
    score -= 0.5 * (dof * math.log(v) + (spread + quadratic(gram, right, coef)) / v)
    for k in range(n_control):
        score -= 0.5 * (math.log(error[k]) + residual[k] * residual[k] / error[k])
    return score


@from_disk
@numba.njit(**ENTRY, fastmath=FAST)
def hard_scores(child, sets, n_functions, data, sizes, prior, prices, n_steps, scores, coefs):  # type: ignore[no-untyped-def]
    """Scores ``(M,)`` of parent sets ``(M, p)`` of one gene by expectation maximisation.

    Parameters
    ----------
    data
        Means by function ``(F, K)``, scatter of all cells and of each drug set ``(F, F)`` and ``(U, F, F)``, degrees of
        freedom of each set ``(U,)``, cells ``(K,)``, baseline group of each context, weights of controls in the first
        baselines ``(K,)``.
    prior
        ``(7,)``; background variance, variance of values, log prior probability of no target and of a target, degrees
        of freedom, ridge, cells that the mechanism's noise counts for where a gene is hit.
    sizes, prices, scores, coefs
        See `scgim._core.structure.compiled.kernels.shift_scores`.
    """
    means, total, scatter, set_dof, cells, group, first = data
    omega2, dof_all, ridge, pseudo = prior[0], prior[4], prior[5], prior[6]
    M, p = sets.shape
    K, U, F, C = means.shape[1], len(sizes), p * n_functions, coefs.shape[1] - p * n_functions
    n_control, target = K - sizes.sum(), child * n_functions
    y, spread_all = means[target], total[target, target]
    cols, x, weight = np.empty(F, dtype=np.int64), np.empty((F, K)), np.empty(K)
    gram_all, right_all = np.empty((F, F)), np.empty(F)
    gram_sets, right_sets = np.empty((U, F, F)), np.empty((U, F))
    gram, right, lhs = np.empty((F, F)), np.empty(F), np.empty((F, F))
    coef, baseline, residual, error = np.empty(F), np.empty(C), np.empty(K), np.empty(K)
    sums, mixed, mixed_y = np.empty(C), np.empty((C, F)), np.empty(C)
    rho, off, on = np.empty(U), np.empty(U), np.empty(U)
    for m in range(M):
        for a in range(F):
            cols[a] = sets[m, a // n_functions] * n_functions + a % n_functions
        gather(cols, target, data, x, gram_all, right_all, gram_sets, right_sets)
        v = 1.0
        for u in range(U):
            rho[u] = 0.0
        for step in range(n_steps + 1):
            hit, of_hit = 0.0, 0.0
            for u in range(U):
                hit += rho[u] * set_dof[u]
                of_hit += rho[u] * scatter[u, target, target]
            take_out(rho, gram_all, right_all, gram_sets, right_sets, gram, right)
            for a in range(F):
                gram[a, a] += ridge
            if step == 0:
                solve_within(gram, right, x, y, group, first, lhs, coef, baseline)
            else:
                weigh_intact(rho, sizes, n_control, error, weight)
                solve_intact(gram, right, x, y, group, weight, v, lhs, coef, baseline, sums, mixed, mixed_y)
            v = max((spread_all - of_hit + quadratic(gram, right, coef)) / max(dof_all - hit, FEWEST), SMALLEST)
            leave(y, x, group, coef, baseline, v, cells, omega2, n_control, residual, error)
            own_v = (of_hit + pseudo * v) / (hit + pseudo)
            weigh_sets(target, data, sizes, prior, gram_sets, right_sets, coef, v, own_v, residual, error, off, on)
            for u in range(U):
                odds = on[u] - off[u]
                rho[u] = 1 / (1 + math.exp(-odds)) if odds > 0 else 1 - 1 / (1 + math.exp(odds))
        for u in range(U):
            rho[u] = 1.0
        take_out(rho, gram_all, right_all, gram_sets, right_sets, gram, right)  # cells of the controls
        score = add_up(target, data, dof_all, gram, right, coef, v, residual, error, n_control, off, on)
        for a in range(p):
            score -= prices[sets[m, a], child]
        scores[m] = score
        for a in range(F):
            coefs[m, a] = coef[a]
        for c in range(C):
            coefs[m, F + c] = baseline[c]
