from itertools import combinations, permutations

import numpy as np
import pytest

from scgim._core.learn import order as learn_order
from scgim._core.learn.order import SHIFT, learn_structure
from scgim._core.structure.order import EXTRA, OrderSearch, search
from scgim._core.structure.parents import Parents
from scgim._core.structure.score import Prior, ShiftScore
from scgim._core.structure.screening import response_order, screen, widen
from scgim._core.structure.watch import Watch


def make_chooser(study, edge_probability=None, most: int = 40) -> Parents:
    moments = study.moments()
    prior = Prior.default(moments.n_genes, edge_probability)
    score = ShiftScore(moments, study.design.drug_set, study.design.group, prior)
    candidates = [c[np.isfinite(prior.edge_price[c, j])] for j, c in enumerate(screen(score, most))]
    return Parents(score, candidates)


def every_set(score: ShiftScore, j: int) -> dict[tuple[int, ...], float]:
    """Score of every parent set of gene j."""
    others = [i for i in range(score.n_genes) if i != j]
    sets = [s for size in range(len(others) + 1) for s in combinations(others, size)]
    return {s: float(score.score_sets(j, np.array([s], dtype=int).reshape(1, -1))[0]) for s in sets}


def best_over_orders(score: ShiftScore) -> float:
    """The best score of any order with any parent sets."""
    tables = [every_set(score, j) for j in range(score.n_genes)]
    best = -np.inf
    for order in permutations(range(score.n_genes)):
        total = 0.0
        for k, j in enumerate(order):
            before = set(order[:k])
            total += max(v for s, v in tables[j].items() if before.issuperset(s))
        best = max(best, total)
    return best


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("n_cells", [40, 6])
def test_search_finds_the_best_of_all_orders(make_study, seed, n_cells):
    study = make_study(n_genes=5, n_drugs=4, n_control=8 * n_cells, n_cells=n_cells, seed=seed)
    chooser = make_chooser(study)
    state = search(chooser, rng=np.random.default_rng(0))
    best = best_over_orders(chooser.score)
    assert best - 0.05 < state.total < best + 1e-6  # parents are chosen greedily


def test_parents_are_the_best_set_where_greedy_steps_suffice(study):
    chooser = make_chooser(study)
    for j in range(6):
        table = every_set(chooser.score, j)
        parents, value = chooser.best(j, np.ones(6, dtype=bool))
        assert value == pytest.approx(table[tuple(sorted(parents))], abs=1e-6)
        assert value >= max(table.values()) - 1e-6


def test_parents_come_from_the_allowed_genes_and_respect_the_limit(study):
    chooser = make_chooser(study)
    allowed = np.array([True, True, False, True, False, False])
    for j in range(6):
        assert set(chooser.best(j, allowed)[0]) <= {0, 1, 3} - {j}
    chooser.max_parents = 1
    assert len(chooser.best(int((study.graph != 0).sum(axis=0).argmax()), np.ones(6, dtype=bool))[0]) == 1


def check_state(state: OrderSearch, *, settled: bool = False) -> None:
    """The kept parents agree with the order, and the scores with the parents; once settled, none better are found."""
    place = {g: k for k, g in enumerate(state.order)}
    assert sorted(state.order) == list(range(state.G))
    assert all(place[x] < place[g] for g, parents in state.parents.items() for x in parents)
    values = [state.chooser.value(g, state.parents[g]) for g in range(state.G)]
    np.testing.assert_allclose(state.value, values, atol=1e-9)
    if settled:
        fresh = OrderSearch(state.chooser, np.array(state.order), state.window)
        assert (state.value >= fresh.value - 1e-5).all()


def test_state_stays_consistent_and_moves_raise_the_score(make_study):
    study = make_study(n_genes=8, n_drugs=6, seed=4)
    rng = np.random.default_rng(0)
    state = OrderSearch(make_chooser(study), rng.permutation(8), window=8)
    for _ in range(3):
        for g in range(8):
            before = state.total
            gain = state.improve_gene(g)
            assert state.total == pytest.approx(before + gain, abs=1e-6)
            check_state(state)
        state.kick(rng, 2)
        check_state(state)
        state.settle()
        check_state(state, settled=True)


def test_restored_state_is_the_kept_one(study):
    state = OrderSearch(make_chooser(study), np.arange(6), window=6)
    kept, total = state.state(), state.total
    state.kick(np.random.default_rng(0), 3)
    state.climb()
    state.restore(kept)
    assert (state.order, state.total) == (list(range(6)), total)
    check_state(state, settled=True)


def test_climbed_state_is_a_local_maximum(make_study):
    study = make_study(n_genes=6, seed=3)
    state = OrderSearch(make_chooser(study), np.arange(6)[::-1], window=6)
    state.climb()
    check_state(state, settled=True)
    for g in range(6):
        for place in range(6):
            order = [x for x in state.order if x != g]
            order.insert(place, g)
            assert OrderSearch(state.chooser, np.array(order), 6).total <= state.total + 1e-5


