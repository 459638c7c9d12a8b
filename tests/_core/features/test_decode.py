"""Support search: against brute force, closed forms, and permutations of genes."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from scgim._core.features.backward import LinearBlock
from scgim._core.features.decode import SHARES, SIZES, DrugEvidence, Scores, search, solve_each
from scgim._core.features.prior import PopulationPrior
from scgim._core.features.rows import Rows

G, L, T = 6, 5, 7


def make_block(rng, *, spread=0.05):
    """A block with random weights and draws around them."""
    deviations = spread * rng.normal(size=(2 * G + 2, T, L))
    return LinearBlock(np.eye(L), rng.normal(size=(2 * G + 2, L)), deviations.astype(np.float32), np.full(L, 0.01))


def make_prior(*, slab=((1.0, 0.0, 9.0),), most=3):
    """A prior of at most three targets."""
    return PopulationPrior(
        log_odds=np.linspace(-2, -1, G),
        log_size=np.log(np.full(most + 1, 1 / (most + 1))),
        mean=np.zeros(G),
        variance=np.full(G, 9.0),
        second_moment=9.0,
        slab=np.array(slab),
        log_ec50=0.0,
        log_hill=0.0,
        curve=np.ones((2, 2)),
    )


def make_rows(rng):
    """Two rows of one drug."""
    return Rows(rng.normal(size=(2, L)), np.zeros(2, int), np.array([1.3, 0.7]), np.array([1.5, 0.0]))


def dense_log_evidence(block, rows, support, tau2, effect, variance):
    """Log density of the features by one Gaussian, weights' errors times effects of the given mean and variance."""
    s = list(support)
    mean, slope, errors = [], [], []
    for on, by in zip(rows.on, rows.by, strict=True):
        w, dev = block.weights, block.deviations.astype(float)
        mean.append(on * (w[-2] + w[:G][s].sum(0)) + by * w[-1])
        slope.append(by * w[G : 2 * G][s])
        e = on * (dev[-2] + dev[:G][s].sum(0)) + by * (dev[-1] + np.einsum("k,ktl->tl", effect, dev[G : 2 * G][s]))
        errors.append(e)
    joint, m = np.concatenate(errors, 1), np.concatenate(slope, 1)
    cov = joint.T @ joint / T
    for v, gene in zip(variance, s, strict=True):
        own = np.concatenate([by * dev[G + gene] for by in rows.by], 1)
        cov += v * own.T @ own / T
    off = ~np.eye(2 * L, dtype=bool)
    error = (np.outer(np.diag(cov), np.diag(cov)) + cov**2)[off].sum() / T
    cov[off] *= max(0, 1 - error / (cov[off] ** 2).sum())
    effects = 0.01 * np.eye(2 * L) + tau2 * m.T @ m
    logs = [multivariate_normal(np.concatenate(mean), c * cov + effects).logpdf(rows.value.ravel()) for c in SIZES]
    return np.log(SHARES @ np.exp(logs))


def test_evidence_matches_dense_gaussian():
    """Effects and weights' errors integrate out as in one joint Gaussian."""
    rng = np.random.default_rng(0)
    block, rows = make_block(rng), make_rows(rng)
    evidence = DrugEvidence([block], [rows], 9.0)
    pairs = [(0, 3), (1, 2), (4, 5)]
    mean, _, log = evidence(np.array(pairs))
    # the covariance is taken at the effects of the last round but one, found from one round less
    start, spread, _ = evidence.rough(np.array(pairs))
    cov = evidence.covariance(np.array(pairs), start, np.diagonal(spread, axis1=1, axis2=2))
    residual, slope = evidence.y - evidence.offset[np.array(pairs)].sum(1), evidence.slope[np.array(pairs)]
    for i, pair in enumerate(pairs):
        inv = np.linalg.inv(cov[i])
        within = np.linalg.inv(slope[i] @ inv @ slope[i].T + np.eye(2) / 9)
        effect = within @ slope[i] @ inv @ residual[i]
        expected = dense_log_evidence(block, rows, pair, 9.0, effect, np.diag(within))
        assert log[i] - 0.5 * 2 * L * np.log(2 * np.pi) == pytest.approx(expected, rel=1e-6)
        assert np.isfinite(mean[i]).all()


