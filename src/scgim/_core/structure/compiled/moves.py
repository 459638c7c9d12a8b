"""Moves of the search over orders, compiled (layer `_core`; not from the paper).

The state of a search is a tuple of arrays: order and place of the genes, parents ``(G, P)``, their numbers, scores,
usual numbers. Steps of a move look first, which leaves what it would change in `changes`, and `commit` makes it. Where a
score has to be asked for (:mod:`scgim._core.structure.compiled.choice`), the gain is `ASKED`; called again, a move takes what it
had chosen before from its log. Counts start at ``np.int64(0)``: for a plain zero, numba would compile every function
that it is handed to once more.
"""

from typing import Any

import numba
import numpy as np

from scgim._core.from_disk import from_disk
from scgim._core.structure.compiled.choice import (
    FORWARD,
    N_CHOSEN,
    PENDING,
    STAGE,
    added_row,
    best_parents,
    compute,
    set_values,
)
from scgim._core.structure.compiled.numerics import ENTRY, INNER, PART

EXTRA = 2  # parents that a gene may gain at once in a proposal: how many pay depends on the number of cells
GAIN = 0.1  # of a move, in nats: smaller ones are not worth an evaluation
ASKED = np.nan
TURN, REORIENT, IMPROVE, EITHER, MEND, ANSWER = 0, 1, 2, 3, 4, 5  # kinds of moves, see `drive`
LISTS, TURNS, RIGHT, LEFT, MENDS = 0, 1, 2, 3, 4  # their stages
MOST_TURNS = 10  # later genes that a gene tries as parents at once


Room = tuple[Any, Any, np.ndarray, np.ndarray, np.ndarray]  # see `drive`


def room_of(changes: tuple[np.ndarray, ...], others: tuple[np.ndarray, ...]) -> Room:
    """What moves remember, with room for the changes of both sides."""
    found, hopes = np.zeros(MOST_TURNS, dtype=np.int64), np.zeros(MOST_TURNS + 1)
    return changes, others, found, hopes, np.zeros(5, dtype=np.int64)


@numba.njit(**INNER)
def is_parent(state, child, gene):  # type: ignore[no-untyped-def]
    """Whether a gene is a parent of the child now."""
    parents, counts = state[2], state[3]
    for a in range(counts[child]):
        if parents[child, a] == gene:
            return True
    return False


@numba.njit(**INNER)
def mask(state, stop):  # type: ignore[no-untyped-def]
    """Genes before place `stop`, ``(G,)``."""
    allowed = np.zeros(len(state[0]), dtype=np.bool_)
    for k in range(stop):
        allowed[state[0][k]] = True
    return allowed


@numba.njit(**INNER)
def choose(child, allowed, state, tables, ask, log, step, changes, at):  # type: ignore[no-untyped-def]
    """Best parents of a gene in a proposal, as change number `at`; their score, or `ASKED`.

    What was chosen in the first steps of a move that had to ask is in the log and stands.
    """
    genes, sets, counts, values = changes
    _, log_sets, log_counts, log_values = log
    if step == log[0][0]:  # the row of the log keeps what a choice that had to ask goes on from
        most = min(max(state[5][child], state[3][child]) + EXTRA, sets.shape[1])
        n, value = best_parents(child, allowed, most, tables, ask, log_sets[step])
        if n < 0:
            return ASKED
        log_counts[step], log_values[step] = n, value
        log[0][0] = step + 1
    genes[at], counts[at], values[at] = child, log_counts[step], log_values[step]
    for a in range(sets.shape[1]):
        sets[at, a] = log_sets[step, a]
    return values[at]


@numba.njit(**INNER)
def copy_change(changes, source, target):  # type: ignore[no-untyped-def]
    """Copies one change over another."""
    genes, sets, counts, values = changes
    genes[target], counts[target], values[target] = genes[source], counts[source], values[source]
    for a in range(sets.shape[1]):
        sets[target, a] = sets[source, a]


