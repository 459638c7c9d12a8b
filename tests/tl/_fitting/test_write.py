"""What is written: keys, types, round trips."""

from dataclasses import replace

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scgim import _keys
from scgim.tl._fitting.write import Results, cell_targets, plain, write


def assert_same(a, b):
    """Two values of `.uns`, recursively; text arrays compare by value whatever their dtype."""
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for name in a:
            assert_same(a[name], b[name])
    elif isinstance(a, pd.DataFrame):
        pd.testing.assert_frame_equal(a, b, check_index_type=False, check_column_type=False)
    elif isinstance(a, np.ndarray):
        assert list(a) == list(b)
    else:
        assert a == b or (a is None and b is None)


def assert_results_same(a, b):
    assert_same(dict(a.uns["scgim"]), dict(b.uns["scgim"]))
    for name in ("scgim_target_probability", "scgim_effect"):
        np.testing.assert_array_equal(a.varm[name], b.varm[name])
        assert b.varm[name].dtype == np.float32
    for name in ("scgim_graph", "scgim_graph_probability"):
        assert sparse.issparse(b.varp[name]) and b.varp[name].dtype == np.float32
        assert (a.varp[name] != b.varp[name]).nnz == 0
    for name in ("scgim_target", "scgim_target_probability"):
        pd.testing.assert_series_equal(a.obs[name], b.obs[name], check_index=False)


def test_every_key_is_written_and_no_other(fitted_adata):
    for key in _keys.FIT:
        key.find(fitted_adata)
    assert list(fitted_adata.obs) == ["drug", "dose", "scgim_target", "scgim_target_probability"]
    assert list(fitted_adata.uns) == ["scgim"] and len(fitted_adata.uns["scgim"]) == 4
    assert len(fitted_adata.varm) == 2 and len(fitted_adata.varp) == 2 and not len(fitted_adata.obsm)
    assert fitted_adata.varm["scgim_effect"].shape == (5, 7)


