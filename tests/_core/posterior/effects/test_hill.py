import numpy as np
import pytest
from scipy.stats import multivariate_normal

from scgim._core.posterior.effects import hill as module
from scgim._core.posterior.effects.hill import (
    SLOPES,
    WIDE,
    Pair,
    _axes,
    _curvature,
    _grouped,
    _shared_cost,
    curve_grid,
    fit_curves,
    hill,
    rank_one_log_density,
)

DOSES = np.array([0.2, 0.5, 1.0, 2.0, 5.0])


def test_hill_equals_its_definition():
    np.testing.assert_allclose(hill(DOSES, 0.75, 4.0), DOSES**4 / (0.75**4 + DOSES**4))
    assert hill(0.0, 0.75, 4.0) == 0
    assert hill(0.75, 0.75, 3.0) == pytest.approx(0.5)
    np.testing.assert_array_equal(hill([0.0, 1e-9, 7.0], 0.0, 1.0), [0, 1, 1])  # no dependence on dose


@pytest.mark.parametrize("deviation", [0.0, 0.3])
def test_log_density_equals_the_dense_gaussian(rng, deviation):
    M, L, T, slab2 = 4, 5, 3, 1.7
    r, e = rng.normal(size=(M, L)), rng.uniform(0.1, 1, (M, L))
    h = rng.uniform(0, 1, (T, L))
    found = rank_one_log_density(r, e, h, slab2, deviation)
    for m in range(M):
        off = multivariate_normal(np.zeros(L), np.diag(e[m])).logpdf(r[m])
        for t in range(T):
            cov = np.diag(e[m] + deviation * h[t] ** 2) + slab2 * np.outer(h[t], h[t])
            assert found[m, t] == pytest.approx(multivariate_normal(np.zeros(L), cov).logpdf(r[m]) - off, abs=1e-9)


@pytest.mark.parametrize("deviation", [0.0, 0.3])
def test_log_density_with_offsets_equals_the_dense_gaussian(rng, deviation):
    M, L, T, slab2 = 4, 5, 3, 1.7
    r, e, offset2 = rng.normal(size=(M, L)), rng.uniform(0.1, 1, (M, L)), np.array([0.0, 0.2, 1.0, 5.0])
    h = rng.uniform(0, 1, (T, L))
    found = rank_one_log_density(r, e, h, slab2, deviation, offset2)
    for m in range(M):
        alike = np.full((L, L), offset2[m])
        off = multivariate_normal(np.zeros(L), np.diag(e[m]) + alike).logpdf(r[m])
        for t in range(T):
            cov = np.diag(e[m] + deviation * h[t] ** 2) + slab2 * np.outer(h[t], h[t]) + alike
            assert found[m, t] == pytest.approx(multivariate_normal(np.zeros(L), cov).logpdf(r[m]) - off, abs=1e-9)


def test_offsets_are_not_taken_for_curves(rng):
    pairs = pairs_of(rng, np.full(10, 0.75), np.full(10, 4.0), 0.1)
    shifted = [pair._replace(residual=pair.residual + 0.5 * rng.normal()) for pair in pairs]
    blind, aware = (fit_curves(shifted, 10, 9.0, 0.0, offset) for offset in (None, np.full(len(pairs), 0.25)))
    off = [np.abs(np.log(fit.ec50 / 0.75)).mean() for fit in (blind, aware)]
    assert off[1] < 0.7 * off[0]


def pairs_of(rng, ec50: np.ndarray, slope: np.ndarray, noise: float) -> list[Pair]:
    out = []
    for d in range(len(ec50)):
        for _ in range(2):
            r = rng.choice([-1, 1]) * rng.uniform(2, 4) * hill(DOSES, ec50[d], slope[d])
            out.append(Pair(d, DOSES, r + noise * rng.normal(size=len(DOSES)), np.full(len(DOSES), noise**2)))
    return out


def test_shared_curve_is_recovered(rng):
    ec50, slope, *_ = fit_curves(pairs_of(rng, np.full(20, 0.75), np.full(20, 4.0), 0.1), 20, 9.0, 1e-4)
    np.testing.assert_allclose(ec50, 0.75, rtol=0.1)
    np.testing.assert_allclose(slope, 4.0, rtol=0.25)
    assert np.abs(slope / 4 - 1).mean() < 0.05


