"""Edges of regulators from the covariance of cells: probabilities and sizes against integrals, lacking edges on simulated cells."""

import numpy as np
import pytest
from scipy.stats import norm, t

from scgim._core.moments.moments import Moments
from scgim._core.posterior.regulation.edges import SDS, edges_of, log_student, tails, weigh_edges
from scgim._core.posterior.regulation.network import RELATIVE_SD, RIGHT, Network

N_GENES, N_CELLS, T, GENES = 80, 5000, 4, 15


def moments_of(cov: np.ndarray) -> Moments:
    zero, one = np.zeros(N_GENES), np.ones(N_GENES)
    return Moments(np.full(5, N_CELLS / 5), np.zeros((5, N_GENES, 1)), cov, zero, one, one[:, None])


@pytest.fixture
def screen(rng):
    """Four regulators of fifteen genes, three of which the network names by mistake in place of others; loadings, and moments of cells."""
    truth, source, target, sign = np.zeros((T, N_GENES)), [], [], []
    for r in range(T):
        genes = rng.choice(N_GENES, GENES + 3, replace=False)
        truth[r, genes[:GENES]] = rng.choice([-1.0, 1.0], GENES) * rng.uniform(0.15, 0.45, GENES)
        given = genes[3:]
        source += [r] * GENES
        target += list(given)
        sign += [np.sign(truth[r, g]) if truth[r, g] else rng.choice([-1.0, 1.0]) for g in given]
    cells = rng.normal(size=(N_CELLS, T)) @ truth + rng.normal(size=(N_CELLS, N_GENES))
    network = Network(("a", "b", "c", "d"), np.array(source), np.array(target), np.array(sign))
    return network, truth, moments_of(np.cov(cells.T))


def test_cells_name_the_edges_that_a_network_lacks_and_tell_sizes(screen):
    network, truth, moments = screen
    found = weigh_edges(network, moments, np.zeros((N_GENES, N_GENES)))
    named = network.effects(N_GENES) != 0
    right = np.zeros(truth.shape)
    right[found.source, found.target] = found.right
    assert (right[named & (truth != 0)] > 0.9).mean() > 0.9
    assert (right[named & (truth == 0)] <= 0.75).mean() > 0.8
    assert (right[~named & (truth != 0)] > 0.5).mean() > 0.8
    assert (right[~named & (truth == 0)] > 0.5).sum() <= 3
    weight, at = found.effects(N_GENES), (right > 0.9) & (truth != 0)
    assert np.corrcoef(weight[at], truth[at])[0, 1] > 0.97
    size = np.abs(truth).sum(axis=1) / GENES
    np.testing.assert_allclose(np.sqrt(found.variance), size, rtol=0.2)
    assert (found.weight_sd[found.right > 0.9] < RELATIVE_SD).all()


def test_where_cells_do_not_vary_together_the_network_is_as_it_was(screen, rng):
    network, _, _ = screen
    noise = moments_of(np.cov(rng.normal(size=(N_CELLS, N_GENES)).T))
    found = weigh_edges(network, noise, np.zeros((N_GENES, N_GENES)))
    order = np.lexsort((network.target, network.source))
    assert (found.right > 0.8).mean() < 0.1
    assert (found.right < RIGHT).sum() == len(found.right) - len(order)  # added ones, of which there are few
    assert len(found.right) - len(order) <= 5
    assert (found.variance < 0.05**2).all()


@pytest.mark.parametrize("freedom", [4.0, 30.0])
def test_probabilities_and_sizes_are_integrals(freedom):
    """Over sizes on a fine grid, of named edges of both signs, one that is in doubt, and one that is lacking."""
    loading, error = np.array([0.3, -0.22, 0.16, -0.25, 0.02]), np.full(5, 0.05)
    named = np.array([1.0, -1.2, 0.8, 0.0, 0.0])
    found = edges_of(loading, error, named, freedom)
    u = np.linspace(1 - 8 * RELATIVE_SD, 1 + 8 * RELATIVE_SD, 4001)
    of_u = norm.pdf(u, 1, RELATIVE_SD) * (u[1] - u[0])
    none = t.pdf(loading / error, freedom) / error
    prior = np.array([RIGHT] * 3 + [1 - RIGHT] * 2)
    total, right, first = np.zeros(len(SDS)), np.zeros((len(SDS), 5)), np.zeros((len(SDS), 5))
    for i, s in enumerate(SDS):
        each = np.zeros(5)
        for j, w in enumerate(np.where(named != 0, named, np.sign(loading))):
            of_size = norm.pdf(loading[j], s * w * u, error[j]) * of_u
            each[j] = of_size.sum() * (1.0 if named[j] else 0.5) if s else none[j]
            first[i, j] = w * (of_size @ u) / of_size.sum() if s else w
        right[i] = prior * each / (prior * each + (1 - prior) * none)
        total[i] = np.prod((prior * each + (1 - prior) * none)[:3]) * (1.0 if not s else 1 / (len(SDS) - 1))
    total /= total.sum()
    expected = total @ right
    told = (named == 0) | (expected > RIGHT)
    assert told[0] and told[3]
    np.testing.assert_allclose(found.right, np.where(told, expected, RIGHT), rtol=1e-4)
    np.testing.assert_allclose(
        found.weight[told], ((total[:, None] * right * first).sum(axis=0) / expected)[told], rtol=1e-4
    )
    np.testing.assert_allclose(found.variance, total @ SDS**2)


def test_tails_are_those_of_the_loadings(rng):
    z = np.linspace(-4, 4, 9)
    np.testing.assert_allclose(log_student(z, 4.0), t.logpdf(z, 4.0))
    assert tails(rng.normal(size=5000)) == 30.0
    assert tails(rng.standard_t(3, 5000)) == 4.0
