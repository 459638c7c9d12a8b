"""The relative error of slopes is found where there is one, and none where mechanisms are right."""

import numpy as np
import pytest

from scgim._core.design import Design
from scgim._core.mechanisms import MECHANISMS
from scgim._core.moments.moments import Moments
from scgim._core.structure.learn_prior import evidence_given
from scgim._core.structure.prior import Prior
from scgim._core.structure.score import ShiftScore
from scgim._core.structure.slopes import learn_slopes

D, N = 60, 500
NONE = np.zeros(3)
PARENTS: dict[int, tuple[int, ...]] = {0: (), 1: (0,), 2: (1,)}


def chain(seed: int, slope_sd: float, start: float = 0.0, cells: int = N) -> ShiftScore:
    """A chain of three genes; every drug moves the first one, and slopes differ between contexts."""
    rng = np.random.default_rng(seed)
    n = np.array([2000.0] + [cells] * D)
    weight = np.diag([0.8, -0.7], 1)
    mean, noise = np.zeros((D + 1, 3)), rng.normal(size=(D + 1, 3)) / np.sqrt(n)[:, None]
    mean[:, 0] = np.append(0.0, rng.normal(0, 2, D)) + noise[:, 0]
    for j in (1, 2):
        slope = weight[j - 1, j] * (1 + slope_sd * rng.normal(size=D + 1))
        mean[:, j] = slope * mean[:, j - 1] + noise[:, j]
    total = np.linalg.inv(np.eye(3) - weight)
    moments = Moments(
        n, mean[:, :, None], total.T @ total, np.zeros(3), np.ones(3), np.ones((3, 1)), MECHANISMS["linear"]
    )
    design = Design(tuple(map(str, range(D))), np.vstack([np.zeros((1, D)), np.eye(D)]), np.zeros(D + 1, int), ("",), n)
    prior = Prior.default(3)
    prior.slope_sd = start
    return ShiftScore(moments, design.drug_set, design.group, prior)


@pytest.mark.parametrize("start", [0.0, 0.5])
@pytest.mark.parametrize(("truth", "low", "high"), [(0.0, 0.0, 0.0), (0.3, 0.2, 0.5)])
def test_errors_of_slopes_are_learned(truth, low, high, start):
    """Whatever the score was made with."""
    score = chain(0, truth, start)
    assert low <= learn_slopes(score, evidence_given(score, PARENTS), PARENTS, NONE) <= high


def test_without_edges_there_are_none():
    score = chain(0, 0.3)
    nobody = dict.fromkeys(range(3), ())
    assert learn_slopes(score, evidence_given(score, nobody), nobody, NONE) == 0


def test_few_cells_do_not_tell_errors_of_slopes():
    score = chain(0, 0.5, cells=30)
    assert learn_slopes(score, evidence_given(score, PARENTS), PARENTS, NONE) == 0


def test_what_the_background_explains_is_no_error_of_slopes():
    score = chain(0, 0.3)
    evidence = evidence_given(score, PARENTS)
    assert learn_slopes(score, evidence, PARENTS, np.full(3, 2.0)) == 0
