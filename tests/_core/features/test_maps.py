"""The parts of the feature model: rows, prior, Gibbs sampler, forward map, choice."""

import numpy as np
import pytest

from scgim._core.features.backward import Beliefs, learn_blocks
from scgim._core.features.choose import calibrate_targets, choose, dependence, soften
from scgim._core.features.forward import forward_dependence, learn_forward, tanimoto
from scgim._core.features.prior import learn_prior
from scgim._core.features.rows import Description, Rows, compress, make_reader, slopes, split_columns


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


def plain(x):
    return Description(x, np.zeros(x.shape[1], int), None)


def test_forward_reads_smooth_maps():
    """Kernel regression predicts effects that are smooth in the features, and is less certain far away."""
    rng = np.random.default_rng(6)
    x = rng.normal(size=(60, 2))
    shift = np.c_[3 * np.tanh(x[:, 0]), np.zeros((60, 3))]
    probability = (np.abs(shift) > 0).astype(float)
    prior = learn_prior(probability, shift, np.full(shift.shape, 0.1), np.ones(60), np.ones(60))
    found = learn_forward(plain(x[:50]), probability[:50], shift[:50], prior)
    predicted = found(plain(x[50:]), prior)
    assert np.abs(predicted.shift[:, 0] - shift[50:, 0]).mean() < 0.3
    near, far = (found(plain(np.full((1, 2), v)), prior).amplitude_sd[0, 0] for v in (0.0, 30.0))
    assert found.kernel == "radial"
    assert far > near


def sparse_effects(rng, n_drugs, n_genes=12):
    effect = np.zeros((n_drugs, n_genes))
    for row in effect:
        hit = rng.choice(n_genes, rng.integers(1, 4), replace=False)
        row[hit] = rng.uniform(2, 6, len(hit)) * rng.choice([-1, 1], len(hit))
    return effect


def test_forward_reads_features_of_few_drugs():
    """Ten drugs whose features have directions of very different size: their scale tells which matter."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        known, new = sparse_effects(rng, 10), sparse_effects(rng, 40)
        _, s, vt = np.linalg.svd(known, full_matrices=False)
        turn = vt[s > 1e-9].T  # principal components of the effects, with small components beside
        noise = 0.1 * rng.normal(size=(50, 5))
        x = np.c_[np.r_[known, new] @ turn, noise]
        prior = learn_prior((known != 0) * 1.0, known, np.full(known.shape, 0.1), np.ones(10), np.ones(10))
        described = Description(x, np.zeros(x.shape[1], int), None, zero=True)
        found = learn_forward(described.of(np.arange(10)), (known != 0) * 1.0, known, prior)
        error = np.linalg.norm(found(described.of(np.arange(10, 50)), prior).shift - new, axis=1).mean()
        assert error < 0.65 * np.linalg.norm(new, axis=1).mean()
        assert forward_dependence(described.of(np.arange(10)), known, rng) < 0.005


def test_forward_dependence_is_uniform_under_independence():
    """Noise looks like features of the effects as often as the p value says."""
    p = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x = Description(rng.normal(size=(15, 6)), np.zeros(6, int), None)
        p.append(forward_dependence(x, sparse_effects(rng, 15), rng, n_permutations=60))
    assert 0.35 < np.mean(p) < 0.65
    assert np.mean(np.array(p) < 0.1) < 0.2


def test_nonlinear_forward_map_wins_where_the_truth_is():
    """Effects that wave with the features: radial kernels predict them, lines do not; and lines are read as lines."""
    rng = np.random.default_rng(4)
    x = rng.uniform(-2, 2, (80, 3))
    waves = np.c_[4 * np.sin(2 * x[:, 0]), 4 * np.cos(2 * x[:, 1]), np.zeros((80, 4))]
    lines = np.c_[x @ np.array([2.0, -1.0, 0.5]), x[:, 1], np.zeros((80, 4))]
    for shift, kernel in ((waves, "radial"), (lines, "linear")):
        on = (np.abs(shift) > 0) * 1.0
        prior = learn_prior(on, shift, np.full(shift.shape, 0.1), np.ones(80), np.ones(80))
        found = learn_forward(plain(x[:60]), on[:60], shift[:60], prior)
        if kernel == "radial":  # a wide radial kernel reads lines, too
            assert found.kernel == kernel
        error = np.linalg.norm(found(plain(x[60:]), prior).shift - shift[60:], axis=1).mean()
        coef = np.linalg.lstsq(np.c_[np.ones(60), x[:60]], shift[:60], rcond=None)[0]
        straight = np.linalg.norm(np.c_[np.ones(20), x[60:]] @ coef - shift[60:], axis=1).mean()
        assert error < (0.6 * straight if kernel == "radial" else straight + 0.3)


def test_slopes_drop_what_does_not_change_with_the_dose():
    rng = np.random.default_rng(1)
    base, by = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    drug, h = np.repeat([0, 1], 3), np.tile([0.1, 0.5, 0.9], 2)
    drug, h = np.r_[drug, 2], np.r_[h, 0.5]  # the third drug has one dose
    found = slopes(base[drug] + h[:, None] * by[drug], drug, h, 3)
    np.testing.assert_allclose(found[:2], by[:2])
    np.testing.assert_allclose(found[2], base[2] / 0.5 + by[2])


def test_new_drugs_share_the_uncertainty_of_the_curve():
    """Little at measured doses, more elsewhere; and drugs that differ add to it."""
    effect = np.where(np.eye(6) > 0, 3.0, 0.0)
    sd, doses = np.full((6, 6), 0.1), np.array([1.0, 2.0])
    axes = np.repeat(np.array([[[0.1, 0.0]], [[0.0, 0.1]]]), 6, axis=1)
    arguments = ((effect != 0) * 1.0, effect, sd, np.full(6, 0.75), np.full(6, 4.0))
    known = learn_prior(*arguments).factor(np.array([0.5, 1.0]))[1]
    np.testing.assert_array_equal(known, 0)
    spread = learn_prior(*arguments, axes=axes, doses=doses).factor(np.array([0.4, 1.0, 2.0]))
    np.testing.assert_allclose(spread[0], 1 / (1 + (0.75 / np.array([0.4, 1.0, 2.0])) ** 4))
    relative = spread[1] / spread[0]
    assert relative[0] > 3 * relative[1] > 3 * relative[2] > 0
    different = (*arguments[:3], np.geomspace(0.4, 1.4, 6), np.full(6, 4.0))
    assert learn_prior(*different, axes=axes, doses=doses).factor(np.array([1.0]))[1][0] > 2 * spread[1][1]


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