def test_forbidden_edges_stay_out(study):
    probability = np.full((6, 6), 0.3)
    source, target = np.argwhere(study.graph != 0)[0]
    probability[source, target] = 0
    state = search(make_chooser(study, probability), rng=np.random.default_rng(0))
    assert source not in state.parents[int(target)]


def test_screen_keeps_the_parents(make_study):
    study = make_study(n_genes=14, n_drugs=10, n_edges=16, n_cells=60, seed=1)
    chosen = make_chooser(study, most=8).candidates
    for j, genes in enumerate(chosen):
        assert j not in genes
        assert len(genes) == len(set(genes.tolist())) == 8
        assert set(np.flatnonzero(study.graph[:, j])) <= set(genes.tolist())


def test_response_order_puts_causes_first(make_study):
    """In a chain whose first gene every drug hits, the others follow; a gene that nothing moves comes first."""
    study = make_study(n_genes=4, n_drugs=3, seed=0)
    order = response_order(make_chooser(study).score)
    assert sorted(order.tolist()) == [0, 1, 2, 3]
    moments = study.moments()
    moments.mean[:, 3] = moments.mean[0, 3]
    score = ShiftScore(moments, study.design.drug_set, study.design.group, Prior.default(4))
    assert response_order(score)[0] == 3


def test_wishes_are_later_genes_and_granting_them_never_lowers_the_score(make_study):
    study = make_study(n_genes=12, n_drugs=16, n_control=200, n_cells=30)
    chooser = make_chooser(study)
    state = OrderSearch(chooser, np.arange(12)[::-1], window=3)
    place = np.argsort(state.order)
    for g, x, gain in state.wishes(20):
        assert place[x] > place[g]
        assert gain > 0
    before = state.total
    gained = state.grant(20)
    check_state(state)
    assert state.total == pytest.approx(before + gained)
    assert gained >= 0


def test_turn_moves_a_gene_behind_its_new_parent(make_study):
    study = make_study(n_genes=8, n_drugs=12, n_control=200, n_cells=30)
    chooser = make_chooser(study)
    state = OrderSearch(chooser, np.arange(8), window=3)
    total = state.total
    delta = state.turn(1, 6, np.inf, least=-np.inf)
    check_state(state)
    assert state.order.index(1) > state.order.index(6)
    assert state.total == pytest.approx(total + delta)


def test_widening_finds_parents_that_were_not_screened(make_study):
    study = make_study(n_genes=8, n_drugs=12, n_control=400, n_cells=40)
    chooser = make_chooser(study)
    best = search(chooser, rng=np.random.default_rng(0), n_kicks=3)
    child = max(best.parents, key=lambda j: len(best.parents[j]))
    kept = best.parents[child][:-1]  # its last parent is not among the candidates
    few = [np.array(kept, dtype=int) if j == child else c for j, c in enumerate(chooser.candidates)]
    wide = widen(chooser.score, few, {**best.parents, child: kept}, most=2)
    assert best.parents[child][-1] in wide[child]
    assert child not in wide[child]


def learned(study, n_kicks: int = 3, rng: int = 0):
    """The learned structure, and how often it asked for scores."""
    calls = [0]

    class Counted(ShiftScore):
        def solutions(self, *positional, **named):
            calls[0] += 1
            return super().solutions(*positional, **named)

        def coarse_added(self, *positional, **named):
            calls[0] += 1
            return super().coarse_added(*positional, **named)

    class CountedShift(type(SHIFT)):
        def score(self, moments, design, prior):
            return Counted(moments, design.drug_set, design.group, prior)

    moments, prior = study.moments(), Prior.default(len(study.graph))
    rng, kind = np.random.default_rng(rng), CountedShift()
    found = learn_structure(moments, study.design, prior, rng=rng, kind=kind, n_kicks=n_kicks)
    return found[2], calls[0]


def test_large_systems_start_from_what_the_prior_leaves(make_study, monkeypatch):
    study = make_study(n_genes=12, n_drugs=8, seed=4)
    moments, rng = study.moments(), np.random.default_rng(0)
    allowed = (study.graph != 0) | (rng.random((12, 12)) < 0.2)
    np.fill_diagonal(allowed, False)
    prior = Prior.default(12, np.where(allowed, 0.2, 0.0))
    small = learn_structure(moments, study.design, prior, rng=rng, n_kicks=3)[2]
    monkeypatch.setattr(learn_order, "MOST_ELIMINATED", 5)
    monkeypatch.setattr(learn_order, "eliminate", None)
    monkeypatch.setattr(learn_order, "screen", None)
    _, chooser, large, _ = learn_structure(moments, study.design, prior, rng=np.random.default_rng(0), n_kicks=3)
    assert [c.tolist() for c in chooser.candidates] == [np.flatnonzero(allowed[:, j]).tolist() for j in range(12)]
    assert large.total == pytest.approx(small.total, abs=1e-6)


