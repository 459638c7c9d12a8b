"""Activity interventions: estimates and scores against the cells themselves."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from scgim._core.kinds.activity import ActiveScore, child_evidence, estimates
from scgim._core.mechanisms import MECHANISMS
from scgim._core.structure.score import Prior, ShiftScore

GENE, PARENTS = 2, (0, 1)


def functions(study, moments, mechanism: str, parents) -> np.ndarray:
    """Basis functions of the parents less those of an expression of zero, ``(N, p, B)``."""
    z = (study.cells - moments.loc) / moments.scale
    zero = -moments.loc / moments.scale
    parents = list(parents)
    return MECHANISMS[mechanism].functions(z[:, parents]) - MECHANISMS[mechanism].functions(zero[parents])


@pytest.mark.parametrize("mechanism", ["linear", "additive"])
def test_estimates_equal_least_squares_over_cells(study, mechanism, rng):
    moments, K = study.context_moments(mechanism), len(study.design.dose)
    score = ShiftScore(moments, study.design.drug_set, study.design.group, Prior.default(6))
    parents: dict[int, tuple[int, ...]] = dict.fromkeys(range(6), ()) | {2: (0, 1), 4: (1, 3)}
    fits = [score.gene(j, parents[j]) for j in range(6)]
    children = [
        child_evidence(
            moments, study.design.group, j, np.array(parents[j], dtype=int), fit, -moments.loc / moments.scale
        )
        for j, fit in enumerate(fits)
    ]
    psi = rng.normal(0, 0.3, (K, 6))
    value, variance = estimates(children, psi, np.zeros((K, 6)), np.ones(6))
    z = (study.cells - moments.loc) / moments.scale
    for k in range(K):
        rows = study.context == k
        top, bottom = np.zeros(6), np.zeros(6)
        for j in (2, 4):
            f = functions(study, moments, mechanism, parents[j])
            part = np.einsum("npb,pb->np", f, fits[j].coef.reshape(2, -1))[rows]
            zero = MECHANISMS[mechanism].functions((-moments.loc / moments.scale)[list(parents[j])]).ravel()
            rest = z[rows, j] - fits[j].baseline[0] - zero @ fits[j].coef - part.sum(axis=1)
            for p, i in enumerate(parents[j]):
                other = part[:, 1 - p] * psi[k, parents[j][1 - p]]
                top[i] += part[:, p] @ (rest - other) / fits[j].noise
                bottom[i] += part[:, p] @ part[:, p] / fits[j].noise
        has_child = bottom > 0
        np.testing.assert_allclose(value[k, has_child], (top / bottom.clip(1e-300))[has_child], atol=1e-8)
        np.testing.assert_allclose(variance[k, has_child], 1 / bottom[has_child], rtol=1e-8)
        assert (variance[k, ~has_child] > 1e5).all()
        assert (value[k, ~has_child] == 0).all()


@pytest.mark.parametrize("mechanism", ["linear", "additive"])
def test_score_equals_the_density_of_cells_with_scaled_parents(make_study, mechanism, rng):
    study = make_study(n_genes=4, n_drugs=3, n_control=40, n_cells=12)
    moments = study.context_moments(mechanism)
    K, unit = len(study.design.dose), study.design.drug_set
    psi = np.where(study.design.control[:, None], 0.0, rng.uniform(-1, 0.5, (K, 4)))
    score = ActiveScore(moments, unit, study.design.group, Prior.default(4), psi, -moments.loc / moments.scale)
    score.ridge = 0.0
    fit = score.gene(GENE, PARENTS)
    f = functions(study, moments, mechanism, PARENTS) * (1 + psi[study.context][:, list(PARENTS), None])
    zero = MECHANISMS[mechanism].functions((-moments.loc / moments.scale)[list(PARENTS)])
    f = (f + zero).reshape(len(f), -1)
    z = (study.cells[:, GENE] - moments.loc[GENE]) / moments.scale[GENE]
    residual = z - f @ fit.coef - fit.baseline[0]
    slab2, p = score.prior.effect_sd[GENE] ** 2, score.prior.p_target[GENE]

    def log_cells(k: int, shifted: int) -> float:
        r = residual[study.context == k]
        return multivariate_normal(np.zeros(len(r)), fit.noise * np.eye(len(r)) + shifted * slab2).logpdf(r)

    total = sum(log_cells(k, 0) for k in np.flatnonzero(unit < 0))
    for u in range(unit.max() + 1):
        contexts = np.flatnonzero(unit == u)
        off, on = (sum(log_cells(k, s) for k in contexts) for s in (0, 1))
        total += np.logaddexp(np.log1p(-p) + off, np.log(p) + on)
    constant = -0.5 * moments.n.sum() * np.log(2 * np.pi) - 0.5 * np.log(moments.n).sum()
    price = score.price(GENE, np.array([PARENTS]))[0]
    assert fit.score + price + constant == pytest.approx(total, rel=1e-8)


def test_without_activity_it_is_the_shift_score(study):
    moments = study.context_moments()
    arguments = (moments, study.design.drug_set, study.design.group, Prior.default(6))
    one, two = ActiveScore(*arguments, np.zeros((len(moments.n), 6))), ShiftScore(*arguments)
    assert one.gene(GENE, PARENTS).score == two.gene(GENE, PARENTS).score


def test_moments_without_scatter_are_refused(study):
    psi = np.full((len(study.design.dose), 6), -0.5)
    with pytest.raises(ValueError, match="moments: .*pool=arange"):
        ActiveScore(study.moments(), study.design.drug_set, study.design.group, Prior.default(6), psi)


def test_shifted_children_count_less_by_the_size_of_their_own_shifts(study, rng):
    moments, K = study.context_moments(), len(study.design.dose)
    score = ShiftScore(moments, study.design.drug_set, study.design.group, Prior.default(6))
    parents: dict[int, tuple[int, ...]] = dict.fromkeys(range(6), ()) | {2: (0,), 4: (1,)}
    off = -moments.loc / moments.scale
    children = [
        child_evidence(moments, study.design.group, j, np.array(parents[j], dtype=int), score.gene(j, parents[j]), off)
        for j in range(6)
    ]
    size, none = np.array([9.0, 9.0, 0.5, 9.0, 2.0, 9.0]), np.zeros((K, 6))
    variance = estimates(children, none, none + 1, size)[1]
    for child, parent, sd in ((children[2], 0, 0.5), (children[4], 1, 2.0)):
        known = child.within_square[:, 0, 0] + child.mean[:, 0] ** 2 / (child.error + sd**2)
        np.testing.assert_allclose(variance[:, parent], 1 / known)
