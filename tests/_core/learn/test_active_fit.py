"""State of the alternation between graph, shifts and activities."""

import numpy as np
import pytest

from scgim._core.kinds.activity import ActiveScore
from scgim._core.learn.active_fit import ActiveFit, Expected
from scgim._core.structure.learn_prior import BACKGROUNDS, evidence_given
from scgim._core.structure.prior import Prior


@pytest.mark.parametrize("start", [0.0, 0.2, 0.7])
def test_background_of_effects_is_the_best_of_the_grid_wherever_it_starts(make_study, start):
    study = make_study(n_genes=6, n_drugs=6, n_cells=80, n_control=300, intervention="activity", seed=1)
    moments, design = study.moments(pool=np.arange(len(study.design.dose))), study.design
    run = ActiveFit(moments, design, Prior.default(6), shifts=True, background=None, known=None)
    run.parents = {j: tuple(np.flatnonzero(study.graph[:, j]).tolist()) for j in range(6)}
    score = ActiveScore(moments, design.drug_set, design.group, run.prior)
    run.update(evidence_given(score, run.parents), np.random.default_rng(0))
    children = run.children(evidence_given(score, run.parents))
    expected, none = Expected(len(moments.n), 6, 12), np.zeros((6, 12), dtype=bool)
    values = []
    for omega in BACKGROUNDS:
        forms = run.forms(children, float(omega))
        value = sum(float(form.evidence[~design.control].sum()) for form in forms)
        values.append(value + sum(choice.evidence(none[d]) for d, _, _, choice in run.choices(forms, expected)))
    run.activity.background, told = start, {}
    best = float(BACKGROUNDS[int(np.argmax(values))])
    assert run.edge_background(children, expected, none, told) == best
    assert [*told] == [best] and np.array_equal(told[best][0].linear, run.forms(children, best)[0].linear)


def test_strict_updates_end_at_no_less_than_they_began_with_and_lax_ones_at_the_last(make_study, rng):
    study = make_study(n_genes=6, n_drugs=6, n_cells=80, n_control=300, intervention="activity", seed=1)
    moments, design = study.moments(pool=np.arange(len(study.design.dose))), study.design
    run = ActiveFit(moments, design, Prior.default(6), shifts=True, background=None, known=None)
    run.parents = {j: tuple(np.flatnonzero(study.graph[:, j]).tolist()) for j in range(6)}
    found = run.best_of(run.score_now(), rng, 1, strict=False)
    assert run.changes and found.worth == pytest.approx(found.evidence.score.sum() - run.price)
    psi, price = run.psi, run.price

    def nothing(evidence, rng, *, strict):
        run.psi, run.active, run.price = 0 * psi, 0 * psi, 0.0
        run.activity.p_target = 0.5

    run.update = nothing
    kept = run.best_of(run.score_now(), rng, 2, strict=True)
    assert kept.worth == pytest.approx(found.worth)
    assert run.psi is psi and run.price == price and run.activity.p_target != 0.5 and run.kinds[0] is run.activity
    assert run.best_of(run.score_now(), rng, 2, strict=False).worth < found.worth
    assert not run.changes
