import pickle

import numpy as np
import pytest
from scipy import sparse

from scgim._core.mechanisms import MECHANISMS
from scgim._core.moments.blocks import BlockSummary, BlockSums, join, reduce_block
from scgim._core.moments.moments import Frame, Sums, compute_moments, finish

N, G, K = 90, 3, 4
BLOCK = np.array([0, 1, 1, 0])


@pytest.fixture
def cells(rng) -> tuple[np.ndarray, np.ndarray]:
    return rng.normal(size=(N, G)), rng.integers(0, K, N)


@pytest.mark.parametrize("block", [None, BLOCK])
@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_sums_of_a_block_in_pieces(cells, block, rows, monkeypatch):
    monkeypatch.setattr("scgim._core.moments.blocks.chunk_rows", lambda n_genes: rows)
    x, context = cells
    frame = Frame(MECHANISMS["linear"], x[0], np.ones(G))
    task = pickle.loads(pickle.dumps(BlockSums(frame, block)))
    total = Sums.zeros(K, G, None if block is None else 2)
    total.add(task(x[:50], context[:50]))
    total.add(task(sparse.csr_matrix(x[50:]), context[50:]))
    total.add(task(x[:0], context[:0]))
    expected = compute_moments(lambda: iter([(x, context)]), K, pool=block)
    np.testing.assert_allclose(finish(total, frame, block).within, expected.within, rtol=1e-10)
    np.testing.assert_allclose(finish(total, frame, block).mean, expected.mean, rtol=1e-10, atol=1e-12)


def test_effects_of_covariates_are_removed(cells, rng):
    x, context = cells
    values, mean, slope = rng.normal(size=(N, 2)), rng.normal(size=2), rng.normal(size=(2, G))
    frame = Frame(MECHANISMS["linear"], np.zeros(G), np.ones(G))
    found = BlockSums(frame, None, (mean, slope))(x, context, values)
    np.testing.assert_allclose(found.second, BlockSums(frame)(x - (values - mean) @ slope, context).second)


def test_summary_of_a_block(cells):
    x, context = cells
    for block in (x, sparse.csr_matrix(x)):
        shift = np.zeros(G) if sparse.issparse(block) else x[0]
        part = BlockSummary(shift)(block, context)
        np.testing.assert_array_equal(part.low, x.min(axis=0))
        np.testing.assert_array_equal(part.high, x.max(axis=0))
        np.testing.assert_allclose(part.square, ((x - shift) ** 2).sum(axis=0))
        assert not part.whole
    assert BlockSummary(np.zeros(G))(np.rint(x), context).whole
    x[4, 2] = np.inf
    assert BlockSummary(np.zeros(G))(sparse.csr_matrix(x), context).bad_gene == 2


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_summary_counts_every_cell(cells, rows, monkeypatch):
    """The first and the last cell hold the extremes, however many are read at once."""
    monkeypatch.setattr("scgim._core.moments.blocks.chunk_rows", lambda n_genes: rows)
    x, context = cells
    x[0], x[-1] = 9.0, -9.0
    for block, shift in ((x, np.full(G, 0.5)), (sparse.csr_matrix(x), np.zeros(G))):
        part = BlockSummary(shift)(block, context)
        np.testing.assert_array_equal(part.low, np.full(G, -9.0))
        np.testing.assert_array_equal(part.high, np.full(G, 9.0))
        np.testing.assert_allclose(part.square, ((x - shift) ** 2).sum(axis=0))
        expected = [(x - shift)[context == k].sum(axis=0) for k in range(K)]
        np.testing.assert_allclose(part.total, expected, atol=1e-12)


def test_matrices_side_by_side(cells):
    x, context = cells
    left, right = sparse.csc_matrix(x), x[:, :2]
    np.testing.assert_array_equal(join([left, right]), np.hstack([x, right]))
    assert sparse.issparse(join([left, left]))
    out = reduce_block(left, right, context[:, None], task=lambda m, c: (m.shape, c.shape), n_matrices=2, flat=(True,))
    assert out.shape == (1, 1)
    assert out[0, 0] == ((N, G + 2), (N,))
