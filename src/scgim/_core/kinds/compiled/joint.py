"""Compiled inner loops of the choice of shifts and activities (layer `_core`; not from the paper).

The formulas are those of :mod:`scgim._core.kinds.joint`, which tests compare with; a choice is a tuple, see its
`DrugChoice.arrays`.
"""

import math

import numba
import numpy as np

from scgim._core.from_disk import from_disk
from scgim._core.structure.compiled.numerics import ENTRY, factorise, solve

TINY = 1e-12
FAR = -25.0  # standard deviations from which on a series has the digits of the tail
SURE = -30.0  # log mass within the bounds below which digits are gone
WHOLE = 8.5  # standard deviations beyond which the mass is gone in the last digit
LOG_2PI = math.log(2 * math.pi)
GAIN = 1e-6  # of a change of the choice, in nats
LEAST = 1e-9  # weight of a variable in its mean where it is never chosen
KEPT = 64  # choices whose conditionals are remembered
ODD = -7046029254386353131  # by which places are spread over the integers


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
    top = 0.0 if high > WHOLE else log_tail(high)
    if low < -WHOLE and high > 0:
        return top
    bottom = log_tail(low)
    inside = -math.expm1(min(bottom - top, -1e-300))
    return top + math.log(inside) if inside > 0 else -np.inf


@numba.njit(**ENTRY)
def cut(mean, variance, mass, lower, upper):  # type: ignore[no-untyped-def]
    """Mean and variance of a normal distribution that is cut at two bounds, with this log mass between these."""
    sd = math.sqrt(max(variance, TINY))
    low, high = (lower - mean) / sd, (upper - mean) / sd
    if mass < SURE:  # all mass is next to a bound
        fall = max(abs(high if mean > upper else low), 1.0)
        return (upper if mean > upper else lower), (sd / fall) ** 2
    at_low = math.exp(min(max(-0.5 * low * low - 0.5 * LOG_2PI - mass, -700.0), 700.0))
    at_high = math.exp(min(max(-0.5 * high * high - 0.5 * LOG_2PI - mass, -700.0), 700.0))
    shift = at_low - at_high
    spread = variance * (1 + low * at_low - high * at_high - shift * shift)
    return min(max(mean + sd * shift, lower), upper), max(spread, TINY)


@numba.njit(**ENTRY)
def chosen_of(on):  # type: ignore[no-untyped-def]
    """Places that are true; `numpy.flatnonzero` would load a large part of numba with the compiled code."""
    n = 0
    for i in range(len(on)):
        n += on[i]
    out, n = np.empty(n, dtype=np.int64), 0
    for i in range(len(on)):
        if on[i]:
            out[n] = i
            n += 1
    return out


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
    V, B, chosen = len(on), len(bound_mass), chosen_of(on)
    lower, upper, s = bounds[0], bounds[1], len(chosen)
    inverse, _ = inverse_of(chosen, square, prior)
    cross, mass = np.empty((V, s)), np.empty(B)  # log mass of each variable within the bounds
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
            mass[i] = log_within(mean[i], variance[i], lower, upper)
            odds[i] += mass[i] - bound_mass[i]
    n_bounded = 0
    while n_bounded < s and chosen[n_bounded] < B:
        n_bounded += 1
    if n_bounded > 0:  # what having each variable, or not, changes in the mass of the chosen bounded ones
        for i in range(V):
            if on[i]:
                continue
            for a in range(n_bounded):
                c = cross[i, a]
                there = mean[chosen[a]] - c * mean[i]
                odds[i] += log_within(there, inverse[a, a] + c * c * variance[i], lower, upper) - mass[chosen[a]]
        for b in range(s):
            for a in range(n_bounded):
                if a != b:
                    ratio = inverse[b, a] / inverse[b, b]
                    there = mean[chosen[a]] - ratio * mean[chosen[b]]
                    left = max(inverse[a, a] - ratio * ratio * inverse[b, b], TINY)
                    odds[chosen[b]] += mass[chosen[a]] - log_within(there, left, lower, upper)
    for i in range(B):
        mean[i], variance[i] = cut(mean[i], variance[i], mass[i], lower, upper)