def test_gene_whose_weights_are_unknown_counts_with_the_mean_square_of_its_effect():
    """Errors of weights times a random effect have the covariance that draws of the effect have; evidence takes it so."""
    rng = np.random.default_rng(3)
    block, rows = make_block(rng, spread=1.0), make_rows(rng)
    block.weights[G] = 0.0  # nothing is known of the effects of gene 0
    evidence = DrugEvidence([block], [rows], 9.0)
    mean, variance = np.array([[0.5]]), np.array([[9.0]])
    drawn = mean + 3.0 * rng.standard_normal((20_000, 1))
    pair = np.zeros((1, 1), int)
    sampled = evidence.covariance(pair.repeat(len(drawn), 0), drawn).mean(0)
    exact = evidence.covariance(pair, mean, variance)[0]
    np.testing.assert_allclose(sampled, exact, atol=0.03 * np.abs(exact).max())
    found, spread, _ = evidence(pair)
    assert found[0, 0] == pytest.approx(0.0, abs=1e-6)
    assert spread[0, 0, 0] == pytest.approx(9.0)


@pytest.mark.parametrize("slab", [((1.0, 0.0, 9.0),), ((0.5, 3.0, 0.5), (0.4, -3.0, 0.5), (0.1, 0.0, 18.0))])
def test_beam_finds_what_enumeration_of_supports_gives(slab):
    """The beam finds what the sum over all supports gives."""
    prior = make_prior(slab=slab)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        block, rows = make_block(rng), make_rows(rng)
        evidence = DrugEvidence([block], [rows], 9.0)
        every = Scores(evidence, prior, rough=False)
        every.visit([s for k in range(4) for s in itertools.combinations(range(G), k)])
        assert len(every.found) == 42
        log = np.array([v[0] for v in every.found.values()])
        weight = np.exp(log - log.max())
        weight /= weight.sum()
        probability, shift = np.zeros((2, G))
        for w, (s, (_, mean, _)) in zip(weight, every.found.items(), strict=True):
            probability[list(s)] += w
            shift[list(s)] += w * mean
        found = search(evidence, prior)
        np.testing.assert_allclose(found.probability[0], probability, atol=1e-9)
        np.testing.assert_allclose(found.expected[0], shift, atol=1e-8)
        narrow = search(evidence, prior, budget=48, rescored=20)
        np.testing.assert_allclose(narrow.probability[0], probability, atol=0.02)


def test_search_permutes_with_genes():
    """Genes have no order."""
    rng = np.random.default_rng(4)
    block, rows, prior = make_block(rng), make_rows(rng), make_prior()
    order = rng.permutation(G)
    index = np.r_[order, G + order, 2 * G, 2 * G + 1]
    turned = LinearBlock(block.rotation, block.weights[index], block.deviations[index], block.noise)
    moved = replace(prior, log_odds=prior.log_odds[order])
    first = search(DrugEvidence([block], [rows], 9.0), prior)
    second = search(DrugEvidence([turned], [rows], 9.0), moved)
    np.testing.assert_allclose(first.probability[:, order], second.probability, atol=1e-6)
    np.testing.assert_allclose(first.mean[:, order], second.mean, atol=1e-4)


def test_prior_over_supports_sums_to_one():
    """The prior over supports sums to one over those of allowed size."""
    prior = make_prior()
    log = prior.log_support()
    total = sum(
        np.exp(log[k] + prior.log_odds[list(s)].sum()) for k in range(4) for s in itertools.combinations(range(G), k)
    )
    assert total == pytest.approx(1)


def test_posterior_widens_with_distance():
    """Effects far beyond the training drugs' are less certain, since the weights are."""
    rng = np.random.default_rng(5)
    block, prior = make_block(rng), make_prior(most=1)
    sd = []
    for effect in (2.0, 20.0):
        x = block.weights[0] + block.weights[-2] + block.weights[-1] + effect * block.weights[G]
        rows = Rows(x[None], np.zeros(1, int), np.ones(1), np.ones(1))
        found = search(DrugEvidence([block], [rows], 9.0), prior)
        assert found.probability[0, 0] > 0.9
        sd.append(found.sd[0, 0])
    assert sd[1] > 2 * sd[0]


def test_covariances_are_solved_once_also_where_rounding_has_made_one_indefinite():
    rng = np.random.default_rng(3)
    root = rng.normal(size=(3, L, L))
    cov, right = root @ root.transpose(0, 2, 1) + np.eye(L), rng.normal(size=(3, L, 2))
    cov[1] -= 1.5 * np.eye(L) * np.linalg.eigvalsh(cov[1])[0]  # what Cholesky refuses
    found, log_det = solve_each(cov, right)
    np.testing.assert_allclose(cov @ found, right, atol=1e-9)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(cov)[1])
