"""Changes of activity in place, against scores that are built anew, and which of them the score pays for."""

import numpy as np
import pytest

import systems
from scgim._core.kinds.activity import ActiveScore
from scgim._core.kinds.worth import ActivityChange, Scaling, worth
from scgim._core.structure.prior import Prior

PARENTS: dict[int, tuple[int, ...]] = dict.fromkeys(range(6), ()) | {2: (0, 1), 4: (1, 3), 5: (0, 2, 3)}


def total(score: ActiveScore) -> float:
    return sum(float(score.score_sets(j, np.array([pa], dtype=int))[0]) for j, pa in PARENTS.items())


@pytest.mark.parametrize("mechanism", ["linear", "additive"])
@pytest.mark.parametrize("slope_sd", [0.0, 0.2])
def test_gains_are_differences_of_scores_that_are_built_anew(study, mechanism, slope_sd, rng):
    moments, design = study.context_moments(mechanism), study.design
    prior = Prior.default(6)
    prior.slope_sd = slope_sd
    off, psi = rng.normal(0, 0.5, 6), np.zeros((len(design.dose), 6))

    def built(psi):
        return total(ActiveScore(moments, design.drug_set, design.group, prior, psi, off))

    scaling = Scaling(ActiveScore(moments, design.drug_set, design.group, prior), off, PARENTS)
    perturbed = np.flatnonzero(~design.control)
    for gene, first in ((0, 0), (3, 1), (1, 0), (0, 2)):  # the third and the last meet changes that were made
        rows = perturbed[first : first + 3]
        change = ActivityChange(gene, rows, rng.uniform(-0.8, 0.8, len(rows)), -1e6)  # so that it is made
        with_it = psi.copy()
        with_it[rows, gene] += change.psi
        expected = built(with_it) - built(psi)
        for keep in (False, True):
            assert scaling.gain(change, keep=keep) == pytest.approx(expected + 1e6, abs=1e-5)
        psi = with_it
    assert total(scaling.score) == pytest.approx(built(psi), rel=1e-9)


def test_moments_stay_as_they_were(study):
    moments, design = study.context_moments(), study.design
    before = moments.within.copy()
    score = ActiveScore(moments, design.drug_set, design.group, Prior.default(6))
    worth(score, np.zeros(6), PARENTS, [ActivityChange(1, np.array([3, 4]), np.array([0.5, -0.5]), -1e6)])
    np.testing.assert_array_equal(moments.within, before)


def test_true_changes_are_worth_their_price_and_others_are_not(make_study):
    study = make_study(n_genes=6, n_drugs=6, n_cells=400, n_control=1500, intervention="activity", seed=2)
    moments, design = study.context_moments(), study.design
    parents = {j: tuple(np.flatnonzero(study.graph[:, j]).tolist()) for j in range(6)}
    heard = (study.graph != 0).any(axis=1)
    changes, true = [], []
    for d in range(len(design.drugs)):
        for i in np.flatnonzero(heard):
            effect = study.effect[d, i]
            rows = design.of(d)
            dose = design.dose[rows, d] ** systems.HILL
            fraction = dose / (dose + systems.EC50**systems.HILL)
            changes.append(ActivityChange(int(i), rows, fraction * (effect if effect else -0.5), 5.0))
            true.append(effect != 0)
    score = ActiveScore(moments, design.drug_set, design.group, Prior.default(6))
    found = worth(score, -moments.loc / moments.scale, parents, changes)
    assert any(true)
    np.testing.assert_array_equal(found, true)
