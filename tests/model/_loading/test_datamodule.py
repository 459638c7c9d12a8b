"""Minibatches from disk and balanced contexts: the same cells, the same model."""

import anndata as ad
import numpy as np
import pytest
import torch
from scipy import sparse

import systems
from scgim.model import GIM
from scgim.model._loading.datamodule import GIMDataModule, check_settings
from scgim.model._reading.keys import CONTEXT_KEY, WEIGHT_KEY
from scgim.tl import fit

SETUP = {"perturbation_key": "drug", "dose_key": "dose", "control": "control"}
QUIET = {"accelerator": "cpu", "devices": 1, "enable_progress_bar": False}


@pytest.fixture(scope="module")
def cells():
    adata = systems.simulated(mechanism="neural", n_control=300, n_cells=30, new_doses=())
    return adata[np.random.default_rng(0).permutation(adata.n_obs)].copy()


@pytest.fixture(scope="module")
def path(cells, tmp_path_factory):
    file = tmp_path_factory.mktemp("disk") / "cells.h5ad"
    cells.write_h5ad(file)
    return file


def model_of(adata, **kwargs):
    GIM.setup_anndata(adata, **SETUP)
    return GIM(adata, **kwargs)


def module_of(model, **kwargs):
    n = model.adata.n_obs
    split = [np.arange(0, n, 2), np.arange(1, n, 4), np.array([], dtype=int)]
    settings = {"batch_size": 64, "external_indexing": split} | kwargs
    return GIMDataModule(model.cells(), **settings)


def test_an_epoch_from_disk_is_the_training_cells(path, cells):
    model = model_of(ad.read_h5ad(path, backed="r"))
    module = module_of(model, window=128)
    loader = module.train_dataloader()
    batches = list(loader)
    assert len(batches) == len(loader) == -(-module.n_train // 64)
    x = np.concatenate([b["X"].numpy() for b in batches])
    expected = np.asarray(cells.X[module.train_idx], dtype=np.float32)
    assert np.array_equal(np.sort(x, axis=0), np.sort(expected, axis=0))
    index = np.asarray(model.adata_manager.get_from_registry(CONTEXT_KEY)).ravel()
    row = {tuple(v): k for v, k in zip(expected.tolist(), index[module.train_idx], strict=True)}
    found = torch.cat([b[CONTEXT_KEY] for b in batches]).ravel().tolist()
    assert found == [row[tuple(v)] for v in x.tolist()]
    assert not any(WEIGHT_KEY in b for b in batches)
    held = torch.cat([b["X"] for b in module.val_dataloader()]).numpy()
    assert np.array_equal(held, np.asarray(cells.X[module.val_idx], dtype=np.float32))


def test_sparse_file_and_covariates_and_modalities_of_the_batch(cells, tmp_path):
    data = cells.copy()
    data.obs["age"] = np.arange(data.n_obs, dtype=float)
    data.X = sparse.csr_matrix(np.maximum(data.X, 0))
    data.write_h5ad(tmp_path / "sparse.h5ad")
    backed = ad.read_h5ad(tmp_path / "sparse.h5ad", backed="r")
    GIM.setup_anndata(backed, **SETUP, continuous_covariate_keys=["age"])
    module = module_of(GIM(backed))
    for batch in module.train_dataloader():
        rows = batch["extra_continuous_covs"].numpy().ravel().astype(int)
        assert np.array_equal(batch["X"].numpy(), data.X[rows].toarray().astype(np.float32))


def test_balance_shows_small_contexts_as_often_as_large_ones(cells):
    module = module_of(model_of(cells.copy()), balance=1.0)
    batches = list(module.train_dataloader())
    count = np.bincount(torch.cat([b[CONTEXT_KEY] for b in batches]).ravel().numpy())
    assert count.max() - count.min() <= 1
    weight = torch.cat([b[WEIGHT_KEY] for b in batches]).ravel()
    assert float(weight.mean()) == pytest.approx(1.0, abs=1e-5)
    assert not any(WEIGHT_KEY in b for b in module.val_dataloader())


@pytest.mark.parametrize(
    "more",
    [
        {"mechanism": "neural"},
        {"mechanism": "linear", "structure": "gradient"},
    ],
)
def test_disk_gives_what_memory_gives(path, cells, more):
    """With the window that covers the data, the same module on the same cells; only the order of reading differs."""
    train = {"max_epochs": 4, "batch_size": 128, "rng": 0, **QUIET}
    models = []
    for adata in (cells.copy(), ad.read_h5ad(path, backed="r")):
        model = model_of(adata, **more)
        model.train(**train)
        models.append(model)
    memory, disk = models
    assert "train_loss" in disk.history
    assert "validation_loss" in disk.history
    a, b = (np.asarray(m.history["validation_loss"]).ravel()[-1] for m in models)
    assert b == pytest.approx(a, abs=0.05)
    if more["mechanism"] == "neural":
        assert np.array_equal(memory.fitted.graph.weights != 0, disk.fitted.graph.weights != 0)
        np.testing.assert_allclose(disk.fitted.mechanisms.noise_sd, memory.fitted.mechanisms.noise_sd, rtol=0.05)
        np.testing.assert_allclose(
            disk.fitted.of_drug.probability * disk.fitted.of_drug.mean,
            memory.fitted.of_drug.probability * memory.fitted.of_drug.mean,
            atol=0.25,
        )


def test_fit_of_a_lazy_collection_of_files(path, cells, tmp_path):
    pytest.importorskip("dask.array")
    import h5py

    half = cells.n_obs // 2
    parts = []
    for i, part in enumerate((cells[:half], cells[half:])):
        part.copy().write_h5ad(tmp_path / f"{i}.h5ad")
        file = h5py.File(tmp_path / f"{i}.h5ad", "r")
        x = ad.experimental.read_elem_lazy(file["X"], chunks=(200, cells.n_vars))
        parts.append(ad.AnnData(x, obs=ad.io.read_elem(file["obs"]), var=ad.io.read_elem(file["var"])))
    adata = ad.concat(parts)
    model = fit(adata, **SETUP, mechanism="neural", max_epochs=2, batch_size=128, balance=0.5, progress=False)
    assert model.fitted.mechanisms.mechanism.name == "neural"
    assert adata.varp["scgim_graph"].shape == (5, 5)


def test_neural_fit_of_a_backed_file_with_results_written(path):
    backed = ad.read_h5ad(path, backed="r")
    model = fit(backed, **SETUP, mechanism="neural", max_epochs=1, batch_size=128, progress=False)
    assert model.fitted.mechanisms.mechanism.name == "neural"
    assert "scgim_target" in backed.obs


@pytest.mark.parametrize(
    ("settings", "message"), [((0, 0.0, None), "batch_size"), ((8, 1.5, None), "balance"), ((8, 0.0, 0), "window")]
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=f"{message}: expected"):
        check_settings(*settings)


def test_workers_are_refused_on_disk(path):
    model = model_of(ad.read_h5ad(path, backed="r"), mechanism="neural")
    with pytest.raises(ValueError, match="num_workers: expected 0"):
        model.train(max_epochs=1, num_workers=2, **QUIET)
