"""Choice of shifts and activities of one drug, against densities and sums over all choices."""

import itertools

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.stats import multivariate_normal, norm, truncnorm

from scgim._core.kinds.activity import child_evidence
from scgim._core.kinds.joint import DrugChoice, drug_choice, local_form, log_mass, packed, truncated
from scgim._core.moments.moments import compute_moments
from scgim._core.structure.score import Prior, ShiftScore

GENE, PARENTS = 2, (0, 1)
EDGE_SD, BACKGROUND = 0.15, 0.2


def gene_form(study, background: bool):
    """Quadratic form of one gene with two parents, its fit, and the moments."""
    K, G = len(study.design.dose), len(study.genes)
    moments = compute_moments(lambda: iter([(study.cells, study.context)]), K, pool=np.arange(K))
    score = ShiftScore(moments, study.design.drug_set, study.design.group, Prior.default(G))
    fit = score.gene(GENE, PARENTS)
    child = child_evidence(moments, study.design.group, GENE, np.array(PARENTS), fit, -moments.loc / moments.scale)
    edges, own = (np.full((K, G), sd**2 * background) for sd in (EDGE_SD, BACKGROUND))
    return local_form(child, GENE, edges, own), fit, moments


@pytest.mark.parametrize("background", [False, True])
def test_form_equals_the_density_of_the_cells(make_study, background, rng):
    study = make_study(n_genes=4, n_drugs=2, n_control=40, n_cells=15)
    form, fit, moments = gene_form(study, background)
    assert form.variables.tolist() == [0, 1, 4 + GENE]
    z = (study.cells - moments.loc) / moments.scale
    k = 2
    rows = study.context == k
    part = (z[rows][:, PARENTS] + (moments.loc / moments.scale)[list(PARENTS)]) * fit.coef  # (n, 2)
    residual = z[rows, GENE] - z[rows][:, PARENTS] @ fit.coef - fit.baseline[0]
    loading = np.column_stack([part, np.ones(rows.sum())])  # of psi and of the shift

    def log_density(value, spread):
        cov = fit.noise * np.eye(len(residual)) + (loading * spread) @ loading.T
        return multivariate_normal(np.zeros(len(residual)), cov).logpdf(residual - loading @ value)

    spread = np.array([EDGE_SD**2, EDGE_SD**2, BACKGROUND**2]) * background
    none = log_density(np.zeros(3), spread)
    assert form.evidence[k] == pytest.approx(none - log_density(np.zeros(3), np.zeros(3)), abs=1e-6)
    for _ in range(3):
        value = rng.normal(0, 0.3, 3)
        change = form.linear[k] @ value - 0.5 * value @ form.square[k] @ value
        assert change == pytest.approx(log_density(value, spread) - none, rel=1e-6, abs=1e-6)


def random_choice(rng, n: int = 6) -> DrugChoice:
    """A problem whose variables explain each other away in part."""
    x = rng.normal(size=(12, n)) + 0.8 * rng.normal(size=(12, 1))
    y = x @ np.where(np.arange(n) < 2, 1.5, 0.0) + 0.7 * rng.normal(size=12)
    return DrugChoice(x.T @ x, x.T @ y, rng.uniform(0.5, 2, n), np.full(n, -1.5))


def test_conditional_odds_are_differences_of_the_evidence(rng):
    choice = random_choice(rng)
    on = np.array([True, False, True, False, False, False])
    odds = choice.conditional(on)[0]
    for i in range(len(on)):
        with_it, without = on.copy(), on.copy()
        with_it[i], without[i] = True, False
        assert odds[i] == pytest.approx(choice.evidence(with_it) - choice.evidence(without), abs=1e-9)


def test_sampling_equals_the_sum_over_all_choices():
    for seed in range(4):
        rng = np.random.default_rng(seed)
        choice = random_choice(rng)
        every = [np.array(on) for on in itertools.product([False, True], repeat=len(choice.prior))]
        log = np.array([choice.evidence(on) for on in every])
        weight = np.exp(log - np.logaddexp.reduce(log))
        exact = weight @ np.array(every)
        assert choice.evidence(choice.best()) == pytest.approx(log.max(), abs=1e-9)
        runs = [choice.sample(np.random.default_rng(s)) for s in range(20)]
        np.testing.assert_allclose(np.mean([r[0] for r in runs], axis=0), exact, atol=0.06)
        effect = [choice.conditional(on)[1] for on in every]
        inside = np.array([w * on for w, on in zip(weight, every, strict=True)])
        mean = (inside * effect).sum(axis=0) / exact
        np.testing.assert_allclose(np.mean([r[1] for r in runs], axis=0), mean, atol=0.1)


