"""The score under hard interventions against densities of the cells themselves."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from scgim._core.kinds.hard import PSEUDO_CELLS, HardScore
from scgim._core.mechanisms import MECHANISMS
from scgim._core.structure.score import Prior, ShiftScore

GENE, PARENTS = 2, (0, 1)


def make_score(study, mechanism: str = "linear", background: float = 0.0, steps: int = 60) -> HardScore:
    moments = study.moments(mechanism, pool=study.design.drug_set + 1)
    prior = Prior.default(moments.n_genes)
    prior.background_sd[:] = background
    score = HardScore(moments, study.design.drug_set, study.design.group, prior)
    score.n_steps_final, score.ridge = steps, 0.0
    return score


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("mechanism", ["linear", "additive"])
@pytest.mark.parametrize("background", [0.0, 0.3])
@pytest.mark.parametrize("parents", [(), PARENTS])
def test_equals_the_density_of_the_cells(make_study, mechanism, background, parents):
    study = make_study(n_genes=4, n_drugs=4, intervention="hard", n_control=60, n_cells=12, n_groups=2)
    score = make_score(study, mechanism, background)
    m, unit, n = score.moments, study.design.drug_set, score.moments.n
    fit = score.gene(GENE, parents)
    z = (study.cells - m.loc) / m.scale
    f = MECHANISMS[mechanism].functions(z[:, list(parents)]).reshape(len(z), -1)
    residual = z[:, GENE] - f @ fit.coef - fit.baseline[study.design.group[study.context]]
    of = [np.flatnonzero(study.context == k) for k in range(len(n))]
    # the noise of a hit gene: pooled over the units by their probability, drawn towards that of the mechanism
    rho = sigmoid(fit.log_odds)
    spread = [sum(n[k] * z[of[k], GENE].var() for k in np.flatnonzero(unit == u)) for u in range(len(rho))]
    freedom = [sum(n[k] - 1 for k in np.flatnonzero(unit == u)) for u in range(len(rho))]
    s2 = (rho @ spread + PSEUDO_CELLS * fit.noise) / (rho @ freedom + PSEUDO_CELLS)

    def intact(k):
        cov = fit.noise * np.eye(len(of[k])) + background**2 * (unit[k] >= 0)  # controls are the baseline
        return multivariate_normal(np.zeros(len(of[k])), cov).logpdf(residual[of[k]])

    def hit(k):
        cov = s2 * np.eye(len(of[k])) + score.prior.effect_sd[GENE] ** 2
        return multivariate_normal(np.zeros(len(of[k])), cov).logpdf(z[of[k], GENE])

    p = score.prior.p_target[GENE]
    total, odds = sum(intact(k) for k in np.flatnonzero(unit < 0)), []
    for u in range(len(rho)):
        off = np.log1p(-p) + sum(intact(k) for k in np.flatnonzero(unit == u))
        on = np.log(p) + sum(hit(k) for k in np.flatnonzero(unit == u))
        total += np.logaddexp(off, on)
        odds.append(on - off)
    price = score.price(GENE, np.array([parents], dtype=int).reshape(1, -1))[0]
    constant = -0.5 * n.sum() * np.log(2 * np.pi) - 0.5 * np.log(n).sum()
    assert fit.score + price + constant == pytest.approx(total, abs=1e-4)
    np.testing.assert_allclose(fit.log_odds, odds, atol=1e-4)


def objective(score: HardScore, study, beta: np.ndarray, v: float, odds: np.ndarray) -> float:
    """Expected log density of the cells whose mechanism is intact, by loops over the contexts."""
    m, F = score.moments, 2
    z = (study.cells - m.loc) / m.scale
    residual = z[:, GENE] - z[:, list(PARENTS)] @ beta[:F] - beta[F:][study.design.group[study.context]]
    rho, total = sigmoid(odds), 0.0
    for k, u in enumerate(study.design.drug_set):
        r = residual[study.context == k]
        weight = 1.0 if u < 0 else 1 - rho[u]
        error = v / len(r) + score.prior.background_sd[GENE] ** 2 * (u >= 0)
        total += weight * (norm.logpdf(r.mean(), 0, np.sqrt(error)) - 0.5 * len(r) * r.var() / v)
    return float(total)


@pytest.mark.parametrize("background", [0.0, 0.3])
def test_fixed_point_is_a_maximum_of_the_objective(make_study, background):
    study = make_study(intervention="hard", n_groups=2)
    score = make_score(study, background=background, steps=300)
    fit = score.gene(GENE, PARENTS)
    beta = np.append(fit.coef, fit.baseline)
    best = objective(score, study, beta, fit.noise, fit.log_odds)
    scale = 1 / np.sqrt(score.dof)
    for i in range(len(beta)):
        step = 1e-3 * scale * np.eye(len(beta))[i]
        up, down = (objective(score, study, beta + s * step, fit.noise, fit.log_odds) for s in (1, -1))
        assert max(up, down) <= best + 1e-6
        assert abs(up - down) < 1e-4


def test_hit_contexts_do_not_bend_the_mechanism(make_study):
    """Coefficients, targets and scores of the truth under hard interventions; the shift score confuses them."""
    study = make_study(n_genes=6, n_drugs=6, intervention="hard", n_cells=60, seed=2)
    score, scale = make_score(study), study.moments().scale
    drug = study.design.dose[np.unique(study.design.drug_set, return_index=True)[1][1:]].argmax(axis=1)
    for j in range(6):
        parents = tuple(np.flatnonzero(study.graph[:, j]))
        fit = score.gene(j, parents)
        np.testing.assert_allclose(fit.coef * scale[j] / scale[list(parents)], study.graph[list(parents), j], atol=0.15)
        if parents:
            np.testing.assert_array_equal(fit.log_odds > 0, study.effect[drug, j] != 0)
        if parents and study.effect[:, j].any():
            shift = ShiftScore(score.moments, study.design.drug_set, study.design.group, score.prior)
            assert fit.score > shift.gene(j, parents).score


def test_moments_without_scatter_are_refused(study):
    with pytest.raises(ValueError, match="moments: .*`pool`"):
        HardScore(study.moments(), study.design.drug_set, study.design.group, Prior.default(6))