def test_scores_of_python_lead_to_the_same_graph(make_study):
    study = make_study(n_genes=10, n_drugs=6, seed=3)
    moments = study.moments()
    python, asked = learned(study)
    compiled = learn_structure(moments, study.design, Prior.default(10), rng=np.random.default_rng(0), n_kicks=3)
    assert asked > 100
    assert python.order == compiled[2].order and python.parents == compiled[2].parents
    assert python.chooser.n_scored == compiled[1].n_scored
    assert python.total == pytest.approx(compiled[2].total, abs=1e-9)


def test_ten_times_the_cells_do_not_make_the_search_work_harder(make_study):
    """The same systems with 50 and 500 cells a context."""
    work = {}
    for n_cells in (50, 500):
        sizes = {"n_genes": 14, "n_drugs": 8, "n_edges": 25, "n_control": 8 * n_cells, "n_cells": n_cells}
        work[n_cells] = sum(learned(make_study(**sizes, seed=seed), n_kicks=2)[1] for seed in range(2))
    assert work[500] < 1.1 * work[50]


def test_same_seed_gives_the_same_state(study):
    first, second = learned(study, rng=3)[0], learned(study, rng=3)[0]
    assert first.order == second.order
    assert first.parents == second.parents
    assert first.total == second.total


def test_proposals_give_a_gene_few_more_parents_and_settling_gives_it_all(make_study):
    study = make_study(n_genes=8, n_drugs=12, n_control=400, n_cells=40)
    chooser = make_chooser(study)
    state = OrderSearch(chooser, np.arange(8)[::-1], window=8)
    full = dict(state.parents)
    g = max(full, key=lambda j: len(full[j]))
    assert len(full[g]) > EXTRA
    state.give(g, (), chooser.value(g, ()))
    state.note()
    state.mend(*[state.order.index(g)] * 2)
    assert len(state.of(g)) <= EXTRA
    assert state.settle() > 0
    assert state.parents == full


def test_kicks_stay_near_and_mend_no_more_than_they_touch(make_study):
    study = make_study(n_genes=16, n_drugs=12)
    state = OrderSearch(make_chooser(study), np.arange(16), window=3)
    before = dict(state.parents)
    touched = state.kick(np.random.default_rng(1), 1)
    moved = [g for g in range(16) if abs(state.order.index(g) - g) > 1]
    assert len(moved) <= 1
    assert all(abs(state.order.index(g) - g) <= 3 for g in range(16))
    assert {g for g in range(16) if state.parents[g] != before[g]} <= touched
    check_state(state)


class _Nan(ShiftScore):
    """A score that is not a number, which Python has to be asked for."""

    def score_sets(self, j, sets):
        return np.full(len(sets), np.nan)

    def score_added(self, j, base, genes, n_steps=None):
        return np.zeros(len(genes))

    coarse_added = score_added


def test_a_score_that_is_not_a_number_is_refused(study):
    moments = study.moments()
    score = _Nan(moments, study.design.drug_set, study.design.group, Prior.default(moments.n_genes))
    with pytest.raises(ValueError, match="the score of a gene is not a number"):
        OrderSearch(Parents(score, screen(score, 40)), np.arange(moments.n_genes), 1)


def test_kicks_in_dense_graphs_leave_parents_that_may_stay_and_end_no_lower(make_study):
    study = make_study(n_genes=12, n_drugs=6, n_edges=48, n_cells=60)
    chooser = make_chooser(study)
    state = OrderSearch(chooser, np.arange(12), 12, keeps=True)
    state.climb()
    check_state(state)
    for g in [g for g in range(12) if state.of(g)]:
        began, place = state.state(), state.arrays[1]
        last = max(state.of(g), key=lambda x: place[x])  # a parent that g is moved before, so that it may not stay
        rest = tuple(x for x in state.of(g) if x != last)
        state.put(int(place[g]), int(place[last]))
        state.touched[:] = False
        state.mend(int(place[g]), int(place[g]))
        check_state(state)
        assert state.value[g] >= chooser.value(g, rest) - 1e-6 and np.flatnonzero(state.touched).tolist() == [g]
        state.restore(began)
    plain = search(chooser, rng=np.random.default_rng(0), order=np.arange(12), n_kicks=0)
    watch, shares = Watch(), list[tuple[int, int]]()
    watch.share = lambda _, done, total: shares.append((done, total))
    dense = search(chooser, rng=np.random.default_rng(0), order=np.arange(12), n_kicks=5, dense=True, watch=watch)
    assert dense.total >= plain.total - 1e-9
    assert shares[-1] == (dense.n_edges - 1, dense.n_edges) and dense.n_edges > 5
