"""Compiled inner loops of the scores of parent sets (layer `_core`; not from the paper).

The formulas are those of :mod:`scgim._core.structure.score`, which tests compare with. Parent sets are small and many: nothing is
allocated for one, no array is passed over twice, baselines are eliminated group by group, and logarithms are taken of products.
"""

import numba
import numpy as np

from scgim._core.from_disk import from_disk
from scgim._core.structure.compiled.numerics import (
    ENTRY,
    FAST,
    INNER,
    PART,
    doubted,
    exponentials,
    factorise,
    follow_volume,
    logarithms,
    solve,
    solve_beside_baselines,
)

CHUNK = 8  # variances multiplied before a logarithm is taken: between 1e-14 and 1e14 each, their product stays finite
SMALLEST = 1e-8  # variance of a gene, standardised


@numba.njit(**INNER, fastmath=FAST)
def evidence(residual, error, slab2, log_off, log_on, sizes, n_control, work, off, on):  # type: ignore[no-untyped-def]
    """Log density of the residuals ``(K,)`` of the controls; those of each unit, no target and a target, in `off`, `on`.

    Leaves ``1 / error`` and ``1 / (error + slab2)`` in the last two rows of ``work`` (4, K).
    """
    K = len(residual)
    narrow, wide, inverse, wide_inverse = work[0], work[1], work[2], work[3]
    for k in range(K):
        both = 1 / (error[k] * (error[k] + slab2))  # one division for two
        inverse[k], wide_inverse[k] = both * (error[k] + slab2), both * error[k]
    total, product, n_logs = 0.0, 1.0, np.int64(0)
    for k in range(n_control):
        total += residual[k] * residual[k] * inverse[k]
        product *= error[k]
        if (k + 1) % CHUNK == 0 or k + 1 == n_control:
            narrow[n_logs], product = product, 1.0
            n_logs += 1
    logarithms(narrow, n_logs)
    for i in range(n_logs):
        total += narrow[i]
    n_logs, stop = np.int64(0), n_control
    for u in range(len(sizes)):
        start, stop = stop, stop + sizes[u]
        sum_off, sum_on = 0.0, 0.0
        for k in range(start, stop):
            square = residual[k] * residual[k]
            sum_off += square * inverse[k]
            sum_on += square * wide_inverse[k]
        for first in range(start, stop, CHUNK):
            product, wide_product = error[first], error[first] + slab2
            for k in range(first + 1, min(first + CHUNK, stop)):
                product *= error[k]
                wide_product *= error[k] + slab2
            narrow[n_logs], wide[n_logs] = product, wide_product
            n_logs += 1
        off[u], on[u] = sum_off, sum_on
    logarithms(narrow, n_logs)
    logarithms(wide, n_logs)
    n_logs = np.int64(0)
    for u in range(len(sizes)):
        for _ in range(0, sizes[u], CHUNK):
            off[u] += narrow[n_logs]
            on[u] += wide[n_logs]
            n_logs += 1
        off[u], on[u] = log_off - 0.5 * off[u], log_on - 0.5 * on[u]
    return -0.5 * total


@numba.njit(**INNER, fastmath=FAST)
def sum_either(off, on, work):  # type: ignore[no-untyped-def]
    """Sum over units of ``log(exp(off) + exp(on))``."""
    total, n = 0.0, len(off)
    for u in range(n):
        total += max(off[u], on[u])
        work[u] = -abs(off[u] - on[u])
    exponentials(work, n)
    for u in range(n):
        work[u] += 1
    logarithms(work, n)
    for u in range(n):
        total += work[u]
    return total


@numba.njit(**PART, fastmath=FAST)
def weigh(off, on, sizes, n_control, work, weight):  # type: ignore[no-untyped-def]
    """Weights ``(K,)`` of the contexts in the regression, shifts expected; see `evidence`."""
    inverse, wide_inverse, small = work[2], work[3], work[0]
    n = len(off)
    for u in range(n):
        small[u] = -abs(off[u] - on[u])
    exponentials(small, n)
    for u in range(n):
        less = small[u] / (1 + small[u])  # probability of the less likely of the two
        small[u] = less if off[u] > on[u] else 1 - less
    for k in range(n_control):
        weight[k] = inverse[k]
    stop = n_control
    for u in range(n):
        start, stop = stop, stop + sizes[u]
        for k in range(start, stop):
            weight[k] = inverse[k] + small[u] * (wide_inverse[k] - inverse[k])


