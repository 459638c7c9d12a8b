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
    run.activity.background = start
    assert run.edge_background(children, expected, none) == BACKGROUNDS[int(np.argmax(values))]
