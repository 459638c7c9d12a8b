"""Moments and checks of expression that is dense, sparse, backed or lazy: equal, and read block by block."""

import anndata as ad
import numpy as np
import pytest

import systems
from scgim._core.mechanisms import MECHANISMS
from scgim.model import GIM
from scgim.model._reading.cells import Cells
from scgim.model._reading.passes import cell_moments, map_cells
from scgim.model._reading.summary import summarise
from scgim.model._study.study import anndata_spec

da = pytest.importorskip("dask.array")
SETUP = {"perturbation_key": "drug", "control": "DMSO", "dose_key": "dose"}
SPEC = anndata_spec(SETUP)
N, G, K = 300, 5, 4


@pytest.mark.parametrize("form", systems.FORMS)
@pytest.mark.parametrize("mechanism", ["linear", "additive"])
@pytest.mark.parametrize("blocks", [False, True])
def test_moments_are_equal_wherever_the_cells_are(chunks_of, assert_same, cells, form, mechanism, blocks, tmp_path):
    block = np.array([0, 1, 1, 2]) if blocks else None
    expected = cell_moments(chunks_of(cells), K, mechanism=MECHANISMS[mechanism], pool=block)
    found = cell_moments(
        chunks_of(systems.in_form(cells, form, tmp_path)), K, mechanism=MECHANISMS[mechanism], pool=block
    )
    assert_same(found, expected)


@pytest.mark.parametrize("form", ["dask", "dask sparse"])
def test_moments_do_not_depend_on_the_size_of_blocks(chunks_of, assert_same, cells, form, tmp_path, monkeypatch):
    expected = cell_moments(chunks_of(cells), K)
    lazy = systems.in_form(cells, form, tmp_path)
    monkeypatch.setattr("scgim.model._reading.passes.SMALLEST_BLOCK", 1)  # no block is merged
    monkeypatch.setattr("scgim.model._reading.passes.RESULT_BYTES", 1)  # few results wait at once
    monkeypatch.setattr("scgim._core.moments.blocks.CHUNK_VALUES", 1)  # blocks are worked on in pieces
    assert_same(cell_moments(chunks_of(lazy), K), expected)


def test_every_block_is_read_once(chunks_of, assert_same, cells, monkeypatch):
    monkeypatch.setattr("scgim.model._reading.passes.SMALLEST_BLOCK", 1)
    reads = []

    def read(block_info=None):
        rows = block_info[None]["array-location"][0]
        reads.append(tuple(rows))
        return cells.X[slice(*rows)]

    lazy = cells.copy()
    lazy.X = da.map_blocks(read, chunks=((100,) * 3, (G,)), dtype=np.float32, meta=np.zeros((0, 0), np.float32))
    assert_same(cell_moments(chunks_of(lazy), K), cell_moments(chunks_of(cells), K))
    assert sorted(reads) == [(0, 100), (0, 100), (100, 200), (200, 300)]  # the first once more, for the origin
    reads.clear()
    blocks = list(chunks_of(lazy)())
    assert sorted(reads) == [(0, 100), (100, 200), (200, 300)]
    np.testing.assert_array_equal(np.concatenate([b for b, _ in blocks]), cells.X)


def test_results_come_in_the_order_of_the_cells(cells):
    lazy = cells.copy()
    lazy.X = da.from_array(cells.X, chunks=(7, -1))
    index = np.arange(N)
    parts = list(map_cells(lambda x, i, v: (i, x, v), Cells(lazy, SPEC, index), index, index[:, None] * [1.0, 2.0]))
    np.testing.assert_array_equal(np.concatenate([p[0] for p in parts]), index)
    np.testing.assert_array_equal(np.concatenate([p[1] for p in parts]), cells.X)
    assert all(p[2].shape == (len(p[0]), 2) for p in parts)


@pytest.mark.slow
def test_dask_cluster_gives_the_same(chunks_of, assert_same, cells, tmp_path):
    distributed = pytest.importorskip("distributed")
    lazy = systems.in_form(cells, "zarr", tmp_path)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, local_directory=str(tmp_path)
        ) as cluster,
        distributed.Client(cluster),
    ):
        found = cell_moments(chunks_of(lazy), K)
        summary = summarise(chunks_of(lazy), K)
    assert_same(found, cell_moments(chunks_of(cells), K))
    np.testing.assert_array_equal(summary.low, cells.X.min(axis=0))


@pytest.mark.parametrize("form", ["dask", "backed", "zarr", "read_lazy"])
def test_set_up_and_search_do_not_load_the_cells(screens, form, tmp_path):
    screen = screens(n_cells=20)
    if form == "backed":
        screen.write_h5ad(tmp_path / "screen.h5ad")
        lazy = ad.read_h5ad(tmp_path / "screen.h5ad", backed="r")
    elif form == "read_lazy":
        pytest.importorskip("xarray")
        screen.write_zarr(tmp_path / "screen.zarr")
        lazy = ad.experimental.read_lazy(tmp_path / "screen.zarr")
    elif form == "zarr":
        screen.write_zarr(tmp_path / "screen.zarr")
        import zarr

        x = ad.experimental.read_elem_lazy(zarr.open(tmp_path / "screen.zarr", mode="r")["X"])
        lazy = ad.AnnData(x, obs=screen.obs.copy(), var=screen.var.copy())
    else:
        lazy = ad.AnnData(da.from_array(screen.X, chunks=(50, -1)), obs=screen.obs.copy(), var=screen.var.copy())
    fits = []
    for adata in (screen, lazy):
        GIM.setup_anndata(adata, **SETUP)
        model = GIM(adata)
        model.train(max_epochs=0)
        fits.append(model.fitted)
    assert not isinstance(lazy.X, np.ndarray)
    np.testing.assert_allclose(fits[1].of_drug.probability, fits[0].of_drug.probability, atol=1e-8)
    np.testing.assert_allclose(fits[1].graph.weights, fits[0].graph.weights, atol=1e-8)