@numba.njit(**PART, fastmath=FAST)
def gather(child, cols, data, ridge, x, gram, right):  # type: ignore[no-untyped-def]
    """Means of the parents' functions ``(F, K)``, and their products within contexts with each other and the child; in place."""
    means, within, cross = data[0], data[1], data[2]
    F, K = x.shape
    for a in range(F):
        right[a] = cross[cols[a], child]
        for k in range(K):
            x[a, k] = means[cols[a], k]
        for b in range(F):
            gram[a, b] = within[cols[a], cols[b]]
        gram[a, a] += ridge


@numba.njit(**PART, fastmath=FAST)
def begin(child, data, x, gram, right, lhs, residual, begun):  # type: ignore[no-untyped-def]
    """Coefficients within contexts alone, then baselines of the controls, ``(F + C,)``, in `begun`; the factor in `lhs`."""
    group, first, y = data[7], data[8], data[9][child]
    F, K = x.shape
    for a in range(F):
        begun[a] = right[a]
        for b in range(F):
            lhs[a, b] = gram[a, b]
    factorise(lhs, F)
    solve(lhs, begun, F)
    for k in range(K):
        residual[k] = y[k]
    for a in range(F):
        for k in range(K):
            residual[k] -= begun[a] * x[a, k]
    for c in range(F, len(begun)):
        begun[c] = 0.0
    for k in range(K):
        begun[F + group[k]] += first[k] * residual[k]


@numba.njit(**PART, fastmath=FAST)
def leave(child, cols, data, x, gram, right, omega2, n_control, coef, baseline, residual, error):  # type: ignore[no-untyped-def]
    """Variance of the gene; what coefficients and baselines leave of its means ``(K,)`` and variances of that, in place."""
    cells, spread, passed, group, y = data[4], data[5], data[6], data[7], data[9][child]
    (F, K), v = x.shape, data[3][child]
    for a in range(F):
        inner = -2 * right[a]
        for b in range(F):
            inner += gram[a, b] * coef[b]
        v += coef[a] * inner
    v = max(v, SMALLEST)
    for k in range(K):
        residual[k] = y[k] - baseline[group[k]]
        error[k] = v / cells[k]
    for a in range(F):
        for k in range(K):
            residual[k] -= coef[a] * x[a, k]
    for k in range(n_control, K):
        error[k] += omega2
    if len(spread):
        for k in range(K):
            error[k] += spread[child, k]
    if len(passed):
        for a in range(F):
            for k in range(K):
                error[k] += coef[a] * coef[a] * passed[cols[a], k]
    return v


@numba.njit(**PART, fastmath=FAST)
def solve_weighed(x, y, group, gram, right, scale, weight, lhs, coef, baseline, room):  # type: ignore[no-untyped-def]
    """Coefficients and baselines with weights ``(K,)`` of contexts, in place, and `room` as `solve_beside_baselines` leaves it."""
    weighted, sums, mixed, mixed_y = room
    (F, K), C, trace = x.shape, len(baseline), 0.0
    for c in range(C):
        sums[c] = mixed_y[c] = 0.0
    for k in range(K):
        sums[group[k]] += weight[k]
        mixed_y[group[k]] += weight[k] * y[k]
    for c in range(C):
        trace += sums[c]
    for a in range(F):
        for c in range(C):
            mixed[c, a] = 0.0
        inner = 0.0
        for k in range(K):
            weighted[k] = weight[k] * x[a, k]
            inner += weighted[k] * y[k]
        coef[a] = right[a] * scale + inner
        if C == 1:
            inner = 0.0
            for k in range(K):
                inner += weighted[k]
            mixed[0, a] = inner
        else:
            for k in range(K):
                mixed[group[k], a] += weighted[k]
        for b in range(a + 1):
            inner = 0.0
            for k in range(K):
                inner += weighted[k] * x[b, k]
            lhs[a, b] = gram[a, b] * scale + inner
        trace += lhs[a, a]
    solve_beside_baselines(lhs, coef, baseline, sums, mixed, mixed_y, trace)


