"""Gaussian processes from features to means."""

import numpy as np
from scipy.spatial.distance import cdist

from scgim.metrics import baselines
from scgim.metrics.baselines._gp import _fit_predict, _turned


def test_gp_shares_hyperparameters_among_many_genes():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 2))
    y = np.sin(x) @ rng.normal(size=(2, 101))
    assert baselines.gp(x[:25], y[:25], x[25:]).shape == (5, 101)


def test_gp_of_more_features_than_rows_has_the_distances_of_all():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 40)), rng.normal(size=(15, 1))
    train, new = _turned(x[:15], x[15:])
    assert train.shape == (15, 16) and new.shape == (5, 16)
    np.testing.assert_allclose(cdist(new, train), cdist(x[15:], x[:15]))
    np.testing.assert_allclose(new @ train.T, x[15:] @ x[:15].T, atol=1e-12)
    np.testing.assert_allclose(_fit_predict(train, y, new, 40), _fit_predict(x[:15], y, x[15:], 40), atol=1e-8)
