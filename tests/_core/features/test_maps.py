"""The parts of the feature model: rows, prior, Gibbs sampler, forward map, choice."""

import numpy as np
import pytest

from scgim._core.features.backward import Beliefs, learn_blocks
from scgim._core.features.choose import calibrate_targets, choose, dependence, soften
from scgim._core.features.forward import learn_forward, tanimoto
from scgim._core.features.prior import learn_prior
from scgim._core.features.rows import Rows, compress, make_reader, split_columns


def test_compress_keeps_what_contexts_say():
    """The two rows of a drug have the loadings that its contexts have, rotated."""
    rng = np.random.default_rng(0)
    h, on, by = rng.uniform(0.1, 1, 4), rng.normal(size=3), rng.normal(size=3)
    rows = compress(on + h[:, None] * by, np.zeros(4, int), h)
    assert len(rows.value) == 2
    np.testing.assert_allclose(rows.value, np.outer(rows.on, on) + np.outer(rows.by, by))
    assert (rows.value**2).sum() == pytest.approx(((on + h[:, None] * by) ** 2).sum())
    single = compress(on[None] + 0.5 * by, np.zeros(1, int), np.full(1, 0.5))
    np.testing.assert_allclose(single.value[0], on + 0.5 * by)


def test_split_columns():
    """Columns of the drug, of the context, of the dose alone, and constant ones are told apart."""
    rng = np.random.default_rng(1)
    drug, dose = np.repeat(np.arange(6), 2), np.tile([1.0, 2.0], 6)
    features = np.c_[rng.normal(size=6)[drug], dose, rng.normal(size=12), np.ones(12)]
    by_drug, by_context = split_columns(features, drug, dose)
    assert by_drug.tolist() == [0]
    assert by_context.tolist() == [2]


def test_reader_reduces_wide_tables():
    """More columns than drugs become principal components."""
    features = np.random.default_rng(2).normal(size=(12, 300))
    reader = make_reader(features, np.arange(300), "drug", 12)
    assert reader(features).shape == (12, 10)


def test_prior_counts():
    """Frequent targets are likelier, and the slab has a component a sign where small effects are missing."""
    rng = np.random.default_rng(3)
    on = np.zeros((50, 8), bool)
    on[:, 0] = rng.random(50) < 0.6
    on[np.arange(50), rng.integers(1, 8, 50)] = True
    effect = np.where(on, rng.choice([-4.0, 4.0], on.shape) + rng.normal(size=on.shape), 0)
    prior = learn_prior(on.astype(float), effect, np.full(on.shape, 0.1), np.ones(50), np.full(50, 2.0))
    assert prior.probability.argmax() == 0
    assert prior.slab.shape == (3, 3)
    assert np.exp(prior.log_size).sum() == pytest.approx(1)
    factor, spread = prior.factor(np.array([0.0, 1.0]))
    np.testing.assert_allclose(factor, [0, 0.5])
    np.testing.assert_allclose(spread, 0, atol=1e-12)


def test_sampler_matches_ridge_with_known_effects():
    """With interventions known exactly and noisy features, the weights are a regression's."""
    rng = np.random.default_rng(4)
    n_drugs, n_genes = 200, 3
    on = rng.random((n_drugs, n_genes)) < 0.4
    effect = np.where(on, rng.normal(size=on.shape) * 3, 0)
    weights = rng.normal(size=(2 * n_genes, 2))
    z = np.c_[on, effect]
    value = 1.5 + z @ weights + 0.3 * rng.normal(size=(n_drugs, 2))
    beliefs = Beliefs(on.astype(float), effect, np.full(on.shape, 1e-8))
    rows = Rows(value, np.arange(n_drugs), np.ones(n_drugs), np.ones(n_drugs))
    (block,), _ = learn_blocks([rows], beliefs, rng=rng)
    exact = np.linalg.lstsq(np.c_[z, np.ones(n_drugs)], value, rcond=None)[0]
    np.testing.assert_allclose((block.weights @ block.rotation.T)[:-1], exact, atol=0.03)
    np.testing.assert_allclose(block.noise, 0.09, rtol=0.3)
    z1 = np.c_[z, np.ones(n_drugs)]
    sd = np.sqrt(np.diag(np.linalg.inv(z1.T @ z1)) * 0.09)
    np.testing.assert_allclose(block.deviations[:-1].std(1).mean(1), sd, rtol=0.35)