@from_disk
@numba.njit(**ENTRY)
def evidence(on, choice):  # type: ignore[no-untyped-def]
    """Log posterior of a choice, up to a constant."""
    square, linear, prior, log_odds, bound_mass, bounds = choice
    chosen, out = chosen_of(on), 0.0
    inverse, log_determinant = inverse_of(chosen, square, prior)
    for a in range(len(chosen)):
        i, mean = chosen[a], 0.0
        for b in range(len(chosen)):
            mean += inverse[a, b] * linear[chosen[b]]
        out += 0.5 * linear[i] * mean - 0.5 * math.log(prior[i]) + log_odds[i]
        if i < len(bound_mass):
            out += log_within(mean, inverse[a, a], bounds[0], bounds[1]) - bound_mass[i]
    return out + 0.5 * log_determinant


@numba.njit(**ENTRY)
def recall(on, choice, memory):  # type: ignore[no-untyped-def]
    """Row of `memory` with the conditionals of these choices: climbs and sweeps come to the same ones again and again."""
    keys, states, used = memory[0], memory[1], memory[2]
    V, rows, key = len(on), len(keys), len(on)
    for i in range(V):
        if on[i]:
            key ^= (i + 1) * ODD
    for row in range(min(used[0], rows)):
        if keys[row] == key:
            same = True
            for i in range(V):
                same &= states[row, i] == on[i]
            if same:
                return row
    row = used[0] % rows
    used[0] += 1
    keys[row] = key
    for i in range(V):
        states[row, i] = on[i]
    conditional(on, choice, memory[3][row], memory[4][row], memory[5][row])
    return row


@numba.njit(**ENTRY)
def climb(on, choice, most, memory):  # type: ignore[no-untyped-def]
    """Adds, removes, or exchanges variables while the evidence rises, in place."""
    V = len(on)
    odds, rest = np.empty(V), np.empty(V, dtype=np.bool_)
    for _ in range(most):
        row = recall(on, choice, memory)
        best, gain = 0, -np.inf
        for i in range(V):
            odds[i] = memory[3][row, i]
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
            row = recall(rest, choice, memory)
            y, value = -1, -np.inf
            for i in range(V):
                if not rest[i] and memory[3][row, i] > value:
                    y, value = i, memory[3][row, i]
            if y >= 0 and y != x and value - odds[x] > gain:
                gain, out, new = value - odds[x], x, y
        if out < 0:
            break
        on[out], on[new] = False, True


@numba.njit(**ENTRY)
def best(on, choice, n_starts, most, memory):  # type: ignore[no-untyped-def]
    """The best choice found from several starts, in place: none, and single variables, most probable ones first."""
    V = len(on)
    other, tried = np.empty(V, dtype=np.bool_), np.zeros(V, dtype=np.bool_)
    value = -np.inf
    for start in range(min(n_starts, V)):
        for i in range(V):
            other[i] = False
        row, first = recall(other, choice, memory), -1
        for i in range(V):
            if not tried[i] and (first < 0 or memory[3][row, i] > memory[3][row, first]):
                first = i
        tried[first] = True
        other[first] = start > 0  # the most probable one is where a climb from none begins
        climb(other, choice, most, memory)
        reached = evidence(other, choice)
        if reached > value:
            value = reached
            for i in range(V):
                on[i] = other[i]


@numba.njit(**ENTRY)
def sweep(on, visited, uniform, choice, memory):  # type: ignore[no-untyped-def]
    """Draws the variables `visited`, one after the other, each given all others, in place; `uniform` are numbers in [0, 1)."""
    row = recall(on, choice, memory)
    for m in range(len(visited)):
        i = visited[m]
        new = uniform[m] < 1 / (1 + math.exp(-memory[3][row, i]))
        if new != on[i]:
            on[i] = new
            row = recall(on, choice, memory)
    return row


@numba.njit(**ENTRY)
def memory_of(V):  # type: ignore[no-untyped-def]
    """Room for conditionals of `KEPT` choices of V variables, see `recall`."""
    states, used = np.empty((KEPT, V), dtype=np.bool_), np.zeros(1, dtype=np.int64)
    keys = np.empty(KEPT, dtype=np.int64)
    return keys, states, used, np.empty((KEPT, V)), np.empty((KEPT, V)), np.empty((KEPT, V))


