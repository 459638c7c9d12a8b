"""Compiled inner loops of the choice of shifts and activities (layer `_core`; not from the paper).

The formulas are those of :mod:`scgim._core.kinds.joint`, which tests compare with; a choice is a tuple, see its
`Choice.arrays`. Numba looks at the date of this file alone when it takes compiled code from the disk: touch it after a
change of `numerics`.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from scgim._core.from_disk import from_disk
from scgim._core.structure.numerics import ENTRY, factorise, solve

TINY = 1e-12
FAR = -25.0  # standard deviations from which on a series has the digits of the tail
SURE = -30.0  # log mass within the bounds below which digits are gone
LOG_2PI = math.log(2 * math.pi)
GAIN = 1e-6  # of a change of the choice, in nats


@numba.njit(**ENTRY)
def log_tail(x):  # type: ignore[no-untyped-def]
    """Logarithm of the standard normal distribution function."""
    if x > 0:
        return math.log1p(-0.5 * math.erfc(x / math.sqrt(2.0)))
    if x > FAR:
        return math.log(0.5 * math.erfc(-x / math.sqrt(2.0)))
    q = 1 / (x * x)
    series = q * (1 - q * (3 - q * (15 - q * (105 - 945 * q))))
    return -0.5 * x * x - math.log(-x) - 0.5 * LOG_2PI + math.log1p(-series)


@numba.njit(**ENTRY)
def log_within(mean, variance, lower, upper):  # type: ignore[no-untyped-def]
    """Logarithm of the mass of a normal distribution between two bounds."""
    sd = math.sqrt(max(variance, TINY))
    low, high = (lower - mean) / sd, (upper - mean) / sd
    if low > 0:  # both bounds above the mean: the other tail has the digits
        low, high = -high, -low
    top, bottom = log_tail(high), log_tail(low)
    inside = -math.expm1(min(bottom - top, -1e-300))
    return top + math.log(inside) if inside > 0 else -np.inf


@numba.njit(**ENTRY)
def cut(mean, variance, lower, upper):  # type: ignore[no-untyped-def]
    """Mean and variance of a normal distribution that is cut at two bounds."""
    sd = math.sqrt(max(variance, TINY))
    low, high = (lower - mean) / sd, (upper - mean) / sd
    mass = log_within(mean, variance, lower, upper)
    if mass < SURE:  # all mass is next to a bound
        fall = max(abs(high if mean > upper else low), 1.0)
        return (upper if mean > upper else lower), (sd / fall) ** 2
    at_low = math.exp(min(max(-0.5 * low * low - 0.5 * LOG_2PI - mass, -700.0), 700.0))
    at_high = math.exp(min(max(-0.5 * high * high - 0.5 * LOG_2PI - mass, -700.0), 700.0))
    shift = at_low - at_high
    spread = variance * (1 + low * at_low - high * at_high - shift * shift)
    return min(max(mean + sd * shift, lower), upper), max(spread, TINY)


@numba.njit(**ENTRY)
def inverse_of(chosen, square, prior):  # type: ignore[no-untyped-def]
    """Inverse of the quadratic form and prior of the chosen variables ``(s, s)``, and its log determinant."""
    s = len(chosen)
    factor, out, log_determinant = np.empty((s, s)), np.zeros((s, s)), 0.0
    for a in range(s):
        for b in range(s):
            factor[a, b] = square[chosen[a], chosen[b]]
        factor[a, a] += 1 / prior[chosen[a]]
    factorise(factor, s)
    for a in range(s):
        out[a, a] = 1.0
        solve(factor, out[a], s)
        log_determinant -= 2 * math.log(factor[a, a])
    return out, log_determinant


@from_disk
@numba.njit(**ENTRY)
def conditional(on, choice, odds, mean, variance):  # type: ignore[no-untyped-def]
    """Log odds of each variable given the others, and its mean and variance if it is chosen, ``(V,)`` each, in place."""
    square, linear, prior, log_odds, bound_mass, bounds = choice
    V, B, chosen = len(on), len(bound_mass), np.flatnonzero(on)
    lower, upper, s = bounds[0], bounds[1], len(chosen)
    inverse, _ = inverse_of(chosen, square, prior)
    cross, gain = np.empty((V, s)), np.empty(s)
    for i in range(V):
        schur, moved = square[i, i] + 1 / prior[i], linear[i]
        for b in range(s):
            inner = 0.0
            for a in range(s):
                inner += square[i, chosen[a]] * inverse[a, b]
            cross[i, b] = inner
            schur -= inner * square[i, chosen[b]]
            moved -= inner * linear[chosen[b]]
        variance[i] = 1 / max(schur, TINY)
        mean[i] = moved * variance[i]
    for a in range(s):
        i, inner = chosen[a], 0.0
        for b in range(s):
            inner += inverse[a, b] * linear[chosen[b]]
        mean[i], variance[i] = inner, inverse[a, a]
    for i in range(V):
        odds[i] = 0.5 * mean[i] ** 2 / variance[i] + 0.5 * math.log(variance[i] / prior[i]) + log_odds[i]
        if i < B:
            odds[i] += log_within(mean[i], variance[i], lower, upper) - bound_mass[i]
    n_bounded = 0
    while n_bounded < s and chosen[n_bounded] < B:
        i = chosen[n_bounded]
        gain[n_bounded] = log_within(mean[i], variance[i], lower, upper)
        n_bounded += 1
    if n_bounded > 0:  # what having each variable, or not, changes in the mass of the chosen bounded ones
        for i in range(V):
            if on[i]:
                continue
            for a in range(n_bounded):
                c = cross[i, a]
                there = mean[chosen[a]] - c * mean[i]
                odds[i] += log_within(there, inverse[a, a] + c * c * variance[i], lower, upper) - gain[a]
        for b in range(s):
            for a in range(n_bounded):
                if a != b:
                    ratio = inverse[b, a] / inverse[b, b]
                    there = mean[chosen[a]] - ratio * mean[chosen[b]]
                    left = max(inverse[a, a] - ratio * ratio * inverse[b, b], TINY)
                    odds[chosen[b]] += gain[a] - log_within(there, left, lower, upper)
    for i in range(B):
        mean[i], variance[i] = cut(mean[i], variance[i], lower, upper)


@from_disk
@numba.njit(**ENTRY)
def evidence(on, choice):  # type: ignore[no-untyped-def]
    """Log posterior of a choice, up to a constant."""
    square, linear, prior, log_odds, bound_mass, bounds = choice
    chosen, out = np.flatnonzero(on), 0.0
    inverse, log_determinant = inverse_of(chosen, square, prior)
    for a in range(len(chosen)):
        i, mean = chosen[a], 0.0
        for b in range(len(chosen)):
            mean += inverse[a, b] * linear[chosen[b]]
        out += 0.5 * linear[i] * mean - 0.5 * math.log(prior[i]) + log_odds[i]
        if i < len(bound_mass):
            out += log_within(mean, inverse[a, a], bounds[0], bounds[1]) - bound_mass[i]
    return out + 0.5 * log_determinant


@from_disk
@numba.njit(**ENTRY)
def climb(on, choice, most):  # type: ignore[no-untyped-def]
    """Adds, removes, or exchanges variables while the evidence rises, in place."""
    V = len(on)
    odds, other, mean, variance = np.empty(V), np.empty(V), np.empty(V), np.empty(V)
    rest = np.empty(V, dtype=np.bool_)
    for _ in range(most):
        conditional(on, choice, odds, mean, variance)
        best, gain = 0, -np.inf
        for i in range(V):
            value = -odds[i] if on[i] else odds[i]
            if value > gain:
                best, gain = i, value
        if gain > GAIN:
            on[best] = not on[best]
            continue
        gain, out, new = GAIN, -1, -1
        for x in range(V):
            if not on[x]:
                continue
            for i in range(V):
                rest[i] = on[i] and i != x
            conditional(rest, choice, other, mean, variance)
            y, value = -1, -np.inf
            for i in range(V):
                if not rest[i] and other[i] > value:
                    y, value = i, other[i]
            if y >= 0 and y != x and value - odds[x] > gain:
                gain, out, new = value - odds[x], x, y
        if out < 0:
            break
        on[out], on[new] = False, True


@from_disk
@numba.njit(**ENTRY)
def sweep(on, visited, uniform, choice, odds, mean, variance):  # type: ignore[no-untyped-def]
    """Draws the variables `visited`, one after the other, each given all others, in place; `uniform` are numbers in [0, 1)."""
    for m in range(len(visited)):
        i = visited[m]
        x = -odds[i]
        either = max(x, 0.0) + math.log1p(math.exp(-abs(x)))
        new = uniform[m] < math.exp(-either)
        if new != on[i]:
            on[i] = new
            conditional(on, choice, odds, mean, variance)


@from_disk
@numba.njit(**ENTRY)
def integrate(square, linear, background, out_square, out_linear, evidence):  # type: ignore[no-untyped-def]
    """Quadratic forms ``(K, p, p)`` and ``(K, p)`` with a background of variances ``(K, p)`` integrated out, and its evidence."""
    K, p = linear.shape
    inner, root, right = np.empty((p, p)), np.empty(p), np.empty(p)
    half = np.empty((p, p))  # column b of Q R, as a row
    for k in range(K):
        for a in range(p):
            root[a] = math.sqrt(max(background[k, a], TINY))
        for a in range(p):
            right[a] = root[a] * linear[k, a]
            for b in range(p):
                inner[a, b] = root[a] * square[k, a, b] * root[b] + (a == b)
                half[a, b] = square[k, a, b] * root[b]
        factorise(inner, p)
        solve(inner, right, p)
        log_determinant, explained = 0.0, 0.0
        for a in range(p):
            log_determinant += math.log(inner[a, a])
            explained += root[a] * linear[k, a] * right[a]
            moved = 0.0
            for b in range(p):
                moved += half[a, b] * right[b]
            out_linear[k, a] = linear[k, a] - moved
        evidence[k] = 0.5 * explained - log_determinant
        for a in range(p):
            for b in range(p):
                right[b] = half[a, b]
            solve(inner, right, p)
            for b in range(p):
                moved = 0.0
                for c in range(p):
                    moved += right[c] * half[b, c]
                out_square[k, a, b] = square[k, a, b] - moved


@from_disk
@numba.njit(**ENTRY)
def add_form(variables, form_square, form_linear, rows, factor, others, square, linear):  # type: ignore[no-untyped-def]
    """Adds what one gene tells in the contexts `rows` of a drug to ``square`` (V, V) and ``linear`` (V,).

    ``factor`` and ``others`` (L, V) are the part of the full effect there, and what the other drugs do.
    """
    p = len(variables)
    for m in range(len(rows)):
        k = rows[m]
        for a in range(p):
            i = variables[a]
            told = form_linear[k, a]
            for b in range(p):
                told -= form_square[k, a, b] * others[m, variables[b]]
                square[i, variables[b]] += factor[m, i] * form_square[k, a, b] * factor[m, variables[b]]
            linear[i] += factor[m, i] * told
