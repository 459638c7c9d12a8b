"""The compiled scores of hard interventions against the numpy code that they stand for."""

import numpy as np
import pytest

from scgim._core.kinds.hard import HardScore
from scgim._core.structure.score import Prior


@pytest.mark.parametrize("mechanism", ["linear", "additive"])
@pytest.mark.parametrize("steps", [0, 1, 3, 10])
@pytest.mark.parametrize("n_parents", [0, 1, 3])
@pytest.mark.parametrize("background", [0.0, 0.3])
def test_compiled_and_numpy_scores_are_the_same(make_study, mechanism, steps, n_parents, background):
    study = make_study(n_genes=7, n_drugs=5, intervention="hard", n_control=300, n_cells=40, n_groups=2)
    moments = study.moments(mechanism, pool=study.design.drug_set + 1)
    prior = Prior.default(moments.n_genes)
    prior.background_sd[:] = background
    score = HardScore(moments, study.design.drug_set, study.design.group, prior)
    rng = np.random.default_rng(0)
    for j in range(moments.n_genes):
        others = np.delete(np.arange(moments.n_genes), j)
        sets = np.stack([rng.choice(others, n_parents, replace=False) for _ in range(4)]).astype(int)
        scores, coefs = score.solutions(j, sets, steps)
        expected = score._solve(j, sets, steps)
        np.testing.assert_allclose(scores, expected.score, rtol=1e-7, atol=1e-5)
        np.testing.assert_allclose(coefs, expected.coef, rtol=1e-5, atol=1e-6)