@numba.njit(**PART)
def look_right(i, window, listed, state, tables, ask, log, changes):  # type: ignore[no-untyped-def]
    """Best place to the right for the gene at place i: gain, place and number of changes."""
    order, values = state[0], state[4]
    G, spare = len(order), len(changes[0]) - 1
    g, allowed = order[i], mask(state, i)
    before, ceiling = allowed.copy(), allowed.copy()
    last = min(G, i + 1 + window)
    for q in range(i + 1, last):
        ceiling[order[q]] = True
    step = np.int64(0)
    most = choose(g, ceiling, state, tables, ask, log, step, changes, spare) - values[g]
    if np.isnan(most):
        return ASKED, i, 0
    best, best_q, best_n = 0.0, i, np.int64(0)
    if most <= GAIN:
        return best, best_q, best_n
    lost, n, step, kept = 0.0, np.int64(0), np.int64(1), spare - 1  # `kept` holds the parents of g at the best place
    before[g] = True
    for q in range(i + 1, last):
        x = order[q]
        if is_parent(state, x, g):
            before[g] = False
            value = choose(x, before, state, tables, ask, log, step, changes, n)
            before[g], step = True, step + 1
            if np.isnan(value):
                return ASKED, i, 0
            lost += value - values[x]
            n += 1
        before[x] = True
        allowed[x] = True
        if lost + most <= GAIN:
            break
        if not listed[x, g]:
            continue
        own = choose(g, allowed, state, tables, ask, log, step, changes, spare)
        step += 1
        if np.isnan(own):
            return ASKED, i, 0
        gain = lost + own - values[g]
        if gain > best + GAIN:
            best, best_q, best_n = gain, q, n
            copy_change(changes, spare, kept)
    if best > 0:
        copy_change(changes, kept, best_n)
        best_n += 1
    return best, best_q, best_n


@numba.njit(**PART)
def look_left(i, window, listed, state, tables, ask, log, changes):  # type: ignore[no-untyped-def]
    """Best place to the left for the gene at place i: gain, place and number of changes."""
    order, parents, counts, values = state[0], state[2], state[3], state[4]
    g, allowed, spare = order[i], mask(state, i), len(changes[0]) - 1
    before = allowed.copy()
    best, best_q, gained = 0.0, i, 0.0
    best_n, n, step = np.int64(0), np.int64(0), np.int64(0)
    kept = spare - 1  # `spare` holds the parents of g here, `kept` those at the best place
    changes[0][spare], changes[2][spare], changes[3][spare] = g, counts[g], values[g]
    for a in range(parents.shape[1]):
        changes[1][spare, a] = parents[g, a]
    for q in range(i - 1, max(-1, i - 1 - window), -1):
        x = order[q]
        before[x] = False
        allowed[x] = False
        if listed[g, x]:
            before[g] = True
            value = choose(x, before, state, tables, ask, log, step, changes, n)
            before[g], step = False, step + 1
            if np.isnan(value):
                return ASKED, i, 0
            if value > values[x] + GAIN:
                gained += value - values[x]
                n += 1
        needed = False
        for a in range(changes[2][spare]):
            needed |= changes[1][spare, a] == x
        if needed:
            if np.isnan(choose(g, allowed, state, tables, ask, log, step, changes, spare)):
                return ASKED, i, 0
            step += 1
        gain = gained + changes[3][spare] - values[g]
        if gain > best + GAIN:
            best, best_q, best_n = gain, q, n
            copy_change(changes, spare, kept)
    if best > 0:
        copy_change(changes, kept, best_n)
        best_n += 1
    return best, best_q, best_n


@numba.njit(**INNER)
def commit(changes, n, state, touched):  # type: ignore[no-untyped-def]
    """Takes over n changes of parents."""
    for at in range(n):
        g = changes[0][at]
        for a in range(changes[1].shape[1]):
            state[2][g, a] = changes[1][at, a]
        state[3][g], state[4][g] = changes[2][at], changes[3][at]
        touched[g] = True


