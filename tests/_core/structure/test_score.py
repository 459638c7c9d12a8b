"""The score against densities of the cells themselves, written without the package's formulas."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from scgim._core.mechanisms import MECHANISMS
from scgim._core.structure.prior import EDGE_FACTOR, Prior
from scgim._core.structure.score import ShiftScore

GENE, PARENTS = 2, (0, 1)


def prior(n_genes: int, background: float = 0.0) -> Prior:
    out = Prior.default(n_genes)
    out.p_target = np.linspace(0.2, 0.4, n_genes)
    out.effect_sd = np.linspace(0.8, 1.6, n_genes)
    out.background_sd = np.full(n_genes, background)
    return out


def make_score(study, mechanism: str = "linear", background: float = 0.0) -> ShiftScore:
    moments = study.moments(mechanism)
    return ShiftScore(moments, study.design.drug_set, study.design.group, prior(moments.n_genes, background))


def functions(study, moments, mechanism: str, parents: tuple[int, ...]) -> np.ndarray:
    z = (study.cells - moments.loc) / moments.scale
    return MECHANISMS[mechanism].functions(z[:, list(parents)]).reshape(len(z), -1)


def unit_log_density(score: ShiftScore, fit, residual: np.ndarray, context: np.ndarray, unit: np.ndarray, log_cell):
    """Spike and slab mixture over units of log densities `log_cell(cells, shifted)`, shifted None for controls."""
    p = score.prior.p_target[GENE]
    total = sum(log_cell(residual[context == k], None) for k in np.flatnonzero(unit < 0))
    odds = []
    for u in range(unit.max() + 1):
        contexts = np.flatnonzero(unit == u)
        off = np.log1p(-p) + sum(log_cell(residual[context == k], False) for k in contexts)
        on = np.log(p) + sum(log_cell(residual[context == k], True) for k in contexts)
        total += np.logaddexp(off, on)
        odds.append(on - off)
    return total, np.array(odds)


@pytest.mark.parametrize(("mechanism", "noise"), [("linear", 0.0), ("linear", 0.1), ("additive", 0.0)])
def test_genes_at_once_are_those_one_by_one(make_study, mechanism, noise):
    """Also where what is seen of genes has noise, and where Python has to score, one gene after the other."""
    study = make_study(n_genes=6, n_drugs=3, n_control=40, n_cells=12, n_groups=2)
    moments = study.moments(mechanism)
    if noise:
        moments = replace(moments, spread=noise * np.random.default_rng(0).random((len(moments.n), 6)))
    given = moments, study.design.drug_set, study.design.group, prior(6, 0.3)
    parents = {0: (), 1: (0,), 2: (0, 1), 3: (0,), 4: (1, 3), 5: ()}
    for score in (ShiftScore(*given), type("Plain", (ShiftScore,), {"as_compiled": False})(*given)):
        for j, fit in enumerate(score.genes_given(parents)):
            for at_once, alone in zip(fit, score.gene(j, parents[j]), strict=True):
                np.testing.assert_allclose(at_once, alone, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("mechanism", ["linear", "additive"])
@pytest.mark.parametrize("background", [0.0, 0.3])
@pytest.mark.parametrize("parents", [(), PARENTS])
def test_equals_the_density_of_the_cells(make_study, mechanism, background, parents):
    study = make_study(n_genes=4, n_drugs=3, n_control=40, n_cells=12, n_groups=2)
    score = make_score(study, mechanism, background)
    score.ridge = 0.0
    fit = score.gene(GENE, parents)
    f = functions(study, score.moments, mechanism, parents)
    z = (study.cells[:, GENE] - score.moments.loc[GENE]) / score.moments.scale[GENE]
    residual = z - f @ fit.coef - fit.baseline[study.design.group[study.context]]
    slab2 = score.prior.effect_sd[GENE] ** 2

    def log_cell(r, shifted):
        n = len(r)
        common = 0.0 if shifted is None else background**2 + slab2 * shifted  # every cell of the context moves together
        return multivariate_normal(np.zeros(n), fit.noise * np.eye(n) + common).logpdf(r)

    total, odds = unit_log_density(score, fit, residual, study.context, study.design.drug_set, log_cell)
    n = score.moments.n
    price = score.price(GENE, np.array([parents], dtype=int).reshape(1, -1))[0]
    constant = -0.5 * n.sum() * np.log(2 * np.pi) - 0.5 * np.log(n).sum()
    assert fit.score + price + constant == pytest.approx(total, rel=1e-9)
    np.testing.assert_allclose(fit.log_odds, odds, rtol=1e-7, atol=1e-7)
    for k in range(len(n)):
        assert fit.residual[k] == pytest.approx(residual[study.context == k].mean(), abs=1e-9)
        assert fit.error[k] == pytest.approx(fit.noise / n[k] + background**2 * (study.design.drug_set[k] >= 0))


def test_uncertain_slopes_are_errors_of_what_parents_pass_on(study):
    moments = study.moments("linear")
    uncertain = prior(moments.n_genes, 0.3)
    uncertain.slope_sd = 0.2
    fit = ShiftScore(moments, study.design.drug_set, study.design.group, uncertain).gene(GENE, PARENTS)
    control, drug = study.design.control, ~study.design.control
    for c in np.unique(study.design.group):
        own = study.design.group == c
        base = np.average(moments.mean[own & control, :, 0], axis=0, weights=moments.n[own & control])
        at = own & drug
        passed = (moments.mean[at][:, list(PARENTS), 0] - base[list(PARENTS)]) ** 2 @ fit.coef**2
        np.testing.assert_allclose(fit.error[at], fit.noise / moments.n[at] + 0.3**2 + 0.2**2 * passed)
        np.testing.assert_allclose(fit.error[own & control], fit.noise / moments.n[own & control])


def test_squares_of_effects_are_unbiased(study):
    residual, error = np.array([[3.0, -1.0]]), np.array([[0.5, 2.0]])
    np.testing.assert_array_equal(make_score(study).effects(residual, error), [[8.5, -1.0]])


def test_price_is_prior_odds_and_half_log_n_a_parameter(study):
    for mechanism, functions_ in (("linear", 1), ("additive", 5)):
        score = make_score(study, mechanism)
        score.prior.edge_price = np.arange(36.0).reshape(6, 6)
        price = score.price(2, np.array([[0, 1], [3, 5]]))
        each = 0.5 * np.log(len(study.cells)) * 2 * functions_
        np.testing.assert_allclose(price, [2 + 8 + each, 20 + 32 + each])


@pytest.mark.parametrize("mechanism", ["linear", "additive"])
def test_edges_between_genes_that_are_seen_through_noise_are_dearer(rng, study, mechanism):
    moments, design = study.moments(mechanism), study.design
    moments.pair_cells = rng.uniform(5, 30, (6, 6))
    score = ShiftScore(moments, design.drug_set, design.group, prior(6))
    typical = np.median(moments.pair_cells[~np.eye(6, dtype=bool)])
    each = score.prior.edge_price + 0.5 * np.log(len(study.cells)) * moments.n_functions
    each = each * EDGE_FACTOR * np.maximum(typical / moments.pair_cells, 1)
    np.testing.assert_allclose(
        score.price(2, np.array([[0, 1], [3, 5]])), [each[[0, 1], 2].sum(), each[[3, 5], 2].sum()]
    )
    np.testing.assert_allclose(score._prices(), each)


def test_prices_of_edges_are_their_prior_odds():
    prior = Prior.default(11)
    assert np.exp(-prior.edge_price[0, 1]) == pytest.approx(0.2 / 0.8)
    probability = np.array([[0, 0.5, 0], [0.9, 0, 0.1], [1, 0, 0]])
    price = Prior.default(3, probability).edge_price
    np.testing.assert_array_equal(np.isinf(price), probability == 0)
    assert price[0, 1] == pytest.approx(0)
    assert price[1, 0] == pytest.approx(-np.log(9))
    assert -25 < price[2, 0] < -15  # certain, yet finite


def objective(score: ShiftScore, beta: np.ndarray, variance: float, parents: tuple[int, ...]) -> float:
    """Log posterior of coefficients and baselines for a given noise variance, by loops and scipy's densities."""
    m, columns = score.moments, list(score.columns(np.array(parents)))
    F, target = len(columns), GENE * score.n_functions
    c, b = beta[:F], beta[F:]
    S = m.within
    spread = S[target, target] - 2 * c @ S[columns, target] + c @ S[np.ix_(columns, columns)] @ c
    spread += score.ridge * c @ c
    total = -0.5 * score.dof * spread / variance
    flat = m.mean.reshape(len(m.n), -1)
    unit = np.full(len(m.n), -1)
    unit[score.sorted[score.n_control :]] = np.repeat(np.arange(len(score.sizes)), score.sizes)
    group = np.argmax(score.groups[np.argsort(score.sorted)], axis=1)
    residual = flat[:, target] - flat[:, columns] @ c - b[group]
    error = variance / m.n + score.prior.background_sd[GENE] ** 2 * (unit >= 0)
    off = norm.logpdf(residual, 0, np.sqrt(error))
    on = norm.logpdf(residual, 0, np.sqrt(error + score.prior.effect_sd[GENE] ** 2))
    p = score.prior.p_target[GENE]
    total += off[unit < 0].sum()
    for u in range(unit.max() + 1):
        total += np.logaddexp(np.log1p(-p) + off[unit == u].sum(), np.log(p) + on[unit == u].sum())
    return float(total)