def test_what_children_share_is_the_parents_activity(rng):
    """One parent of three children whose means and slopes change alike: its activity, and no shift of any child."""
    G, cells = 4, 500
    x = rng.normal(2, 1, (2 * cells, 1)) + np.zeros((1, G))
    context = np.repeat([0, 1], cells)
    factor = np.where(context == 1, 0.3, 1.0)
    for j in (1, 2, 3):
        x[:, j] = 1.5 * factor * x[:, 0] + rng.normal(size=2 * cells)
    moments = compute_moments(lambda: iter([(x, context)]), 2, pool=np.arange(2))
    unit, group = np.array([-1, 0]), np.zeros(2, dtype=int)
    score = ShiftScore(moments, unit, group, Prior.default(G))
    forms = []
    for j in range(G):
        parents = np.array([0] if j else [], dtype=int)
        fit = score.gene(j, tuple(parents))
        slope = 1.5 * moments.scale[0] / moments.scale[j]
        if j:  # the mechanism of the controls, as the alternation with the graph finds it
            own = (x[context == 0] - moments.loc) / moments.scale
            baseline = own[:, j].mean() - slope * own[:, 0].mean()
            residual = moments.mean[:, j, 0] - slope * moments.mean[:, 0, 0] - baseline
            fit = fit._replace(coef=np.array([slope]), baseline=np.array([baseline]), residual=residual)
        child = child_evidence(moments, group, j, parents, fit, -moments.loc / moments.scale)
        forms.append(local_form(child, j, *np.full((2, 2, G), 0.02**2)))
    odds = np.full(2 * G, np.log(0.25 / 0.75))
    none = np.zeros((1, 2 * G))
    choice = drug_choice(packed(forms), np.array([1]), np.ones((1, 2 * G)), none, np.ones(2 * G), odds)
    probability, mean, _ = choice.sample(rng)
    assert probability[0] > 0.99
    assert mean[0] == pytest.approx(-0.7, abs=0.05)
    assert (probability[G:] < 0.5).all()


@pytest.mark.parametrize("bounded", [0, 1, 3, 6])
def test_odds_are_differences_of_the_evidence_with_bounds(rng, bounded):
    choice = random_choice(rng)
    choice.linear[:2] *= 4  # well outside the bounds
    choice.n_bounded = bounded
    for on in itertools.product([False, True], repeat=6):
        odds = choice.conditional(np.array(on))[0]
        for i in range(6):
            both = [np.array([*on[:i], value, *on[i + 1 :]]) for value in (True, False)]
            assert odds[i] == pytest.approx(choice.evidence(both[0]) - choice.evidence(both[1]), abs=1e-6)


def test_evidence_of_one_bounded_variable_is_the_integral(rng):
    """Against quadrature over psi, a shift beside it integrated out."""
    Q, q, prior = np.array([[30.0, 9.0], [9.0, 8.0]]), np.array([45.0, 10.0]), np.array([0.5, 1.5])
    choice = DrugChoice(Q, q, prior, np.zeros(2), n_bounded=1)
    psi = np.linspace(-1, 1, 20_001)
    precision = Q[1, 1] + 1 / prior[1]
    mean = (q[1] - Q[0, 1] * psi) / precision
    log = q[0] * psi - 0.5 * Q[0, 0] * psi**2 + 0.5 * precision * mean**2 - 0.5 * np.log(prior[1] * precision)
    slab = np.exp(-0.5 * psi**2 / prior[0])
    expected = np.log(trapezoid(np.exp(log) * slab, psi) / trapezoid(slab, psi))
    assert choice.evidence(np.array([True, True])) == pytest.approx(expected, abs=1e-5)


def test_truncated_moments_against_scipy():
    mean, variance = np.array([0.3, 2.0, -5.0, 12.75]), np.array([0.1, 0.2, 0.3, 0.01])
    sd = np.sqrt(variance)
    known = truncnorm((-1 - mean[:3]) / sd[:3], (1 - mean[:3]) / sd[:3], loc=mean[:3], scale=sd[:3])
    cut = truncated(mean, variance, -1.0, 1.0)
    np.testing.assert_allclose(cut[0][:3], known.mean(), rtol=1e-4)
    np.testing.assert_allclose(cut[1][:3], known.var(), rtol=2e-3)
    assert cut[0][3] == pytest.approx(1.0, abs=2e-3) and 0 < cut[1][3] < 1e-5
    np.testing.assert_allclose(
        log_mass(mean, variance, -1.0, 1.0)[:3],
        np.log(norm.cdf(1, mean[:3], sd[:3]) - norm.cdf(-1, mean[:3], sd[:3])),
        rtol=1e-3,
    )
