"""Search over the parents of neural mechanisms."""

import numpy as np
import pytest
import torch

from scgim._core.structure.prior import Prior
from scgim.model._neural.batch import Sample, as_graph, reachable, topological, train_batch
from scgim.model._neural.parents import join, propose, search_parents

TRUE = np.zeros((4, 4), bool)
TRUE[[0, 1, 2], [2, 2, 3]] = True


@pytest.mark.parametrize(
    "parents",
    [[[], [], [0], []], [[], [0], [0, 1], [0, 2]], [[], [], [0, 1, 3], []]],
    ids=["missing edges", "edges too many", "a turned edge"],
)
def test_search_mends_the_graph(interaction, parents):
    order = topological([tuple(p) for p in parents], np.array([0, 1, 3, 2] if 3 in parents[2] else [0, 1, 2, 3]))
    start = search_parents(interaction(), order, [np.array(p, int) for p in parents], n_epochs=60, batch_size=256)
    assert np.array_equal(as_graph(start.batch.parents), TRUE)
    q = start.batch.state.probability
    assert (np.diag(q[1:]) > 0.9).all()
    position = np.argsort(start.order)
    assert all(position[i] < position[j] for i, j in np.argwhere(TRUE))


def test_each_gene_keeps_the_form_that_is_chosen(interaction):
    cells, parents = interaction(), [(), (0,), (0, 1), (2,)]
    smooth, bent = (
        train_batch(cells, np.arange(4), parents, Prior.default(4), n_epochs=2, n_hidden=6, bent=bent)
        for bent in (False, True)
    )
    use = np.array([False, False, True, True])
    mixed = join(smooth, bent, use)
    assert mixed.networks.n_hinges().tolist() == [0, 0, 3, 3]
    with torch.no_grad():
        found, one, other = (batch.networks(cells.z) for batch in (mixed, smooth, bent))
    assert torch.allclose(found, torch.where(torch.as_tensor(use), other, one), atol=1e-6)
    assert not torch.allclose(one[:, 2:], other[:, 2:], atol=1e-3)
    for name in ("score", "noise", "residual"):
        expected = np.where(use, getattr(bent.state.evidence, name), getattr(smooth.state.evidence, name))
        np.testing.assert_array_equal(getattr(mixed.state.evidence, name), expected)
    again = train_batch(cells, np.arange(4), parents, Prior.default(4), n_epochs=1, n_hidden=6, start=mixed)
    assert again.networks.n_hinges().tolist() == [0, 0, 3, 3]


def test_forbidden_edges_are_not_proposed(interaction):
    probability = np.full((4, 4), 0.5)
    probability[0, 2] = 0.0
    prior = Prior.default(4, probability)
    empty = [np.array([], int)] * 4
    start = search_parents(interaction(), np.arange(4), empty, prior=prior, n_epochs=30, batch_size=256, n_rounds=2)
    assert not as_graph(start.batch.parents)[0, 2]


def test_moves_keep_graphs_acyclic():
    parents = [(), (0,), (0, 1)]
    moves = propose(parents, [(9.0, 0, 2)], set(), {0, 1, 2}, ~np.eye(3, dtype=bool), 5)
    assert {m.kind for m in moves} == {"drop", "turn", "add"}
    for move in moves:
        trial = [move.sets.get(j, pa) for j, pa in enumerate(parents)]
        assert not reachable(as_graph(trial)).diagonal().any()
    assert ("turn", (0, 2)) not in {(m.kind, m.edge) for m in moves}


def test_one_gene_has_no_parents(interaction):
    cells = interaction(n=900)
    alone = Sample(cells.z[:, :1], cells.context, np.array([-1, 0, -1, -1, -1]), np.zeros(5, int))
    start = search_parents(alone, np.arange(1), [np.array([], int)], n_epochs=5, batch_size=256, n_rounds=1)
    assert start.batch.parents == [()]