@pytest.mark.parametrize("mechanism", ["linear", "additive"])
@pytest.mark.parametrize("background", [0.0, 0.3])
def test_fixed_point_is_a_maximum_of_the_objective(make_study, mechanism, background):
    study = make_study(n_groups=2)
    score = make_score(study, mechanism, background)
    score.n_steps_final = 300
    fit = score.gene(GENE, PARENTS)
    beta = np.append(fit.coef, fit.baseline)
    best = objective(score, beta, fit.noise, PARENTS)
    scale = 1 / np.sqrt(score.dof)  # about one standard error
    step = 1e-3 * scale
    for i in range(len(beta)):
        away = step * np.eye(len(beta))[i]
        up, down = (objective(score, beta + s * away, fit.noise, PARENTS) for s in (1, -1))
        assert abs(up - down) / (2 * step) * scale < 1e-3
        assert max(up, down) < best + 1e-7
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert objective(score, beta + scale * rng.normal(size=len(beta)), fit.noise, PARENTS) < best


@pytest.mark.parametrize("mechanism", ["linear", "additive"])
def test_more_steps_do_not_lower_the_score(study, mechanism):
    score = make_score(study, mechanism)
    for j in range(6):
        sets = np.array(list(combinations([i for i in range(6) if i != j], 2)))
        paths = []
        for steps in (1, 2, 4, 8, 16, 64):
            score.n_steps = steps
            paths.append(score.score_sets(j, sets))
        path = np.stack(paths)
        # the noise variance follows the coefficients, so that the ascent is exact up to terms of order 1 / n
        assert (np.diff(path, axis=0) > -1e-3).all()
        assert np.abs(path[-1] - path[-2]).max() < 1e-3 * np.abs(path[-1] - path[0]).max() + 1e-6