@pytest.mark.parametrize("response", [np.ones(5), DOSES / 5, np.array([0, 0, 0, 0, 1.0]), np.array([0, 0, 1.0, 1, 1])])
def test_curves_that_doses_do_not_tell_stay_near_them(response, rng):
    """Flat, linear, only at the highest dose, a step."""
    pairs = [Pair(d, DOSES, 2 * response + 0.01 * rng.normal(size=5), np.full(5, 1e-4)) for d in range(6)]
    fit = fit_curves(pairs, 6, 4.0, 0.0)
    assert (fit.ec50 >= 0.99 * DOSES.min() / 10).all() and (fit.ec50 <= 1.01 * DOSES.max() * 10).all()
    assert (fit.slope >= 0.2).all() and (fit.slope <= 17).all()
    assert np.isfinite(fit.axes).all()
    fraction = hill(DOSES, fit.ec50[0], fit.slope[0])
    np.testing.assert_allclose(fraction / fraction[-1], response, atol=0.05)


def test_a_flat_curve_of_one_target_stays_near_the_doses():
    """Without bounds its ec50 is 3e-32."""
    residual = 2 + 0.01 * np.random.default_rng(9).normal(size=5)
    fit = fit_curves([Pair(0, DOSES, residual, np.full(5, 1e-4))], 1, 4.0, 0.0)
    assert fit.ec50[0] == pytest.approx(DOSES.min() / 10, rel=1e-3)
    assert np.ptp(hill(DOSES, fit.ec50[0], fit.slope[0])) < 0.2


def test_flat_curves_far_out_give_no_warning():
    groups = _grouped([Pair(0, DOSES, np.ones(len(DOSES)), np.ones(len(DOSES)))], np.zeros(1))
    assert np.isfinite(_shared_cost(groups, 9.0, 0.0, np.array([[711.0, -7.3]])))


def test_curves_of_single_drugs_are_recovered(rng):
    ec50, slope = np.exp(rng.normal(0, 0.5, 15)), np.exp(rng.normal(0.7, 0.3, 15))
    found, n, *_ = fit_curves(pairs_of(rng, ec50, slope, 0.03), 15, 9.0, 1e-6)
    assert np.abs(np.log(found / ec50)).max() < 0.25
    assert np.abs(np.log(n / slope)).mean() < 0.2


def test_drug_without_targets_takes_the_common_curve(rng):
    ec50, *_ = fit_curves(pairs_of(rng, np.full(8, 0.75), np.full(8, 4.0), 0.1), 9, 9.0, 1e-4)
    assert ec50[8] == pytest.approx(0.75, rel=0.25)


def test_no_pairs_means_no_curve():
    ec50, slope, *_ = fit_curves([], 3, 1.0, 0.0)
    np.testing.assert_array_equal(ec50, 0)
    np.testing.assert_array_equal(slope, 1)


def test_axes_are_the_spread_of_the_curve():
    """Over repeated data, errors of a shared curve have the covariance that the axes claim."""
    z = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        fit = fit_curves(pairs_of(rng, np.full(10, 0.75), np.full(10, 4.0), 0.1), 10, 9.0, 0.0)
        axes = fit.axes[:, 0]  # (2, 2)
        error = np.log([fit.ec50[0] / 0.75, fit.slope[0] / 4.0])
        z.append(np.linalg.solve(axes.T, error))
    z = np.array(z)
    assert np.abs(z).max() < 4
    np.testing.assert_allclose((z**2).mean(), 1, atol=0.35)


def test_drug_without_targets_is_as_uncertain_as_drugs_differ():
    rng = np.random.default_rng(1)
    ec50, slope = np.exp(rng.normal(0, 0.5, 15)), np.exp(rng.normal(0.7, 0.3, 15))
    axes = fit_curves(pairs_of(rng, ec50, slope, 0.03), 16, 9.0, 0.0).axes
    length = np.sqrt((axes**2).sum(axis=(0, 2)))
    assert length[15] > 3 * np.median(length[:15])
    assert length[15] > 0.3


def test_curvature_is_the_inverse_of_second_derivatives(monkeypatch):
    """Of a quadratic cost second differences are exact, with a prior as wide as stated beside."""
    second, at = np.array([[3.0, 1.1], [1.1, 2.0]]), np.array([0.3, -0.4])
    monkeypatch.setattr(
        module, "_shared_cost", lambda *given: 0.5 * np.einsum("ta,ab,tb->t", given[3], second, given[3])
    )
    found = _curvature([], 1.0, 0.0, at)
    np.testing.assert_allclose(found, np.linalg.inv(second + np.diag(1 / WIDE**2)), rtol=1e-6)
    np.testing.assert_allclose(_axes(found).T @ _axes(found), found)


def test_grid_reaches_a_decade_beyond_the_doses():
    log_ec50, log_slope = curve_grid(np.array([0.0, 0.2, 5.0]))
    assert (log_ec50.min(), log_ec50.max()) == pytest.approx((np.log(0.02), np.log(50.0)))
    np.testing.assert_allclose(np.unique(log_slope), np.log(SLOPES))
    assert len(np.unique(np.column_stack([log_ec50, log_slope]), axis=0)) == len(log_ec50) == 41 * len(SLOPES)
