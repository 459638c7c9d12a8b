"""The compiled choice of parents against plain Python."""

import numpy as np
import pytest

from scgim._core.structure import parents
from scgim._core.structure.compiled import choice
from scgim._core.structure.parents import Parents
from scgim._core.structure.score import Prior, ShiftScore


def make_score(study) -> ShiftScore:
    moments = study.moments()
    return ShiftScore(moments, study.design.drug_set, study.design.group, Prior.default(moments.n_genes))


def greedy(chooser: Parents, j: int, allowed: np.ndarray, most: int) -> tuple[tuple[int, ...], float]:
    """Greedy forward-backward choice with exact scores."""

    def score(parents: tuple[int, ...]) -> float:
        return float(chooser.score.score_sets(j, np.array([sorted(parents)], dtype=int).reshape(1, -1))[0])

    parents: tuple[int, ...] = ()
    while len(parents) < most:
        trial = {x: score((*parents, x)) for x in chooser.candidates[j] if allowed[x] and x not in parents}
        best = max(trial, key=trial.__getitem__, default=None)
        if best is None or trial[best] <= score(parents) + choice.TOLERANCE:
            break
        parents = (*parents, int(best))
    while len(parents) > 1:
        rests = [tuple(y for y in parents if y != x) for x in parents]
        best = max(rests, key=score)
        if score(best) <= score(parents) + choice.TOLERANCE:
            break
        parents = best
    return tuple(sorted(parents)), score(parents)


def test_choice_is_the_greedy_one(make_study):
    study = make_study(n_genes=12, n_drugs=8, seed=5)
    score = make_score(study)
    chooser = Parents(score, [np.delete(np.arange(12), j) for j in range(12)])
    rng, same = np.random.default_rng(1), 0
    for _ in range(60):
        j, most = int(rng.integers(12)), int(rng.integers(1, 8))
        allowed = rng.random(12) < 0.7
        (parents, value), (plain, best) = chooser.best(j, allowed, most), greedy(chooser, j, allowed, most)
        same += parents == plain  # a coarse score may hide a candidate
        assert all(allowed[x] for x in parents) and len(parents) <= most
        assert value == pytest.approx(chooser.value(j, parents), abs=1e-9)
        assert value > best - 1.0
    assert same >= 57


@pytest.mark.parametrize("past", [1, parents.PAST])
def test_choices_that_are_remembered_are_those_made_anew(make_study, monkeypatch, past):
    monkeypatch.setattr(parents, "PAST", past)
    score, rng = make_score(make_study(n_genes=8, n_drugs=6, seed=4)), np.random.default_rng(0)
    others = [np.delete(np.arange(8), j) for j in range(8)]
    chooser, asked = Parents(score, others), []
    for _ in range(40):
        j, allowed, most = int(rng.integers(8)), rng.random(8) < 0.6, int(rng.integers(1, 5))
        first = tuple(int(x) for x in np.flatnonzero(allowed) if x != j)[: most // 2]
        asked.append((j, allowed, most, first))
    found = [[chooser.best(*each[:3]), chooser.best(*each)] for each in asked]
    for each, both in zip(asked, found, strict=True):
        fresh = Parents(score, others)
        for (chosen, value), (anew, best) in zip(both[::-1], [fresh.best(*each), fresh.best(*each[:3])], strict=True):
            assert chosen == anew and value == pytest.approx(best, abs=1e-9)
        assert [chooser.best(*each[:3]), chooser.best(*each)] == both


def test_tables_grow(make_study, monkeypatch):
    monkeypatch.setattr(parents, "ROOM", 64)
    study = make_study(n_genes=8, n_drugs=6, seed=4)
    score, others = make_score(study), [np.delete(np.arange(8), j) for j in range(8)]
    chooser = Parents(score, others)
    found = [chooser.best(j, np.arange(8) % k != 0) for j in range(8) for k in range(2, 8)]
    monkeypatch.undo()
    wide = Parents(score, others)
    assert found == [wide.best(j, np.arange(8) % k != 0) for j in range(8) for k in range(2, 8)]
    assert len(chooser.tables[4]) > 128 and chooser.n_scored == wide.n_scored
