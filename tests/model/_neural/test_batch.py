"""Training of candidate networks in one batch."""

import numpy as np
import torch

from scgim._core.structure.prior import Prior
from scgim.model._neural.batch import Sample, train_batch


def interaction(n=1500, seed=0):
    """Gene 2 is the product of genes 0 and 1: no additive mechanism sees it. Gene 3 follows gene 2, not linearly."""
    rng = np.random.default_rng(seed)
    unit = np.r_[-1, np.arange(4)]
    context = np.repeat(np.arange(5), [n - 800, 200, 200, 200, 200])
    shift = np.zeros((5, 4))
    shift[1 + np.arange(4), np.arange(4)] = 1.5
    x = rng.normal(size=(n, 4)) + shift[context]
    x[:, 2] = 1.5 * np.tanh(x[:, 0] * x[:, 1]) + 0.4 * rng.normal(size=n) + shift[context, 2]
    x[:, 3] = np.sin(1.5 * x[:, 2]) + 0.4 * rng.normal(size=n) + shift[context, 3]
    z = (x - x.mean(0)) / x.std(0)
    return Sample(torch.as_tensor(z, dtype=torch.float32), torch.as_tensor(context), unit, np.zeros(5, int))


def test_same_seed_same_networks():
    cells = interaction(900)
    out = [
        train_batch(cells, np.arange(4), [(), (), (0, 1), (2,)], Prior.default(4), n_epochs=2, seed=3) for _ in range(2)
    ]
    assert torch.equal(out[0].residual, out[1].residual)
