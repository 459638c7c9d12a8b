"""Where genes are off under networks, from the means of their children."""

import numpy as np
import torch

from scgim._core.posterior.evidence import Evidence
from scgim.model._module.mechanisms.neural import NeuralGenes
from scgim.model._neural.off import off_of_networks

OFF = 0.75


def test_it_is_found_near_where_it_was_looked_for():
    networks = NeuralGenes(2, 1, generator=torch.Generator().manual_seed(0))
    networks.set_parents([np.array([], int), np.array([0])], torch.Generator().manual_seed(1))
    with torch.no_grad():
        networks.outer.fill_(0.2)
        networks.skip.fill_(1.0)
    rng = np.random.default_rng(0)
    context = torch.as_tensor(np.repeat(np.arange(3), 1000))
    psi = np.array([[0.0, 0.0], [-0.8, 0.0], [0.6, 0.0]])
    z = torch.as_tensor(rng.normal(size=(3000, 2)), dtype=torch.float32)
    seen = z.clone()
    seen[:, 0] += torch.as_tensor(psi[:, 0], dtype=torch.float32)[context] * (z[:, 0] - OFF)
    with torch.no_grad():
        z[:, 1] = networks(seen)[:, 1] + 0.3 * z[:, 1]
    zeros = np.zeros((3, 2))
    evidence = Evidence(zeros[:1], np.full(2, 0.09), zeros, np.full((3, 2), 1e-3), zeros[:2], np.zeros(2))
    off = off_of_networks(networks, z, context, psi, evidence, np.zeros(3, int), np.zeros(2), np.zeros(2))
    assert abs(off[0] - OFF) <= 0.125
    assert off[1] == 0
