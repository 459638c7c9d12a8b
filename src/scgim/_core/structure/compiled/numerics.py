"""Small compiled steps: Cholesky factors, odds, logarithms and exponentials of arrays (layer `_core`; not from the paper)."""

from typing import Any

import numba
import numpy as np

FAST = {"reassoc", "contract", "nsz", "arcp"}  # sums in any order; infinite values keep their meaning
ENTRY: dict[str, Any] = {"error_model": "numpy", "no_cfunc_wrapper": True}
"""Options of compiled functions that Python calls, which `from_disk` keeps; a wrapper for other languages would be compiled for nothing."""
INNER = ENTRY | {"no_cpython_wrapper": True}
"""Those of functions that compiled ones alone call."""
PART = INNER | {"inline": "always"}
"""Those of functions that become part of their callers: on their own, they would be compiled and optimised for nothing."""
LOG_2 = float(np.log(2.0))
SHIFT = (1 << 52) - int(np.float64(np.sqrt(2.0)).view(np.int64) & ((1 << 52) - 1))


@numba.njit(**ENTRY, fastmath=FAST)
def factorise(a, n):  # type: ignore[no-untyped-def]
    """Cholesky factor of the leading ``(n, n)`` of a symmetric matrix, in its lower triangle, in place."""
    for i in range(n):
        for j in range(i + 1):
            left = a[i, j]
            for k in range(j):
                left -= a[i, k] * a[j, k]
            if i == j:
                a[i, i] = np.sqrt(max(left, 1e-300))
            else:
                a[i, j] = left / a[j, j]


@numba.njit(**ENTRY, fastmath=FAST)
def solve(factor, right, n):  # type: ignore[no-untyped-def]
    """Solves with a Cholesky factor, in place."""
    for i in range(n):
        left = right[i]
        for k in range(i):
            left -= factor[i, k] * right[k]
        right[i] = left / factor[i, i]
    for i in range(n - 1, -1, -1):
        left = right[i]
        for k in range(i + 1, n):
            left -= factor[k, i] * right[k]
        right[i] = left / factor[i, i]


@numba.njit(**PART, fastmath=FAST)
def quadratic(factor, right, n):  # type: ignore[no-untyped-def]
    """Product ``right' A^-1 right`` with the Cholesky factor of A; writes over `right`."""
    total = 0.0
    for i in range(n):
        left = right[i]
        for k in range(i):
            left -= factor[i, k] * right[k]
        right[i] = left / factor[i, i]
        total += right[i] * right[i]
    return total


@numba.njit(**INNER, fastmath=FAST)
def doubted(factor, variance, changes, cols, residual, error, prior, sizes, n_control, off, on, row, odds):  # type: ignore[no-untyped-def]
    """Log odds of a target ``(U,)``, in `odds`, if coefficients are as uncertain as within contexts; whether any turns by that.

    Takes the Cholesky factor of the covariance of the parents' functions ``(F, F)``, the variance that multiplies its inverse, and
    changes ``(F', K)`` with the rows `cols`; `row` ``(F,)`` is written over.
    """
    turns, stop = False, n_control
    for u in range(len(sizes)):
        start, stop = stop, stop + sizes[u]
        odds[u] = on[u] - off[u]
        if odds[u] <= 0:
            continue
        odds[u] = prior[3] - prior[2]
        for k in range(start, stop):
            for a in range(len(cols)):
                row[a] = changes[cols[a], k]
            narrow = error[k] + variance * quadratic(factor, row, len(cols))
            wide = narrow + prior[1]
            odds[u] += 0.5 * (residual[k] * residual[k] * (1 / narrow - 1 / wide) - np.log(wide / narrow))
        turns |= odds[u] < 0
    return turns


