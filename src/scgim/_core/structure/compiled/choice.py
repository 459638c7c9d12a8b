"""Greedy choice of parents with every score remembered, compiled (layer `_core`; not from the paper).

What was chosen before is looked up, unless another choice took its place. Parent sets are known by a hash, the exclusive or
of a random number of each member and one of the child, in tables with open addresses. What is missed there is asked for (`ASK_...`): by `compute`, which has the compiled scores of shifts, or
by Python, for any score; the choice then goes on where it was. No kernel is called from within a choice, for every
caller is compiled with all of it: `moves.drive` is the only one that computes.
"""

import numba
import numpy as np

from scgim._core.from_disk import from_disk
from scgim._core.structure.compiled.coarse import coarse_scores
from scgim._core.structure.compiled.kernels import shift_scores
from scgim._core.structure.compiled.numerics import ENTRY, INNER, PART

TOLERANCE = 1e-6  # of parent sets
ASK_ROOM, ASK_SETS, ASK_ADDED, ASK_EXACT = 0, 1, 2, 3
N_ROWS, N_VALUES, N_SCORED, STAGE, N_CHOSEN, PENDING = 0, 1, 2, 3, 4, 5  # places in the table of numbers
FORWARD, BACKWARD = 1, 2  # stages of a choice that had to ask
SPREAD = 2654435761  # by which numbers of parents are spread over the keys
N_REFINED = 3  # candidates scored in full at a time; the others coarsely


@numba.njit(**INNER)
def find(keys, key):  # type: ignore[no-untyped-def]
    """Place of a key in a table, or the empty place where it belongs."""
    mask = len(keys) - 1
    i = (key ^ (key >> 31)) & mask
    while keys[i] != 0 and keys[i] != key:
        i = (i + 1) & mask
    return i


@from_disk
@numba.njit(**ENTRY)
def enlarge(keys, values, new_keys, new_values):  # type: ignore[no-untyped-def]
    """Copies a table into a larger one, whose keys are zero."""
    for i in range(len(keys)):
        if keys[i] != 0:
            at = find(new_keys, keys[i])
            new_keys[at], new_values[at] = keys[i], values[i]


@numba.njit(**INNER)
def hash_of(child, parents, n, tables):  # type: ignore[no-untyped-def]
    """Key of a child with its n parents."""
    member, own = tables[2], tables[3]
    key = own[child]
    for a in range(n):
        key ^= member[parents[a]]
    return key


@numba.njit(**INNER)
def keep_value(child, parents, n, value, tables):  # type: ignore[no-untyped-def]
    """Remembers the score of n parents."""
    keys, known, used = tables[6], tables[7], tables[10]
    key = hash_of(child, parents, n, tables)
    at = find(keys, key)
    used[N_VALUES] += keys[at] == 0
    keys[at], known[at] = key, value


@from_disk
@numba.njit(**ENTRY)
def keep_values(child, sets, scores, tables):  # type: ignore[no-untyped-def]
    """Remembers scores ``(M,)`` of parent sets ``(M, p)``."""
    for m in range(len(sets)):
        keep_value(child, sets[m], sets.shape[1], scores[m], tables)


@from_disk
@numba.njit(**ENTRY)
def keep_added(child, parents, n, places, found, few, tables):  # type: ignore[no-untyped-def]
    """Remembers scores ``(M,)`` with the candidates at `places` added to n parents; the row."""
    keys, rows, scores, exact, used = tables[4], tables[5], tables[8], tables[9], tables[10]
    key, row = hash_of(child, parents, n, tables), used[N_ROWS]
    at = find(keys, key)
    keys[at], rows[at] = key, row
    for c in range(scores.shape[1]):
        scores[row, c], exact[row, c] = -np.inf, few
    for m in range(len(places)):
        scores[row, places[m]] = found[m]
    used[N_ROWS] += 1
    return row


@from_disk
@numba.njit(**ENTRY)
def keep_exact(child, parents, n, places, found, tables):  # type: ignore[no-untyped-def]
    """Remembers exact scores ``(M,)`` with the candidates at `places` added to n parents, which have a row."""
    row = tables[5][find(tables[4], hash_of(child, parents, n, tables))]
    for m in range(len(places)):
        tables[8][row, places[m]], tables[9][row, places[m]] = found[m], True


