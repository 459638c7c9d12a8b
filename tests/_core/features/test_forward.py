"""Maps from features to effects."""

import numpy as np

from scgim._core.features.forward import forward_dependence, learn_forward, tanimoto
from scgim._core.features.prior import learn_prior
from scgim._core.features.rows import Description


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
    assert np.abs(predicted.expected[:, 0] - shift[50:, 0]).mean() < 0.3
    near, far = (found(plain(np.full((1, 2), v)), prior).sd[0, 0] for v in (0.0, 30.0))
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
        error = np.linalg.norm(found(described.of(np.arange(10, 50)), prior).expected - new, axis=1).mean()
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
        error = np.linalg.norm(found(plain(x[60:]), prior).expected - shift[60:], axis=1).mean()
        coef = np.linalg.lstsq(np.c_[np.ones(60), x[:60]], shift[:60], rcond=None)[0]
        straight = np.linalg.norm(np.c_[np.ones(20), x[60:]] @ coef - shift[60:], axis=1).mean()
        assert error < (0.6 * straight if kernel == "radial" else straight + 0.3)


def test_tanimoto_is_shared_bits_over_all_bits():
    """Shared bits over all bits."""
    a = np.array([[1, 1, 0, 0], [0, 0, 0, 0]])
    b = np.array([[1, 0, 1, 0], [1, 1, 0, 0]])
    np.testing.assert_allclose(tanimoto(a, b, 1.0), [[1 / 3, 1], [0, 0]])