def test_batches_equal_single_sets_and_order_of_parents_is_free(study):
    score = make_score(study)
    sets = np.array([[0, 1], [1, 3], [4, 5]])
    together = score.score_sets(GENE, sets)
    alone = [score.score_sets(GENE, s[None])[0] for s in sets]
    np.testing.assert_allclose(together, alone, rtol=1e-12)
    np.testing.assert_allclose(score.score_sets(GENE, sets[:, ::-1]), together, rtol=1e-10)
    np.testing.assert_allclose(
        score.score_added(GENE, (0,), np.array([1, 3])), score.score_sets(GENE, [[0, 1], [0, 3]])
    )


def test_order_of_contexts_is_free(study):
    moments, unit, group = study.moments(), study.design.drug_set, study.design.group
    flip = np.random.default_rng(1).permutation(len(unit))
    mixed = study.moments()
    mixed.n, mixed.mean = moments.n[flip], moments.mean[flip]
    a = ShiftScore(moments, unit, group, prior(6)).gene(GENE, PARENTS)
    b = ShiftScore(mixed, unit[flip], group[flip], prior(6)).gene(GENE, PARENTS)
    assert a.score == pytest.approx(b.score, rel=1e-12)
    np.testing.assert_allclose(a.residual[flip], b.residual, atol=1e-9)
    np.testing.assert_allclose(a.log_odds, b.log_odds, atol=1e-6)


def test_coefficients_and_targets_of_the_truth_are_found(study):
    score, scale = make_score(study), study.moments().scale
    drug = study.design.dose[np.unique(study.design.drug_set, return_index=True)[1][1:]].argmax(axis=1)  # of each unit
    for j in range(6):
        parents = tuple(np.flatnonzero(study.graph[:, j]))
        fit = score.gene(j, parents)
        weight = fit.coef * scale[j] / scale[list(parents)]
        np.testing.assert_allclose(weight, study.graph[list(parents), j], atol=0.12)
        np.testing.assert_array_equal(fit.log_odds > 0, study.effect[drug, j] != 0)


@pytest.mark.parametrize(("mechanism", "most"), [("linear", 1e-5), ("additive", 0.25)])
def test_the_ridge_steadies_and_does_not_move(study, mechanism, most):
    """Scores are those without a ridge, for linear functions to rounding: what parents explain is hundreds."""
    score = make_score(study, mechanism)
    with_ridge = score.score_sets(GENE, [PARENTS, (3, 4)])
    score.ridge = 0.0
    score._prior_numbers = None  # of which the ridge is one
    without = score.score_sets(GENE, [PARENTS, (3, 4)])
    np.testing.assert_allclose(with_ridge, without, rtol=0, atol=most)


def test_a_score_that_changes_a_compiled_method_is_not_taken_for_compiled(study):
    class Own(ShiftScore):
        def branches(self, square, error, j):
            return super().branches(square, error, j)

    moments, design = study.moments("additive"), study.design
    for kind, n_functions in ((ShiftScore, moments.n_functions), (Own, 0)):
        score = kind(moments, design.drug_set, design.group, prior(moments.n_genes))
        assert score.as_compiled == (kind is ShiftScore)
        assert score.engine()[0] == n_functions
