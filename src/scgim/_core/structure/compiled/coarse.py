"""Compiled scores of a gene with one more parent, by one regression (layer `_core`; not from the paper).

Which contexts are shifted, a full score learns step by step. Here it is known from the parents that the gene has: contexts keep their weights, and
each candidate takes one step of block elimination. Coefficients within contexts alone, which need no weights, are far off where
covariances are trusted little: parents that would gain tens of nats seemed to lose hundreds, and were never tried.
"""

import numba
import numpy as np

from scgim._core.from_disk import from_disk
from scgim._core.structure.compiled.kernels import SMALLEST, evidence, sum_either, weigh
from scgim._core.structure.compiled.numerics import ENTRY, FAST, PART, factorise, solve


@numba.njit(**PART, fastmath=FAST)
def weigh_contexts(child, cols, start, data, prior, sizes, n_control, work, off, on):  # type: ignore[no-untyped-def]
    """Weights ``(K,)`` of contexts in the regression, given coefficients and then baselines ``(F + C,)``, and the variance of the gene."""
    means, within, cross, variances, cells, spread, passed, group, _, own_means = data
    F, K, v = len(cols), means.shape[1], variances[child]
    residual, error, weight = np.empty(K), np.empty(K), np.empty(K)
    for a in range(F):
        inner = prior[5] * start[a] - 2 * cross[cols[a], child]
        for b in range(F):
            inner += within[cols[a], cols[b]] * start[b]
        v += start[a] * inner
    v = max(v, SMALLEST)
    for k in range(K):
        residual[k] = own_means[child, k] - start[F + group[k]]
        error[k] = v / cells[k]
    for k in range(n_control, K):
        error[k] += prior[0]
    if len(spread):
        for k in range(K):
            error[k] += spread[child, k]
    for a in range(F):
        for k in range(K):
            residual[k] -= start[a] * means[cols[a], k]
        if len(passed):
            for k in range(K):
                error[k] += start[a] * start[a] * passed[cols[a], k]
    evidence(residual, error, prior[1], prior[2], prior[3], sizes, n_control, work, off, on)
    weigh(off, on, sizes, n_control, work, weight)
    return weight, v


@numba.njit(**PART, fastmath=FAST)
def centre(values, weight, group, sums, shares):  # type: ignore[no-untyped-def]
    """Takes the weighted mean of each group from means ``(K,)``; `sums` ``(C,)`` are the weights of groups."""
    for c in range(len(sums)):
        shares[c] = 0.0
    for k in range(len(values)):
        shares[group[k]] += weight[k] * values[k] / sums[group[k]]
    for k in range(len(values)):
        values[k] -= shares[group[k]]


@numba.njit(**PART, fastmath=FAST)
def fit_base(child, cols, scale, data, ridge, weight, C):  # type: ignore[no-untyped-def]
    """Regression on the parents alone.

    Returns
    -------
    Variance and covariances ``(F,)`` that are left within contexts, products of the functions there ``(F, F)`` and the factor of those with all
    weights, coefficients ``(F,)``, means beside baselines ``(F, K)`` and weighed, what is left of the child ``(K,)`` and weighed,
    and the weights of the groups ``(C,)``.
    """
    means, within, cross, variances, group, own_means = data[0], data[1], data[2], data[3], data[7], data[9]
    F, K, v = len(cols), len(weight), variances[child]
    gram, factor, own, left = np.empty((F, F)), np.empty((F, F)), np.empty(F), np.empty(F)
    moved, heavy, plain, rest = np.empty((F, K)), np.empty((F, K)), np.empty(K), np.empty(K)
    sums, shares = np.zeros(C), np.empty(C)
    for k in range(K):
        plain[k] = own_means[child, k]
        sums[group[k]] += weight[k]
    centre(plain, weight, group, sums, shares)
    for a in range(F):
        for k in range(K):
            moved[a, k] = means[cols[a], k]
        centre(moved[a], weight, group, sums, shares)
        own[a] = scale * cross[cols[a], child]
        for k in range(K):
            heavy[a, k] = weight[k] * moved[a, k]
            own[a] += heavy[a, k] * plain[k]
        for b in range(a + 1):
            gram[a, b] = gram[b, a] = within[cols[a], cols[b]] + ridge * (a == b)
            inner = scale * gram[a, b]
            for k in range(K):
                inner += heavy[a, k] * moved[b, k]
            factor[a, b] = inner * (1 + 1e-10 * (a == b))
    factorise(factor, F)
    solve(factor, own, F)
    for a in range(F):
        left[a] = cross[cols[a], child]
        for b in range(F):
            left[a] -= gram[a, b] * own[b]
        v -= own[a] * (cross[cols[a], child] + left[a])
        for k in range(K):
            plain[k] -= own[a] * moved[a, k]
    for k in range(K):
        rest[k] = weight[k] * plain[k]
    return v, left, gram, factor, own, moved, heavy, plain, rest, sums


