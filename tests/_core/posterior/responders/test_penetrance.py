"""The share of cells that respond, from variances of simulated moments."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from scgim._core.design import Design
from scgim._core.effects import Effects
from scgim._core.moments.moments import Moments
from scgim._core.posterior.responders.penetrance import SHARES, Penetrance, among_cells, learn_penetrance

G, D, DOSES, N = 6, 12, 3, 80


def design() -> Design:
    """A control, and twelve drugs at three doses."""
    dose = np.zeros((1 + D * DOSES, D))
    dose[np.arange(1, len(dose)), np.repeat(np.arange(D), DOSES)] = np.tile([0.5, 1.0, 2.0], D)
    return Design(
        tuple(f"d{i}" for i in range(D)), dose, np.zeros(len(dose), dtype=int), ("",), [10 * N, *[N] * (len(dose) - 1)]
    )


def seen(
    share: np.ndarray, rng: np.random.Generator, *, inflated: float = 0.0, of_cells: bool = False
) -> tuple[Moments, Effects, np.ndarray]:
    """Sums of squares where a share ``(D,)`` of the cells responds to two targets; gene 0 acts on gene 1; some variances are 16 times larger."""
    plan = design()
    weights = np.zeros((G, G))
    weights[0, 1] = 0.8
    total = np.linalg.inv(np.eye(G) - weights)
    scale = np.linspace(0.5, 3.0, G)
    effect = np.zeros((len(plan.dose), G))
    for k in range(1, len(effect)):
        d = int(plan.dose[k].argmax())
        effect[k, [d % G, (d + 2) % G]] = np.array([1.0, -1.5]) * (0.5 + plan.dose[k, d]) * scale[[d % G, (d + 2) % G]]
    square = np.zeros((len(effect), G))
    noisy = np.where(rng.random(square.shape) < inflated, 4.0, 1.0)
    n = np.array(plan.n_cells)
    for k in range(len(effect)):
        s = share[int(plan.dose[k].argmax())] if k else 1.0
        respond = rng.random(n[k]) < s
        x = (rng.normal(size=(n[k], G)) * noisy[k] * scale + respond[:, None] * effect[k] / s) @ total
        square[k] = ((x - x.mean(axis=0)) ** 2).sum(axis=0)
        if of_cells:
            effect[k] *= respond.mean() / s
    within = np.diag(square.sum(axis=0) / (n.sum() - len(n)) / scale**2)
    moments = Moments(
        n.astype(float), np.zeros((len(n), G, 1)), within, np.zeros(G), scale, np.ones((G, 1)), square=square / scale**2
    )
    return moments, Effects((effect != 0).astype(float), effect, np.full(effect.shape, 0.1)), weights


@pytest.mark.parametrize("share", [0.2, 0.4, 0.7, 1.0])
def test_the_share_of_every_drug_is_found(share, rng):
    found = learn_penetrance(*_with(design(), seen(np.full(D, share), rng)))
    assert ((found.low <= found.share) & (found.share <= found.high)).all()
    assert np.abs(found.share - share).max() < 0.1
    assert ((found.low <= share) & (share <= found.high)).mean() > 0.7
    assert (found.high - found.low).max() < 0.3


def test_shares_of_a_context_are_binomial():
    """50 cells can have all shares of the grid."""
    for i in (0, 10, 40):
        exact = binom.pmf(np.round(50 * SHARES), 50, SHARES[i])
        np.testing.assert_allclose(np.exp(among_cells(50.0)[i]), exact / exact.sum(), rtol=1e-9)
    np.testing.assert_array_equal(np.exp(among_cells(50.0)[-1]), np.arange(len(SHARES)) == len(SHARES) - 1)
    np.testing.assert_allclose(np.exp(among_cells(1e9)), np.eye(len(SHARES)), atol=1e-9)


def test_intervals_hold_the_share_nine_times_in_ten(rng):
    held = []
    for _ in range(20):
        share = rng.uniform(0.2, 0.8, D)
        found = learn_penetrance(*_with(design(), seen(share, rng, of_cells=True)))
        held.append((found.low <= share) & (share <= found.high))
    assert 0.85 < np.mean(held) < 0.98


def test_drugs_may_differ(rng):
    share = np.where(np.arange(D) < 6, 0.3, 1.0)
    found = learn_penetrance(*_with(design(), seen(share, rng)))
    assert np.abs(found.share - share).max() < 0.12


@pytest.mark.parametrize("inflated", [0.0, 0.15])
def test_all_cells_respond_also_where_variances_differ(inflated, rng):
    found = learn_penetrance(*_with(design(), seen(np.ones(D), rng, inflated=inflated)))
    assert found.share.min() > 0.9
    np.testing.assert_allclose(found.high, 1.0)


def test_without_targets_there_is_the_prior(rng):
    moments, effects, weights = seen(np.full(D, 0.4), rng)
    found = learn_penetrance(moments, design(), replace(effects, probability=np.zeros(effects.shape)), weights)
    assert np.ptp(found.share) == 0 and (found.low < 0.3).all() and (found.high == 1).all()


def test_nothing_depends_on_the_units_or_the_order_of_genes(rng):
    moments, effects, weights = seen(np.linspace(0.3, 1.0, D), rng)
    found = learn_penetrance(moments, design(), effects, weights)
    by = np.array([2.0, 0.1, 1.0, 7.0, 3.0, 0.5])
    other = learn_penetrance(
        replace(moments, scale=moments.scale * by), design(), effects.scale(by), weights * by / by[:, None]
    )
    np.testing.assert_allclose(other.share, found.share, atol=1e-9)
    order = rng.permutation(G)
    turned = replace(
        moments,
        scale=moments.scale[order],
        square=moments.square[:, order],
        within=moments.within[np.ix_(order, order)],
    )
    other = learn_penetrance(turned, design(), effects[:, order], weights[np.ix_(order, order)])
    np.testing.assert_allclose(other.share, found.share, atol=1e-9)


def test_rows_have_the_smallest_share_of_their_drugs():
    one = Penetrance(np.array([0.4, 0.8]), np.array([0.3, 0.6]), np.array([0.5, 1.0]))
    share, low, high = one.at(np.array([[1.0, 0, 0], [1, 2, 0], [0, 0, 0], [0, 0, 3]]))
    np.testing.assert_allclose(share, [0.4, 0.4, 1.0, 0.6])
    np.testing.assert_allclose(low, [0.3, 0.3, 1.0, 0.45])
    np.testing.assert_allclose(high, [0.5, 0.5, 1.0, 0.75])
    assert SHARES[0] > 0 and SHARES[-1] == 1


def test_moments_of_counts_are_refused(rng):
    moments, effects, weights = seen(np.ones(D), rng)
    with pytest.raises(ValueError, match="moments: expected sums of squares"):
        learn_penetrance(replace(moments, square=None), design(), effects, weights)


def _with(plan: Design, parts: tuple[Moments, Effects, np.ndarray]) -> tuple[Moments, Design, Effects, np.ndarray]:
    moments, effects, weights = parts
    return moments, plan, effects, weights