def test_cells_are_labelled_with_their_target(fitted_adata):
    label = fitted_adata.obs.groupby("drug", observed=True)["scgim_target"].unique().map(lambda x: list(x))
    assert label["control"] == ["none"]
    assert label["(+/-)-Abacavir / HCl"] == ["g0"]
    assert label["β-Lapachone"] == ["g1"]
    assert label["drug c"] == ["unassigned"]
    probability = fitted_adata.obs.groupby("drug", observed=True)["scgim_target_probability"].first()
    assert probability["control"] == 0
    assert probability["drug c"] == pytest.approx(0.3)


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_results_survive_writing(fitted_adata, tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    getattr(fitted_adata, f"write_{suffix}")(path)
    assert_results_same(fitted_adata, getattr(ad, f"read_{suffix}")(path))


def test_results_in_mudata_survive_writing(tmp_path, quiet_mudata):
    """A gene of the same name in both modalities, and a modality that was not modelled."""
    rng = np.random.default_rng(0)
    cells = [f"c{i}" for i in range(6)]

    def part(genes):
        return ad.AnnData(
            rng.normal(size=(6, len(genes))), obs=pd.DataFrame(index=cells), var=pd.DataFrame(index=genes)
        )

    mdata = md.MuData({"other": part(["z"]), "rna": part(["a", "b"]), "protein": part(["b2", "c"])})
    contexts = pd.DataFrame({"drug": ["control", "x/y"], "n_cells": [3, 3]})
    genes = ["b2", "c", "a", "b"]  # the model has proteins first
    weights = np.zeros((4, 4))
    weights[0, 1], weights[2, 1], weights[2, 3] = 1.0, 2.0, 3.0
    results = Results(
        genes=genes,
        contexts=contexts,
        control=np.array([True, False]),
        context_of_cell=np.array([0, 0, 0, 1, 1, 1]),
        probability=np.array([[0.0] * 4, [0.1, 0.2, 0.9, 0.3]]),
        effect=np.array([[0.0] * 4, [1.0, 2.0, 3.0, 4.0]]),
        weights=weights,
        graph_probability=(weights != 0) * 0.5,
        targets=pd.DataFrame({"drug": "x/y", "gene": genes, "probability": [0.1, 0.2, 0.9, 0.3]}),
        history=pd.DataFrame({"stage": ["search"], "metric": ["score"], "step": [0], "value": [1.0]}),
        params={"control": "control"},
        modality=["protein", "protein", "rna", "rna"],
    )
    write(mdata, results)
    assert list(mdata.var_names) == ["z", "a", "b", "b2", "c"]
    np.testing.assert_array_equal(mdata.varm["scgim_effect"][:, 1], [0, 3, 4, 1, 2])
    joint = mdata.varp["scgim_graph"].toarray()
    assert joint[1, 4] == 2 and joint[3, 4] == 1 and joint[1, 2] == 3 and (joint != 0).sum() == 3
    assert "scgim" not in mdata["other"].uns
    np.testing.assert_array_equal(mdata["protein"].varm["scgim_effect"][:, 1], [1, 2])
    assert mdata["rna"].varp["scgim_graph"].toarray()[0, 1] == 3
    assert set(mdata["rna"].uns["scgim"]["targets"]["gene"]) == {"a", "b"}
    assert list(mdata.obs["scgim_target"]) == ["none"] * 3 + ["a"] * 3
    assert list(mdata.obs["scgim_target"].cat.categories) == ["a", "none"]  # scanpy's dotplot fails at empty ones
    assert list(mdata["protein"].obs["scgim_target"]) == ["none"] * 3 + ["unassigned"] * 3
    mdata.write(tmp_path / "m.h5mu")
    back = md.read_h5mu(tmp_path / "m.h5mu")
    assert_results_same(mdata, back)
    assert_results_same(mdata["rna"], back["rna"])


def test_wrong_shapes_write_nothing(fitted_adata):
    other = fitted_adata[:, :3].copy()
    for slot in (other.uns, other.varm, other.varp):
        for name in list(slot):
            del slot[name]
    results = Results(
        genes=list(fitted_adata.var_names),
        contexts=fitted_adata.uns["scgim"]["contexts"],
        control=np.zeros(7, bool),
        context_of_cell=np.zeros(24, int),
        probability=np.zeros((7, 5)),
        effect=np.zeros((7, 5)),
        weights=np.zeros((5, 5)),
        graph_probability=np.zeros((5, 5)),
        targets=fitted_adata.uns["scgim"]["targets"],
        history=fitted_adata.uns["scgim"]["history"],
    )
    with pytest.raises(ValueError, match="that the model was fitted on"):
        write(other, results)
    assert not len(other.uns) and not len(other.varm)


def test_values_are_made_plain():
    assert plain(np.float64(2)) == 2.0
    assert list(plain(("a", "b"))) == ["a", "b"]
    assert plain({"a/b": None}) == {"a|b": None}
    assert plain(print) == "print"
    assert isinstance(plain(sparse.coo_matrix((2, 2))), sparse.csr_matrix)
    assert plain([]).shape == (0,)


def test_genes_that_are_called_as_the_special_labels(fitted_adata):
    genes = ["none", "unassigned", "g2", "g3", "g4"]
    fitted_adata.var_names = genes
    uns = fitted_adata.uns["scgim"]
    results = Results(
        genes=genes,
        contexts=uns["contexts"],
        control=(uns["contexts"]["drug"] == "control").to_numpy(),
        context_of_cell=np.repeat(np.arange(7), uns["contexts"]["n_cells"]),
        probability=fitted_adata.varm["scgim_target_probability"].T,
        effect=fitted_adata.varm["scgim_effect"].T,
        weights=fitted_adata.varp["scgim_graph"],
        graph_probability=fitted_adata.varp["scgim_graph_probability"],
        targets=uns["targets"],
        history=uns["history"],
    )
    write(fitted_adata, results, key="again")
    found = set(fitted_adata.obs["again_target"])
    assert found == {"none", "none (gene)", "unassigned (gene)", "unassigned"}
    for bad in (np.inf, np.nan, 1e283):
        effect = np.array(results.effect, dtype=float)
        effect[1, 1] = bad
        with pytest.raises(ValueError, match=r"adata: the fit holds numbers in \['effect'\] that are not finite"):
            write(fitted_adata, replace(results, effect=effect), key="third")
    assert "third" not in fitted_adata.uns


def test_a_cell_has_the_first_target_by_log_odds_where_probabilities_are_one():
    genes = ["a", "b", "c"]
    table = pd.DataFrame({"gene": [*genes, "b"], "kind": ["shift"] * 3 + ["regulator"], "log_odds": [40.0, 90, 60, 99]})
    table["probability"] = 1.0
    results = Results(
        genes=genes,
        contexts=pd.DataFrame({"drug": ["control", "x"]}),
        control=np.array([True, False]),
        context_of_cell=np.array([0, 1, 1]),
        probability=np.array([[0.0] * 3, [1.0] * 3]),
        effect=np.zeros((2, 3)),
        weights=np.zeros((3, 3)),
        graph_probability=np.zeros((3, 3)),
        targets=table,
        history=pd.DataFrame(),
    )
    label, probability = cell_targets(results)
    assert list(label) == ["none", "b", "b"] and list(probability) == [0, 1, 1]
    unsure = replace(results, probability=np.full((2, 3), 0.2))  # then the regulator, which alone is called
    label, probability = cell_targets(unsure)
    assert list(label) == ["none", "b (regulator)", "b (regulator)"] and list(probability) == [0, 1, 1]