@from_disk
@numba.njit(**ENTRY)
def set_values(child, sets, tables, ask, values):  # type: ignore[no-untyped-def]
    """Scores of parent sets ``(M, p)`` into `values`; whether all are there."""
    keys, known, used = tables[6], tables[7], tables[10]
    M, p = sets.shape
    missing = 0
    for m in range(M):
        at = find(keys, hash_of(child, sets[m], p, tables))
        if keys[at] == 0:
            for a in range(p):
                ask[4 + missing * p + a] = sets[m, a]
            missing += 1
        else:
            values[m] = known[at]
    if missing == 0:
        return True
    ask[0] = ASK_SETS if 2 * (used[N_VALUES] + missing) <= len(keys) else ASK_ROOM
    ask[1], ask[2], ask[3] = child, p, missing
    return False


@from_disk
@numba.njit(**ENTRY)
def added_row(child, parents, n, tables, ask):  # type: ignore[no-untyped-def]
    """Row of the scores with one candidate added to n parents, or -1 where they have to be asked for."""
    keys, used = tables[4], tables[10]
    at = find(keys, hash_of(child, parents, n, tables))
    if keys[at] != 0:
        return tables[5][at]
    room = 2 * (used[N_ROWS] + 1) <= len(keys) and used[N_ROWS] + 1 <= len(tables[8])
    ask[0], ask[1], ask[2] = ASK_ADDED if room else ASK_ROOM, child, n
    many = 0
    for c in range(tables[1][child]):  # places of the candidates that are no parents
        free = True
        for a in range(n):
            ask[4 + a] = parents[a]
            free &= tables[0][child, c] != parents[a]
        if free:
            ask[4 + n + many] = c
            many += 1
    ask[3] = many
    return -1


@numba.njit(**INNER)
def best_added(child, parents, n, allowed, tables, ask):  # type: ignore[no-untyped-def]
    """The candidate that is best added to n parents and its exact score; -1 where none may be, -2 where asked."""
    cands, n_cands, scores, exact = tables[0], tables[1], tables[8], tables[9]
    row = added_row(child, parents, n, tables, ask)
    if row < 0:
        return -2, 0.0
    top = np.empty(N_REFINED, dtype=np.int64)
    best, value = -1, -np.inf
    for c in range(n_cands[child]):
        if scores[row, c] > value and allowed[cands[child, c]]:
            best, value = c, scores[row, c]
    if best < 0:
        return -1, value
    if exact[row, best]:
        return cands[child, best], value
    n_top = 0
    for c in range(n_cands[child]):  # the best of those that are not exact, best first
        if exact[row, c] or scores[row, c] == -np.inf or not allowed[cands[child, c]]:
            continue
        if n_top == N_REFINED and scores[row, c] <= scores[row, top[n_top - 1]]:
            continue
        at = min(n_top, N_REFINED - 1)
        n_top = min(n_top + 1, N_REFINED)
        while at > 0 and scores[row, top[at - 1]] < scores[row, c]:
            top[at] = top[at - 1]
            at -= 1
        top[at] = c
    ask[0], ask[1], ask[2], ask[3] = ASK_EXACT, child, n, n_top
    for a in range(n):
        ask[4 + a] = parents[a]
    for m in range(n_top):
        ask[4 + n + m] = top[m]
    return -2, 0.0


@numba.njit(**INNER)
def choice_key(child, allowed, most, tables):  # type: ignore[no-untyped-def]
    """Key of a choice from none, never zero: its child, the candidates that are allowed, and how many may be chosen."""
    cands, member = tables[0], tables[2]
    key = tables[3][child] ^ (most * SPREAD)
    for c in range(tables[1][child]):
        if allowed[cands[child, c]]:
            key ^= member[cands[child, c]]
    return key | 1


@numba.njit(**PART)
def best_rest(child, parents, n, tables, ask, rests, values):  # type: ignore[no-untyped-def]
    """The row of the sets without one of n parents that scores best, or -1 where asked; sets and scores in `rests`, `values`."""
    for out in range(n):
        for a in range(n - 1):
            rests[out, a] = parents[a if a < out else a + 1]
    if not set_values(child, rests, tables, ask, values):
        return -1
    best = 0
    for out in range(1, n):
        if values[out] > values[best]:
            best = out
    return best