@numba.njit(**PART)
def openings(g, state, tables, ask, found, hopes):  # type: ignore[no-untyped-def]
    """Genes later in the order that gene g would gain from as a parent, the best `MOST_TURNS` first; their number, or -1.

    ``hopes[0]`` becomes what all of them would gain.
    """
    cands, n_cands, scores = tables[0], tables[1], tables[8]
    row = added_row(g, state[2][g], state[3][g], tables, ask)
    if row < 0:
        return -1
    n, hopes[0] = 0, 0.0
    for c in range(n_cands[g]):
        x, gain = cands[g, c], scores[row, c] - state[4][g]
        if not gain > GAIN or state[1][x] <= state[1][g]:
            continue
        hopes[0] += gain
        if n == MOST_TURNS and gain <= hopes[n]:
            continue
        n = min(n + 1, MOST_TURNS)
        at = n - 1
        while at > 0 and hopes[at] < gain:  # `hopes[at]` is that of `found[at - 1]`
            found[at], hopes[at + 1] = found[at - 1], hopes[at]
            at -= 1
        found[at], hopes[at + 1] = x, gain
    return n


@numba.njit(**PART)
def put(i, q, state):  # type: ignore[no-untyped-def]
    """Moves the gene at place i to place q."""
    order, place, step = state[0], state[1], 1 if q > i else -1
    g = order[i]
    for k in range(i, q, step):
        order[k] = order[k + step]
        place[order[k]] = k
    order[q], place[g] = g, q


@numba.njit(**PART)
def turn(g, x, hope, least, state, tables, ask, log, changes, touched):  # type: ignore[no-untyped-def]
    """Moves gene g behind x where that gains more than `least`; the gain, zero where it was not made.

    Descendants of g that x does not need move along, so that only genes on the way from g to x lose g. Given up early
    where they lose more than `hope`.
    """
    order, place, parents, counts, values = state[0], state[1], state[2], state[3], state[4]
    G, i, q = len(order), state[1][g], state[1][x]
    below, needed = np.zeros(G, dtype=np.bool_), np.zeros(G, dtype=np.bool_)
    below[g], needed[x] = True, True
    for k in range(i + 1, q + 1):
        y = order[k]
        for a in range(counts[y]):
            below[y] |= below[parents[y, a]]
    for k in range(q, i, -1):
        y = order[k]
        if needed[y]:
            for a in range(counts[y]):
                needed[parents[y, a]] = True
    allowed, delta, n = mask(state, i), 0.0, np.int64(0)
    for k in range(i + 1, q + 1):
        y = order[k]
        if below[y] and not needed[y]:
            continue
        if is_parent(state, y, g):
            value = choose(y, allowed, state, tables, ask, log, n, changes, n)
            if np.isnan(value):
                return ASKED
            delta += value - values[y]
            n += 1
        allowed[y] = True
    if delta + hope <= least:
        return 0.0
    value = choose(g, allowed, state, tables, ask, log, n, changes, n)
    if np.isnan(value):
        return ASKED
    delta += value - values[g]
    if delta <= least:
        return 0.0
    new, at = np.empty(q + 1 - i, dtype=np.int64), 0
    for k in range(i + 1, q + 1):
        if needed[order[k]] or not below[order[k]]:
            new[at] = order[k]
            at += 1
    new[at] = g
    for k in range(i + 1, q + 1):
        if below[order[k]] and not needed[order[k]]:
            at += 1
            new[at] = order[k]
    for k in range(i, q + 1):
        order[k] = new[k - i]
        place[order[k]] = k
    commit(changes, n + 1, state, touched)
    return delta


