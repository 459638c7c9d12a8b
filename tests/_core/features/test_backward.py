"""The Gibbs sampler over maps from effects to features."""

import numpy as np

from scgim._core.features.backward import Beliefs, BlockChain, DrugChain, learn_blocks
from scgim._core.features.rows import Rows


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


def test_weights_of_a_gene_that_no_drug_hits_are_zero_but_for_their_spread():
    """Means of weights are means of conditional means: what the features do not tell has no sign by chance."""
    rng = np.random.default_rng(6)
    effect = np.zeros((30, 4))
    effect[:, :3] = rng.normal(size=(30, 3)) * (rng.random((30, 3)) < 0.5)
    on = (effect != 0).astype(float)
    value = effect @ rng.normal(size=(4, 8)) + 0.01 * rng.normal(size=(30, 8))
    rows = Rows(value, np.arange(30), np.ones(30), np.ones(30))
    (block,), _ = learn_blocks([rows], Beliefs(on, effect, np.full(on.shape, 1e-6)), rng=rng)
    np.testing.assert_allclose(block.weights[[3, 7]], 0.0, atol=1e-10)
    assert block.deviations[7].std() > 0.3


def test_scales_that_features_cannot_tell_keep_the_priors_of_effects_and_weights(rng):
    """Without features each gene is a draw from its priors, before a move and after it."""
    n_drugs, n_genes, length = 3, 4000, 5
    on = np.ones((n_drugs, n_genes))
    beliefs = Beliefs(on, np.full(on.shape, 2.0), np.full(on.shape, 0.5**2))
    chain = BlockChain(
        Rows(rng.normal(size=(n_drugs, length)), np.arange(n_drugs), np.ones(n_drugs), np.ones(n_drugs)), n_genes
    )
    drugs = DrugChain([chain], beliefs)
    drugs.effect = 2.0 + 0.5 * rng.normal(size=on.shape)
    sd = np.sqrt(chain.prior[n_genes:, None] * chain.scale)
    chain.weights[n_genes : 2 * n_genes] = sd * rng.normal(size=(n_genes, length))
    for _ in range(3):
        before = drugs.effect.copy()
        drugs.rescale(rng)
        assert (drugs.effect != before).mean() > 0.2
    scaled = chain.weights[n_genes : 2 * n_genes] / sd
    np.testing.assert_allclose([drugs.effect.mean(), drugs.effect.std()], [2.0, 0.5], rtol=0.02)
    np.testing.assert_allclose([(scaled**2).mean(), (scaled**4).mean()], [1.0, 3.0], rtol=0.05)


def test_pairs_that_features_cannot_tell_move_within_their_priors_and_explain_the_same(rng):
    """Each drug hits two genes that no other hits: a draw from the priors stays one, and so do the features."""
    n_drugs, length = 600, 5
    on = np.kron(np.eye(n_drugs), np.ones((1, 2)))  # (D, 2D)
    beliefs = Beliefs(on, 2.0 * on, np.full(on.shape, 0.5**2))
    each = np.arange(n_drugs), np.ones(n_drugs), np.ones(n_drugs)
    chain = BlockChain(Rows(rng.normal(size=(n_drugs, length)), *each), 2 * n_drugs)
    drugs, of_effects = DrugChain([chain], beliefs), slice(2 * n_drugs, 4 * n_drugs)
    drugs.effect = 2.0 + 0.5 * rng.normal(size=drugs.effect.shape)
    sd = np.sqrt(chain.prior[of_effects, None] * chain.scale)
    chain.weights[of_effects] = sd * rng.normal(size=(2 * n_drugs, length))
    effect, features = drugs.effect.copy(), drugs.dense()[1] @ chain.weights[of_effects]
    for _ in range(3):
        drugs.shear(rng)
    np.testing.assert_allclose(drugs.dense()[1] @ chain.weights[of_effects], features, atol=1e-9)
    assert (np.abs(drugs.effect - effect) > 0.1).mean() > 0.5
    scaled = chain.weights[of_effects] / sd
    np.testing.assert_allclose([drugs.effect.mean(), drugs.effect.std()], [2.0, 0.5], rtol=0.05)
    np.testing.assert_allclose([(scaled**2).mean(), (scaled**4).mean()], [1.0, 3.0], rtol=0.1)
