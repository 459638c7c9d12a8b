"""`scgim.datasets.sachs`, on the real file where it is at hand and on a made one everywhere."""

import hashlib
import importlib

import anndata
import numpy as np
import pandas as pd
import pytest

from scgim.datasets import sachs

module = importlib.import_module("scgim.datasets._sachs")


@pytest.fixture
def made_file(tmp_path, monkeypatch):
    """A file of the published shape with made-up numbers; its checksum stands in for the published one."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.uniform(1, 1000, (7466, 11)).round(2))
    path = tmp_path / module.FILE
    table.to_csv(path, index=False)
    monkeypatch.setattr(module, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return tmp_path, table.to_numpy()


def test_labels_follow_the_blocks(made_file):
    folder, values = made_file
    adata = sachs(directory=folder)
    assert adata.shape == (7466, 11)
    np.testing.assert_allclose(adata.layers["raw"], values, rtol=1e-6)
    np.testing.assert_allclose(adata.X, np.log(values), rtol=1e-4)
    sizes = adata.obs["condition_id"].value_counts().sort_index()
    assert list(sizes) == [853, 902, 911, 723, 810, 799, 848, 913, 707]
    assert adata.obs["condition_id"].is_monotonic_increasing
    assert adata.obs["drug"].nunique() == 8
    none = adata.obs["drug"] == "none"
    assert none.sum() == 853 + 902
    assert set(adata.obs.loc[none, "dose"]) == {0.0}
    assert set(adata.obs.loc[~none, "dose"]) == {1.0}
    mek = adata.obs[adata.obs["target"] == "Mek"]
    assert set(mek["drug"]) == {"U0126"}
    assert set(mek["effect"]) == {"inhibit"}


def test_raw_values_are_those_of_the_file(made_file):
    folder, values = made_file
    np.testing.assert_allclose(sachs(directory=folder, log=False).X, values, rtol=1e-6)


def test_consensus_is_acyclic_over_the_proteins():
    from scgim.datasets._simulator.graphs import causal_order

    place = {p: i for i, p in enumerate(module.PROTEINS)}
    graph = np.zeros((11, 11))
    for source, target in module.CONSENSUS:
        graph[place[source], place[target]] = 1
    assert graph.sum() == 18
    assert len(causal_order(graph)) == 11


def test_loaded_data_survive_writing(made_file, tmp_path):
    adata = sachs(directory=made_file[0])
    adata.write_h5ad(tmp_path / "a.h5ad")
    back = anndata.read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(back.X, adata.X)
    assert list(back.obs["drug"]) == list(adata.obs["drug"])
    assert list(back.uns["consensus_edges"]["target"]) == list(adata.uns["consensus_edges"]["target"])


def test_another_shape_is_refused(tmp_path, monkeypatch):
    path = tmp_path / module.FILE
    pd.DataFrame(np.ones((5, 11))).to_csv(path, index=False)
    monkeypatch.setattr(module, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(ValueError, match="7466 cells x 11 proteins"):
        sachs(directory=tmp_path)


def test_published_file_has_its_checksum_labels_and_trap(shared_data):
    """The real file has the checksum, the labels of the prepared one, and its known trap: Mek rises under U0126."""
    adata = sachs(directory=shared_data)
    prepared = anndata.read_h5ad(shared_data / "sachs" / "sachs.h5ad")
    np.testing.assert_allclose(adata.layers["raw"], prepared.X, rtol=1e-6)
    assert list(adata.var_names) == list(prepared.var_names)
    for column in ("condition", "drug", "condition_id"):
        assert list(adata.obs[column]) == list(prepared.obs[column])
    drugged = (prepared.obs["drug"] != "none").to_numpy()
    for column in ("target", "effect"):
        assert list(adata.obs[column][drugged]) == list(prepared.obs[column][drugged])
    mek = pd.Series(np.asarray(adata[:, "Mek"].X).ravel(), adata.obs["drug"].to_numpy())
    assert mek["none"].mean() == pytest.approx(3.2, abs=0.3)
    assert mek["U0126"].mean() == pytest.approx(5.8, abs=0.1)
    edges = pd.read_csv(shared_data / "sachs" / "consensus_edges.csv")
    assert edges.to_numpy().tolist() == adata.uns["consensus_edges"].to_numpy().tolist()
