"""What an epoch shows: every cell once, or contexts in balance; what is read is what memory holds."""

import anndata as ad
import h5py
import numpy as np
import pytest
from scipy import sparse

from scgim.model._loading.rows import CHUNK_ROWS, Draws, RowReader, chunk_starts, shard, visit, windows


def test_every_cell_once_without_balance():
    context = np.repeat([0, 1, 2], [50, 7, 3])
    rows = np.arange(0, 60, 2)
    draws = Draws.make(rows, context)
    assert np.array_equal(np.sort(draws.sample(np.random.default_rng(0))), rows)
    assert np.allclose(draws.weights(), 1)


@pytest.mark.parametrize("balance", [0.3, 1.0])
def test_weighted_epoch_sums_are_those_of_the_cells(balance):
    rng = np.random.default_rng(1)
    context = rng.choice(4, 500, p=[0.8, 0.15, 0.04, 0.01])
    rows = np.flatnonzero(rng.random(500) < 0.9)
    draws = Draws.make(rows, context, balance)
    seen, weight = draws.sample(rng), draws.weights()
    count = np.bincount(context[rows])
    assert abs(draws.total - len(rows)) <= 4
    share = count ** (1 - balance) / (count ** (1 - balance)).sum()
    assert np.allclose(np.bincount(context[seen]), share * len(rows), atol=1)
    total = np.bincount(context[seen], weight[context[seen]]) * len(rows) / draws.total
    assert np.allclose(total, count)  # each context weighs what its cells weigh
    times = np.bincount(seen, minlength=500)
    for k in range(4):  # no cell of a context is drawn twice before all are drawn once
        own = times[rows[context[rows] == k]]
        assert own.max() - own.min() <= 1
    loss = rng.normal(size=500) + 3 * context
    mean = np.mean(
        [(weight[context[s]] * loss[s]).mean() for s in (draws.sample(np.random.default_rng(i)) for i in range(200))]
    )
    assert mean == pytest.approx(loss[rows].mean(), abs=0.02)


def test_empty_contexts_are_never_drawn():
    draws = Draws.make(np.arange(6), np.array([0, 0, 0, 0, 2, 2]), 1.0)
    assert draws.draws.tolist() == [3, 0, 3]
    assert len(draws.sample(np.random.default_rng(0))) == draws.total


@pytest.mark.parametrize("world", [1, 2, 3])
def test_shards_are_complete_and_equal(world):
    rows = np.random.default_rng(0).permutation(1000)
    parts = [shard(rows, rank, world) for rank in range(world)]
    assert len({len(p) for p in parts}) == 1
    joint = np.concatenate(parts)
    assert np.array_equal(np.unique(joint), np.arange(1000))
    assert len(joint) - 1000 < world


def test_visit_keeps_chunks_together():
    starts = np.arange(0, 1000, 100)
    order = visit(np.arange(1000), starts, np.random.default_rng(0))
    assert np.array_equal(np.sort(order), np.arange(1000))
    assert np.count_nonzero(np.diff(order // 100)) == 9
    parts = list(windows(order, 300, np.random.default_rng(1)))
    assert [len(p) for p in parts] == [300, 300, 300, 100]
    assert np.array_equal(np.sort(parts[0]), np.sort(order[:300]))


@pytest.mark.parametrize("kind", ["dense", "csr", "csc", "backed", "backed_csr", "lazy", "lazy_csr"])
def test_rows_are_those_of_memory(kind, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.poisson(0.5, (3 * CHUNK_ROWS + 40, 6)).astype(np.float32)
    stored = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix}.get(kind.split("_")[-1], np.asarray)(x)
    if kind.startswith(("backed", "lazy")):
        ad.AnnData(stored).write_h5ad(tmp_path / "x.h5ad")
        if kind.startswith("backed"):
            stored = ad.read_h5ad(tmp_path / "x.h5ad", backed="r").X
        else:
            pytest.importorskip("dask.array")
            file = h5py.File(tmp_path / "x.h5ad", "r")
            stored = ad.experimental.read_elem_lazy(file["X"], chunks=(300, 6))
    starts = chunk_starts([stored, stored])
    assert (starts is None) == (kind in ("dense", "csr", "csc"))
    rows = rng.choice(len(x), 500)  # out of order, some of them twice
    for part in RowReader([stored, stored], starts).read(rows):
        part = part.toarray() if sparse.issparse(part) else part
        assert np.array_equal(part, x[rows])
