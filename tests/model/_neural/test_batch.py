"""Training of candidate networks in one batch."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from scgim._core.structure.prior import Prior
from scgim.model._neural.batch import Sample, _add_gains_beside_parents, _parents_moved, leads, reachable, train_batch


def test_same_seed_same_networks(interaction):
    cells = interaction(900)
    out = [
        train_batch(cells, np.arange(4), [(), (), (0, 1), (2,)], Prior.default(4), n_epochs=2, seed=3) for _ in range(2)
    ]
    assert torch.equal(out[0].residual, out[1].residual)


@pytest.fixture(scope="module")
def step():
    """Gene 1 follows a step of gene 0, beyond which only drugs on gene 0 bring it: six of them, after four controls."""
    rng, context = np.random.default_rng(0), np.repeat(np.arange(10), 60)
    x = np.r_[np.zeros(4), np.full(6, 5.0)][context] + rng.normal(size=600)
    y = 2 * np.tanh(3 * (x - 2.5)) + 0.5 * rng.normal(size=600)
    z = torch.as_tensor(np.c_[x, y], dtype=torch.float32)
    return Sample(z, torch.as_tensor(context), np.r_[[-1] * 4, np.arange(6)], np.zeros(10, int))


@pytest.mark.parametrize(("trusting", "least", "most"), [(False, 0.9, 1), (True, 0, 0.3)])
def test_what_may_come_through_a_parent_is_tried_as_its_doing(step, trusting, least, most):
    out = train_batch(step, np.arange(2), [(), (0,)], Prior.default(2), batch_size=128, trusting=trusting)
    called = out.state.probability[4:, 1]
    assert least <= called.min() and called.max() <= most


def test_contexts_whose_parents_moved(step):
    moved = _parents_moved(step, [(), (0,), (0, 1)])
    assert moved.tolist() == [[False] * 3] * 4 + [[False, True, True]] * 6


def test_gains_beside_parents_are_those_of_regressions_on_products():
    rng = np.random.default_rng(0)
    context = rng.integers(0, 3, 80)
    z = rng.normal(size=(80, 4)) + context[:, None]
    cells = Sample(torch.as_tensor(z), torch.as_tensor(context), np.array([-1, 0, 1, 2]), np.zeros(4, int))
    parents = [(), (0,), (0, 1), (2,)]
    residual = torch.as_tensor(rng.normal(size=(80, 4)) + z[:, [0]] * z[:, [1]])
    trained = SimpleNamespace(parents=parents, residual=residual)
    allowed = ~np.eye(4, dtype=bool)
    allowed[:, 3] = False
    found, expected = np.ones((4, 4)), np.ones((4, 4))
    _add_gains_beside_parents(found, cells, trained, allowed)

    def centred(v):
        return v - np.array([v[context == k].mean() for k in range(3)])[context]

    for j, several in enumerate(parents[:3]):
        r = centred(residual[:, j].numpy())
        for p in several:
            for i in range(4):
                x = centred(z[:, i] * z[:, p])
                left = r - x * (x @ r) / (x @ x)
                expected[i, j] += -0.5 * 80 * np.log((left @ left) / (r @ r))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_paths_from_one_gene_are_those_of_all(seed):
    graph = np.random.default_rng(seed).random((8, 8)) < 0.15
    every = reachable(graph)
    assert all(leads(graph, i, j) == every[i, j] for i in range(8) for j in range(8))