@numba.njit(**INNER)
def mend(k, keeps, state, tables, ask, log, changes, touched):  # type: ignore[no-untyped-def]
    """Chooses the parents of the gene at place k anew, where `keeps` also from those on that it may keep; whether it could."""
    x, allowed, (_, sets, counts, values) = state[0][k], mask(state, k), changes
    used, kept, n = tables[10], log[1][1], np.int64(0)
    choose(x, allowed, state, tables, ask, log, np.int64(0), changes, np.int64(0))
    if log[0][0] == 0:
        return False
    if keeps and used[STAGE] == 0:
        for a in range(state[3][x]):
            if allowed[state[2][x, a]]:
                kept[n] = state[2][x, a]
                n += 1
        if n > 0:
            if not set_values(x, kept[:n].copy().reshape((1, n)), tables, ask, np.empty(1)):
                return False
            used[STAGE], used[N_CHOSEN], used[PENDING] = FORWARD, n, 0
    if used[STAGE] != 0:
        most = min(max(state[5][x], state[3][x]) + EXTRA, sets.shape[1])
        n, value = best_parents(x, allowed, most, tables, ask, kept)
        if n < 0:
            return False
        if value > values[0]:
            counts[0], values[0] = n, value
            for a in range(n):
                sets[0, a] = kept[a]
    same = counts[0] == state[3][x]
    for a in range(counts[0]):
        same &= sets[0, a] == state[2][x, a]
    before = touched[x]
    commit(changes, 1, state, touched)
    touched[x] = before or not same
    return True


@from_disk
@numba.njit(**ENTRY)
def drive(kind, g, window, least, listed, state, tables, ask, log, room, touched, engine):  # type: ignore[no-untyped-def]
    """Moves a gene, unless nothing gains, until something has to be asked for that can not be computed here.

    Parameters
    ----------
    kind
        ``TURN`` to move gene g behind the gene that ``room`` names, ``REORIENT`` to let it take a parent that stands later,
        ``IMPROVE`` to move it to its best place, ``EITHER`` for the first of both that gains, ``ANSWER`` to compute what is
        asked for and no more; ``MEND`` to choose the parents of all genes anew between two places that ``room`` names.
    least
        Gain that a turn has to exceed.
    room
        Changes of a move, and of the other side; genes to turn behind ``(MOST_TURNS,)``, and hopes ``(MOST_TURNS + 1,)``, the
        first of them for all; and what goes on where it was after an answer: the stage, turns made, turns to make, and the
        best place to the right with its number of changes.
    engine
        See `ShiftScore.engine`.

    Returns
    -------
    The gain, or `ASKED` where Python has to answer; called again, it goes on.
    """
    changes, others, found, hopes, at = room
    while True:
        gain, stage = ASKED, at[0]
        if kind != ANSWER and stage == LISTS:
            n = openings(g, state, tables, ask, found, hopes)
            if n >= 0:
                at[0], at[1], at[2] = TURNS, 0, n
                continue
        elif kind != ANSWER and stage == TURNS:
            if at[1] == at[2]:
                if kind != EITHER:
                    return 0.0
                at[0] = RIGHT
                continue
            gain = turn(g, found[at[1]], hopes[0], least, state, tables, ask, log, changes, touched)
            if gain > 0 or (kind == TURN and not np.isnan(gain)):
                return gain
            at[1] += 1 - np.isnan(gain)
        elif kind != ANSWER and stage == RIGHT:
            gain, at[3], at[4] = look_right(state[1][g], window, listed, state, tables, ask, log, changes)
            if not np.isnan(gain):
                hopes[0], at[0] = gain, LEFT
        elif kind != ANSWER and stage == MENDS:
            if at[1] > at[2]:
                return 0.0
            if mend(at[1], at[3] > 0, state, tables, ask, log, changes, touched):
                gain = 0.0
                at[1] += 1
        elif kind != ANSWER:
            gain, q, n = look_left(state[1][g], window, listed, state, tables, ask, log, others)
            if not np.isnan(gain):
                right = gain <= hopes[0]
                gain = max(gain, hopes[0])
                if gain <= GAIN:
                    return 0.0
                if right:
                    put(state[1][g], at[3], state)
                    commit(changes, at[4], state, touched)
                else:
                    put(state[1][g], q, state)
                    commit(others, n, state, touched)
                return gain
        if not np.isnan(gain):
            log[0][0] = 0  # of the next step
        # a second call of `compute` would be compiled with all of it once more
        elif not compute(tables, ask, engine):
            return ASKED
        elif kind == ANSWER:
            return 0.0