@numba.njit(**PART, fastmath=FAST)
def solve_beside_baselines(lhs, coef, baseline, sums, mixed, mixed_y, trace):  # type: ignore[no-untyped-def]
    """Least squares with a baseline of each group, which is eliminated so that only coefficients are solved for; in place.

    Parameters
    ----------
    lhs, coef
        Products of the regressors ``(F, F)``, in the lower triangle, and with the response ``(F,)``; become the
        Cholesky factor of what is left of them, and the coefficients.
    baseline
        Result, ``(C,)``.
    sums, mixed, mixed_y
        Weights of the groups ``(C,)``, and their products with the regressors ``(C, F)`` and the response ``(C,)``.
    trace
        Of all products, to which a 1e10th is added on the diagonal.
    """
    C, F = mixed.shape
    little = 1e-10 * trace
    for c in range(C):
        sums[c] += little
        for a in range(F):
            share = mixed[c, a] / sums[c]
            coef[a] -= share * mixed_y[c]
            for b in range(a + 1):
                lhs[a, b] -= share * mixed[c, b]
    for a in range(F):
        lhs[a, a] += little
    factorise(lhs, F)
    solve(lhs, coef, F)
    for c in range(C):
        baseline[c] = mixed_y[c]
        for a in range(F):
            baseline[c] -= mixed[c, a] * coef[a]
        baseline[c] /= sums[c]


@numba.njit(**PART, fastmath=FAST)
def follow_volume(factor, coef, baseline, sums, mixed, inverse, child, cols, n_total, moved):  # type: ignore[no-untyped-def]
    """Moves coefficients along the gradient of the log determinant of a cyclic system, in place: see `CyclicScore.maximum`.

    Takes what `solve_beside_baselines` leaves; `moved` ``(F,)`` is written over.
    """
    C, F = mixed.shape
    t0, push = inverse[child], 0.0
    for a in range(F):
        moved[a] = inverse[cols[a]]
        t0 -= moved[a] * coef[a]
    solve(factor, moved, F)
    for a in range(F):
        push += inverse[cols[a]] * moved[a]
    t = max(0.5 * (t0 + np.sqrt(t0 * t0 + 4 * n_total * max(push, 0.0))), 1e-12)
    for c in range(C):
        inner = 0.0
        for a in range(F):
            inner += mixed[c, a] * moved[a]
        baseline[c] += n_total * inner / sums[c] / t
    for a in range(F):
        coef[a] -= n_total * moved[a] / t


@numba.njit(**ENTRY, fastmath=FAST)
def logarithms(values, n):  # type: ignore[no-untyped-def]
    """Natural logarithms of the first n positive normal numbers, in place and several at a time.

    With ``x = 2^e m`` and m about 1, ``log x = e log 2 + 2 artanh((m - 1) / (m + 1))``, the series of which is short.
    """
    bits = values.view(np.int64)
    for i in range(n):
        whole = bits[i]
        power = ((whole + SHIFT) >> 52) - 1023  # of m between sqrt(1/2) and sqrt(2)
        bits[i] = whole - (power << 52)
        m = values[i]
        s = (m - 1) / (m + 1)
        q = s * s
        series = 1 / 11 + q * (1 / 13 + q * (1 / 15 + q * (1 / 17 + q * (1 / 19 + q * (1 / 21)))))
        series = 1 + q * (1 / 3 + q * (1 / 5 + q * (1 / 7 + q * (1 / 9 + q * series))))
        values[i] = power * LOG_2 + 2 * s * series


@numba.njit(**ENTRY, fastmath=FAST)
def exponentials(values, n):  # type: ignore[no-untyped-def]
    """Exponentials of the first n numbers, which are not positive, in place and several at a time."""
    bits = values.view(np.int64)
    for i in range(n):
        x = max(values[i], -700.0)
        power = int(x / LOG_2 - 0.5)
        r = x - power * LOG_2  # between -log(2) / 2 and log(2) / 2
        series = 1 + r / 10 * (1 + r / 11 * (1 + r / 12 * (1 + r / 13)))
        series = 1 + r / 5 * (1 + r / 6 * (1 + r / 7 * (1 + r / 8 * (1 + r / 9 * series))))
        series = 1 + r * (1 + r / 2 * (1 + r / 3 * (1 + r / 4 * series)))
        bits[i] = (power + 1023) << 52
        values[i] *= series
