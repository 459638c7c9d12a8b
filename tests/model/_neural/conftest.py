"""Cells of genes that no additive mechanism describes."""

import numpy as np
import pytest
import torch

from scgim.model._neural.batch import Sample


@pytest.fixture(scope="session")
def interaction():
    """Gene 2 is the product of genes 0 and 1: no additive mechanism sees it. Gene 3 follows gene 2, not linearly."""

    def make(n=1500, seed=0):
        rng = np.random.default_rng(seed)
        context = np.repeat(np.arange(5), [n - 800, 200, 200, 200, 200])
        shift = np.zeros((5, 4))
        shift[1 + np.arange(4), np.arange(4)] = 1.5
        x = rng.normal(size=(n, 4)) + shift[context]
        x[:, 2] = 1.5 * np.tanh(x[:, 0] * x[:, 1]) + 0.4 * rng.normal(size=n) + shift[context, 2]
        x[:, 3] = np.sin(1.5 * x[:, 2]) + 0.4 * rng.normal(size=n) + shift[context, 3]
        z = (x - x.mean(0)) / x.std(0)
        drug_set = np.r_[-1, np.arange(4)]
        return Sample(torch.as_tensor(z, dtype=torch.float32), torch.as_tensor(context), drug_set, np.zeros(5, int))

    return make