def test_sampler_rejects_wrong_targets():
    """A doubtful target that the features contradict loses its probability."""
    rng = np.random.default_rng(5)
    n_drugs, n_genes = 60, 6
    true = np.zeros((n_drugs, n_genes))
    true[np.arange(n_drugs), rng.integers(0, n_genes, n_drugs)] = rng.choice([-4, 4], n_drugs)
    on = (true != 0).astype(float)
    mean = true + 0.05 * rng.normal(size=true.shape)
    wrong = int(np.flatnonzero(true[0] == 0)[0])
    on[0, wrong], mean[0, wrong] = 0.8, 1.5
    value = true @ rng.normal(size=(n_genes, 10)) + 0.01 * rng.normal(size=(n_drugs, 10))
    rows = Rows(value, np.arange(n_drugs), np.ones(n_drugs), np.ones(n_drugs))
    _, after = learn_blocks([rows], Beliefs(on, mean, np.full(true.shape, 0.05**2)), rng=rng)
    assert after.probability[0, wrong] < 0.05


def test_forward_reads_smooth_maps():
    """Kernel regression predicts effects that are smooth in the features, and is less certain far away."""
    rng = np.random.default_rng(6)
    x = rng.normal(size=(60, 2))
    shift = np.c_[3 * np.tanh(x[:, 0]), np.zeros((60, 3))]
    probability = (np.abs(shift) > 0).astype(float)
    prior = learn_prior(probability, shift, np.full(shift.shape, 0.1), np.ones(60), np.ones(60))
    found = learn_forward(x[:50], None, probability[:50], shift[:50], prior)
    predicted = found(x[50:], None, prior)
    assert np.abs(predicted.shift[:, 0] - shift[50:, 0]).mean() < 0.3
    near, far = (found(np.full((1, 2), v), None, prior).amplitude_sd[0, 0] for v in (0.0, 30.0))
    if found.kernel == "radial":
        assert far > near


def test_tanimoto():
    """Shared bits over all bits."""
    a = np.array([[1, 1, 0, 0], [0, 0, 0, 0]])
    b = np.array([[1, 0, 1, 0], [1, 1, 0, 0]])
    np.testing.assert_allclose(tanimoto(a, b), [[1 / 3, 1], [0, 0]])


def test_choose_prefers_the_right_map():
    """The map with the smaller error is chosen; a useless one leaves the population."""
    rng = np.random.default_rng(7)
    truth, contexts = rng.normal(size=(30, 5)), [np.ones(2)] * 30
    shifts = {"none": np.zeros((30, 5)), "forward": rng.normal(size=(30, 5)), "backward": truth + 0.1}
    choice = choose(shifts, truth, contexts, lambda x: x)
    assert choice.informative
    assert choice.weights["backward"] >= 0.8
    del shifts["backward"]
    choice = choose(shifts, truth, contexts, lambda x: x)
    assert not choice.informative
    assert choice.weights["none"] == 1


def test_dependence_is_uniform_under_independence():
    """The p value is small for matching pairs, and not otherwise."""
    rng = np.random.default_rng(8)
    assert dependence([10 * np.eye(6)] * 3, rng) < 0.01
    p = [dependence([rng.normal(size=(6, 6)) for _ in range(3)], rng, n_permutations=300) for _ in range(200)]
    assert 0.4 < np.mean(p) < 0.6


def test_calibrate_targets():
    """Overconfident probabilities are softened, calibrated ones are left."""
    rng = np.random.default_rng(9)
    logit = rng.normal(size=(100, 20)) * 2 - 2
    p = 1 / (1 + np.exp(-logit))
    label = (rng.random(p.shape) < p).astype(float)
    assert calibrate_targets(p, label, label_noise=1e-6) == 1
    assert calibrate_targets(1 / (1 + np.exp(-2 * logit)), label, label_noise=1e-6) == 2
    np.testing.assert_allclose(soften(np.array([0.5, 0.9]), 1.0), [0.5, 0.9])