@from_disk
@numba.njit(**ENTRY, fastmath=FAST)
def shift_scores(  # type: ignore[no-untyped-def]
    child, sets, n_functions, data, centred, sizes, prior, prices, n_steps, inverse, scores, coefs
):
    """Scores ``(M,)`` of parent sets ``(M, p)`` of one gene by expectation maximisation from one start or two.

    Parameters
    ----------
    data
        Means by function ``(F, K)``, covariance ``(F, F)``, that of functions with children ``(F, G)``, variances of
        children ``(G,)``, cells ``(K,)``, observation noise of means ``(G, K)`` or ``(0, 0)``, what a unit coefficient passes
        on to the variance ``(G, K)`` or ``(0, 0)``, baseline group of each context, weights of controls in the first
        baselines ``(K,)``; means of genes as children ``(G, K)``.
    centred, sizes
        Means against the baselines of controls, by function ``(F, K)``; contexts of each unit, after the controls.
    prior
        ``(7,)``; background variance, variance of effects, log prior probability of no target and of a target, degrees
        of freedom, ridge, and cells in all, which is zero without cycles.
    prices
        Of each edge, ``(G, G)``.
    inverse
        Row of the inverse of I - A of the present cyclic system, ``(G,)``.
    scores, coefs
        Results, ``(M,)`` and coefficients then baselines ``(M, p*B + C)``.
    """
    y, group = data[9][child], data[7]
    omega2, slab2, log_off, log_on = prior[0], prior[1], prior[2], prior[3]
    dof, ridge, n_total = prior[4], prior[5], prior[6]
    M, p = sets.shape
    K, F, C = len(y), p * n_functions, coefs.shape[1] - p * n_functions
    n_control = K
    for u in range(len(sizes)):
        n_control -= sizes[u]
    cols, x = np.empty(F, dtype=np.int64), np.empty((F, K))
    gram, right, lhs = np.empty((F, F)), np.empty(F), np.empty((F, F))
    coef, moved, baseline, begun, odds = np.empty(F), np.empty(F), np.empty(C), np.empty(F + C), np.empty(len(sizes))
    sums, mixed = np.empty(C), np.empty((C, F))
    room = np.empty(K), sums, mixed, np.empty(C)
    residual, error, weight = np.empty(K), np.empty(K), np.empty(K)
    work, off, on = np.empty((4, K)), np.empty(len(sizes)), np.empty(len(sizes))
    for m in range(M):
        for a in range(p):
            for b in range(n_functions):
                cols[a * n_functions + b] = sets[m, a] * n_functions + b
        gather(child, cols, data, ridge, x, gram, right)
        begin(child, data, x, gram, right, lhs, residual, begun)
        turns = False
        for start in range(2):  # the second without targets that are in doubt, see `ShiftScore._maximise`
            if start == 1 and not turns:
                break
            for a in range(F):
                coef[a] = begun[a]
            for c in range(C):
                baseline[c] = begun[F + c]
            total, v = 0.0, 0.0
            for step in range(n_steps + 1):
                v = leave(child, cols, data, x, gram, right, omega2, n_control, coef, baseline, residual, error)
                total = evidence(residual, error, slab2, log_off, log_on, sizes, n_control, work, off, on)
                if step == n_steps:
                    break
                if step == 0 and start == 0 and n_total == 0:
                    given = cols, residual, error, prior, sizes, n_control, off, on, moved, odds
                    turns = doubted(lhs, v / prior[4], centred, *given)
                elif step == 0 and start == 1:
                    for u in range(len(sizes)):
                        on[u] = off[u] + odds[u]
                weigh(off, on, sizes, n_control, work, weight)
                solve_weighed(x, y, group, gram, right, dof / v, weight, lhs, coef, baseline, room)
                if n_total > 0:
                    follow_volume(lhs, coef, baseline, sums, mixed, inverse, child, cols, n_total, moved)
            total += sum_either(off, on, work[0]) - 0.5 * dof * (np.log(v) + 1)
            if n_total > 0:
                determinant = inverse[child]
                for a in range(F):
                    determinant -= inverse[cols[a]] * coef[a]
                total += n_total * np.log(max(determinant, 1e-12))
            if start == 0 or total > scores[m]:
                scores[m] = total
                for a in range(F):
                    coefs[m, a] = coef[a]
                for c in range(C):
                    coefs[m, F + c] = baseline[c]
        for a in range(p):
            scores[m] -= prices[sets[m, a], child]