@from_disk
@numba.njit(**ENTRY)
def best_parents(child, allowed, most, tables, ask, parents):  # type: ignore[no-untyped-def]
    """Greedy forward-backward choice of at most `most` of the allowed genes, a mask ``(G,)``.

    Returns
    -------
    The number of parents, sorted in `parents`, and the score; -1 where something has to be asked for.
    """
    keys, known, used = tables[6], tables[7], tables[10]
    past, sets, counts, values_then = tables[11:]
    if used[STAGE] == 0:
        used[PENDING] = choice_key(child, allowed, most, tables)
        at = (used[PENDING] >> 1) & (len(past) - 1)
        if past[at] == used[PENDING]:
            for a in range(counts[at]):
                parents[a] = sets[at, a]
            return counts[at], values_then[at]
    n, single = used[N_CHOSEN], np.empty(1)
    forward, n = used[STAGE] != BACKWARD, n if used[STAGE] > 0 else 0
    if n == 0:
        if not set_values(child, np.empty((1, 0), dtype=np.int64), tables, ask, single):
            return -1, 0.0
        value = single[0]
    else:
        value = known[find(keys, hash_of(child, parents, n, tables))]
    while forward and n < most:
        used[STAGE], used[N_CHOSEN] = FORWARD, n
        if 2 * (used[N_VALUES] + 1) > len(keys):
            ask[0] = ASK_ROOM
            return -1, 0.0
        x, score = best_added(child, parents, n, allowed, tables, ask)
        if x == -2:
            return -1, 0.0
        if x == -1 or not score > value + TOLERANCE:
            break
        value, at = score, n
        while at > 0 and parents[at - 1] > x:
            parents[at] = parents[at - 1]
            at -= 1
        parents[at] = x
        n += 1
        keep_value(child, parents, n, value, tables)
    while n > 1:
        used[STAGE], used[N_CHOSEN] = BACKWARD, n
        rests, values = np.empty((n, n - 1), dtype=np.int64), np.empty(n)
        best = best_rest(child, parents, n, tables, ask, rests, values)
        if best < 0:
            return -1, 0.0
        if values[best] <= value + TOLERANCE:
            break
        value, n = values[best], n - 1
        for a in range(n):
            parents[a] = rests[best, a]
    if used[PENDING] != 0:
        at = (used[PENDING] >> 1) & (len(past) - 1)
        past[at], counts[at], values_then[at] = used[PENDING], n, value
        for a in range(n):
            sets[at, a] = parents[a]
    used[STAGE] = 0
    return n, value


@numba.njit(**PART)
def compute(tables, ask, engine):  # type: ignore[no-untyped-def]
    """Computes and remembers the scores that are asked for, with an engine as in `ShiftScore.engine`; whether it could."""
    n_functions, n_steps, n_groups, data, centred, sizes, numbers, prices = engine
    kind, child, n, many = ask[0], ask[1], ask[2], ask[3]
    if n_functions == 0 or kind == ASK_ROOM:
        return False
    tables[10][N_SCORED] += many
    scores, parents, places = np.empty(many), ask[4 : 4 + n].copy(), ask[4 + n : 4 + n + many].copy()
    width = n if kind == ASK_SETS else n + 1
    sets, few = np.empty((many, width), dtype=np.int64), many <= N_REFINED
    for m in range(many):
        for a in range(n):
            sets[m, a] = ask[4 + m * n + a] if kind == ASK_SETS else parents[a]
        if kind != ASK_SETS:
            sets[m, n] = tables[0][child, places[m]]
    if kind == ASK_ADDED and not few:
        genes = sets[:, n].copy()
        begun = np.empty((1, n * n_functions + n_groups))
        given = data, centred, sizes, numbers[child], prices, n_steps, data[3]
        shift_scores(child, parents.reshape((1, n)), n_functions, *given, np.empty(1), begun)
        coarse_scores(child, parents, genes, n_functions, data, sizes, numbers[child], prices, begun[0], scores)
    else:
        coefs = np.empty((many, width * n_functions + n_groups))
        given = data, centred, sizes, numbers[child], prices, n_steps, data[3]
        shift_scores(child, sets, n_functions, *given, scores, coefs)
    if kind == ASK_SETS:
        keep_values(child, sets, scores, tables)
    elif kind == ASK_ADDED:
        keep_added(child, parents, n, places, scores, few, tables)
    else:
        keep_exact(child, parents, n, places, scores, tables)
    return True