@from_disk
@numba.njit(**ENTRY)
def sample(on, choice, n_starts, most, rare, uniform, total, mean, sd):  # type: ignore[no-untyped-def]
    """The best choice into `on`, and averages of the conditionals over Gibbs sweeps from there, ``(V,)`` each, in place.

    ``uniform`` (n, 2, V) are numbers in [0, 1), for the sequence of each sweep and for its draws. ``total`` becomes the
    probability; none are averaged, nor written, without sweeps.
    """
    V, n, memory = len(on), len(uniform), memory_of(len(on))
    best(on, choice, n_starts, most, memory)
    if n == 0:
        return
    now, row = on.copy(), recall(on, choice, memory)
    for i in range(V):
        total[i], mean[i], sd[i] = 0.0, 0.0, 0.0
    for s in range(n):
        visited, many = np.empty(V, dtype=np.int64), 0
        for i in range(V):
            odds, m = memory[3][row, i], memory[4][row, i]
            weight = 1 / (1 + math.exp(-odds)) + LEAST
            total[i] += weight
            mean[i] += weight * m
            sd[i] += weight * (memory[5][row, i] + m * m)
            if now[i] or odds > rare:
                at = int(uniform[s, 0, i] * (many + 1))  # shuffled while they are listed
                visited[many] = visited[at]
                visited[at] = i
                many += 1
        row = sweep(now, visited[:many], uniform[s, 1], choice, memory)
    for i in range(V):
        mean[i] /= total[i]
        sd[i] = math.sqrt(max(sd[i] / total[i] - mean[i] * mean[i], TINY))
        total[i] = min(total[i] / n, 1.0)


@from_disk
@numba.njit(**ENTRY)
def tell(
    j, parents, within_square, within_linear, mean, residual, sampling, edges, own, out_square, out_linear, evidence
):  # type: ignore[no-untyped-def]
    """Quadratic forms ``(K, p+1, p+1)`` and ``(K, p+1)`` of gene j, background integrated out, and the evidence of that ``(K,)``.

    From what the gene tells by context, see `Children`; ``edges`` and ``own`` (K, G) are background variances of the
    effects of each gene, and of its shift.
    """
    K, p = len(residual), len(parents) + 1
    square, linear = np.empty((p, p)), np.empty(p)
    inner, root, right = np.empty((p, p)), np.empty(p), np.empty(p)
    half = np.empty((p, p))  # column b of Q R, as a row
    for k in range(K):
        w = 1 / sampling[k]
        square[p - 1, p - 1], linear[p - 1] = w, w * residual[k]
        root[p - 1] = math.sqrt(max(own[k, j], TINY))
        for a in range(p - 1):
            scaled = w * mean[k, a]
            for b in range(p - 1):
                square[a, b] = within_square[k, a, b] + scaled * mean[k, b]
            square[a, p - 1], square[p - 1, a] = scaled, scaled
            linear[a] = within_linear[k, a] + scaled * residual[k]
            root[a] = math.sqrt(max(edges[k, parents[a]], TINY))
        for a in range(p):
            right[a] = root[a] * linear[a]
            for b in range(p):
                inner[a, b] = root[a] * square[a, b] * root[b] + (a == b)
                half[a, b] = square[a, b] * root[b]
        factorise(inner, p)
        solve(inner, right, p)
        log_determinant, explained = 0.0, 0.0
        for a in range(p):
            log_determinant += math.log(inner[a, a])
            explained += root[a] * linear[a] * right[a]
            moved = 0.0
            for b in range(p):
                moved += half[a, b] * right[b]
            out_linear[k, a] = linear[a] - moved
        evidence[k] = 0.5 * explained - log_determinant
        for a in range(p):
            for b in range(p):
                right[b] = half[a, b]
            solve(inner, right, p)
            for b in range(p):
                moved = 0.0
                for c in range(p):
                    moved += right[c] * half[b, c]
                out_square[k, a, b] = square[a, b] - moved


@from_disk
@numba.njit(**ENTRY)
def add_forms(sizes, variables, squares, linears, rows, factor, others, square, linear):  # type: ignore[no-untyped-def]
    """Adds what all genes tell in the contexts `rows` of a drug to ``square`` (V, V) and ``linear`` (V,).

    Forms of genes with ``sizes`` (G,) variables stand one after the other, see `joint.packed`. ``factor`` and ``others``
    (L, V) are the part of the full effect there, and what the other drugs do.
    """
    n_contexts = len(linears) // max(len(variables), 1)
    first, at, of_square = 0, 0, 0  # variable, and numbers, of a gene
    for p in sizes:
        for m in range(len(rows)):
            k = rows[m]
            for a in range(p):
                i = variables[first + a]
                told, row = linears[at + k * p + a], of_square + (k * p + a) * p
                for b in range(p):
                    j = variables[first + b]
                    told -= squares[row + b] * others[m, j]
                    square[i, j] += factor[m, i] * squares[row + b] * factor[m, j]
                linear[i] += factor[m, i] * told
        first, at, of_square = first + p, at + n_contexts * p, of_square + n_contexts * p * p