@numba.njit(**PART, fastmath=FAST)
def fit_added(x, child, cols, scale, data, ridge, known, room):  # type: ignore[no-untyped-def]
    """Coefficients ``(B,)`` of a further parent x, slopes ``(B, F)`` of its functions on the others, and their shares.

    These are means ``(B, C)`` in the groups. `known` is of `fit_base`, and `room` what is written over.
    """
    weight, sums, factor, own, heavy, rest = known
    alpha, slopes, shares, slope, mixed, square = room
    means, within, cross, group = data[0], data[1], data[2], data[7]
    B, F = slopes.shape
    K, C = len(weight), len(sums)
    for b in range(B):
        row = x * B + b
        alpha[b] = scale * cross[row, child]
        inner = 0.0
        for k in range(K):
            inner += rest[k] * means[row, k]
        alpha[b] += inner
        for a in range(F):
            alpha[b] -= scale * within[row, cols[a]] * own[a]
            inner = scale * within[row, cols[a]]
            for k in range(K):
                inner += heavy[a, k] * means[row, k]
            slope[a] = mixed[b, a] = inner
        solve(factor, slope, F)
        for a in range(F):
            slopes[b, a] = slope[a]
        for c in range(C):
            shares[b, c] = 0.0
        if C == 1:
            inner = 0.0
            for k in range(K):
                inner += weight[k] * means[row, k]
            shares[b, 0] = inner
        else:
            for k in range(K):
                shares[b, group[k]] += weight[k] * means[row, k]
        for c in range(C):
            shares[b, c] /= sums[c]
        for c in range(b + 1):
            inner = scale * within[row, x * B + c]
            for k in range(K):
                inner += weight[k] * means[row, k] * means[x * B + c, k]
            for g in range(C):
                inner -= sums[g] * shares[b, g] * shares[c, g]
            for a in range(F):
                inner -= mixed[c, a] * slopes[b, a]
            square[b, c] = inner
        square[b, b] += scale * (ridge + 1e-9)
    factorise(square, B)
    solve(square, alpha, B)


@numba.njit(**PART, fastmath=FAST)
def leave_added(x, child, cols, data, ridge, base_fit, room, step, near, residual, error):  # type: ignore[no-untyped-def]
    """Variance of the gene with a further parent x; what is left of its means ``(K,)`` and variances of that, in place.

    `base_fit` and `room` are of `fit_base` and `fit_added`; `step` ``(F,)`` becomes what x adds to the coefficients of the parents.
    """
    means, within, cross, cells, passed, group = data[0], data[1], data[2], data[4], data[6], data[7]
    v, left, gram, _, own, moved, _, plain, _, _ = base_fit
    alpha, slopes, shares = room[0], room[1], room[2]
    (B, F), K, C = slopes.shape, len(plain), shares.shape[1]
    for k in range(K):
        residual[k] = plain[k]
    for a in range(F):
        step[a] = 0.0
        for b in range(B):
            step[a] -= alpha[b] * slopes[b, a]
        inner = gram[a, a] * step[a] - 2 * left[a]
        for c in range(a):
            inner += 2 * gram[a, c] * step[c]
        v += step[a] * inner
        for k in range(K):
            residual[k] -= step[a] * moved[a, k]
    for b in range(B):
        row = x * B + b
        inner = ridge * alpha[b] - 2 * cross[row, child]
        for a in range(F):
            inner += 2 * within[row, cols[a]] * (own[a] + step[a])
        for c in range(B):
            inner += within[row, x * B + c] * alpha[c]
        v += alpha[b] * inner
        if C == 1:
            for k in range(K):
                residual[k] -= alpha[b] * (means[row, k] - shares[b, 0])
        else:
            for k in range(K):
                residual[k] -= alpha[b] * (means[row, k] - shares[b, group[k]])
    v = max(v, SMALLEST)
    for k in range(K):
        error[k] = v / cells[k] + near[k]
    if len(passed):
        for k in range(K):
            error[k] += alpha[0] * alpha[0] * passed[x, k]
            for a in range(F):
                error[k] += (own[a] + step[a]) ** 2 * passed[cols[a], k]
    return v


@from_disk
@numba.njit(**ENTRY, fastmath=FAST)
def coarse_scores(child, base, candidates, n_functions, data, sizes, prior, prices, start, scores):  # type: ignore[no-untyped-def]
    """Scores ``(M,)`` with each candidate added to the parents `base`, contexts weighed as they are without it.

    Parameters
    ----------
    child, n_functions, data, sizes, prior, prices
        See `kernels.shift_scores`.
    base, candidates
        ``(p,)`` and ``(M,)``.
    start
        Coefficients of the parents, then baselines, ``(p*B + C,)``.
    scores
        Result, ``(M,)``.
    """
    spread, dof, ridge = data[5], prior[4], prior[5]
    K, B, p = data[0].shape[1], n_functions, len(base)
    F, n_control = p * B, K
    for u in range(len(sizes)):
        n_control -= sizes[u]
    C, cols, price = len(start) - F, np.empty(F, dtype=np.int64), 0.0
    for a in range(p):
        price += prices[base[a], child]
        for b in range(B):
            cols[a * B + b] = base[a] * B + b
    slopes, slope, mixed, step = np.empty((B, F)), np.empty(F), np.empty((B, F)), np.empty(F)
    square, alpha, shares = np.empty((B, B)), np.empty(B), np.empty((B, C))
    residual, error, near = np.empty(K), np.empty(K), np.zeros(K)
    work, off, on = np.empty((4, K)), np.empty(len(sizes)), np.empty(len(sizes))
    weight, v = weigh_contexts(child, cols, start, data, prior, sizes, n_control, work, off, on)
    scale = dof / v
    base_fit = fit_base(child, cols, scale, data, ridge, weight, C)
    _, _, _, factor, own, _, heavy, _, rest, sums = base_fit
    known, room = (weight, sums, factor, own, heavy, rest), (alpha, slopes, shares, slope, mixed, square)
    for k in range(n_control, K):
        near[k] = prior[0]
    if len(spread):
        for k in range(K):
            near[k] += spread[child, k]
    for m in range(len(candidates)):
        x = candidates[m]
        fit_added(x, child, cols, scale, data, ridge, known, room)
        v = leave_added(x, child, cols, data, ridge, base_fit, room, step, near, residual, error)
        total = evidence(residual, error, prior[1], prior[2], prior[3], sizes, n_control, work, off, on)
        total += sum_either(off, on, work[0]) - 0.5 * dof * (np.log(v) + 1)
        scores[m] = total - price - prices[x, child]
