"""Gaussian processes from features to means."""

import numpy as np

from scgim.metrics import baselines


def test_gp_shares_hyperparameters_among_many_genes():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 2))
    y = np.sin(x) @ rng.normal(size=(2, 101))
    assert baselines.gp(x[:25], y[:25], x[25:]).shape == (5, 101)
