"""Genes and proteins in one graph: registration of MuData."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scgim.model import GIM

pytestmark = pytest.mark.filterwarnings("ignore:var_names are not unique")  # a gene and its protein have one name

SETUP: dict[str, Any] = {"perturbation_key": "drug", "dose_key": "dose", "control": "DMSO"}


def split(screen: ad.AnnData, *, columns: str = "object") -> mudata.MuData:
    """The first three genes as RNA, the last as protein; columns in the object or in one modality."""
    rna, protein = screen[:, :3].copy(), screen[:, 3:].copy()
    rna.X = sparse.csr_matrix(rna.X)
    protein.var_names = ["g0"]  # the protein of gene g0
    obs = screen.obs.copy()
    for a in (rna, protein):
        a.obs = pd.DataFrame(index=screen.obs_names)
    if columns == "rna":
        rna.obs = obs
    mdata = mudata.MuData({"rna": rna, "protein": protein})
    if columns == "object":
        mdata.obs[["drug", "dose", "batch"]] = obs[["drug", "dose", "batch"]]
    return mdata


@pytest.fixture(params=["object", "rna"])
def mdata(request: pytest.FixtureRequest, screen: ad.AnnData) -> mudata.MuData:
    return split(screen, columns=request.param)


def test_variables_of_all_modalities_are_one_matrix(mdata: mudata.MuData, screen: ad.AnnData) -> None:
    GIM.setup_mudata(mdata, **SETUP)
    model = GIM(mdata)
    assert model.genes == ["rna:g0", "g1", "g2", "protein:g0"]
    assert model.study.modality == ["rna", "rna", "rna", "protein"]
    assert model.summary_stats.n_contexts == 10
    np.testing.assert_array_equal(np.concatenate([x for x, _ in model.cells()()]), screen.X)


def test_trained_model_loads_with_and_without_the_data(mdata: mudata.MuData, tmp_path: Path) -> None:
    GIM.setup_mudata(mdata, **SETUP)
    model = GIM(mdata)
    model.train(max_epochs=0)
    asked = pd.DataFrame({"drug": ["Ünï-drug α"], "dose": [3.0]})
    expected = model.predict_mean(asked)
    assert list(expected) == model.genes
    assert model.predict(asked, n_cells=3).var["modality"].tolist() == ["rna"] * 3 + ["protein"]
    model.save(str(tmp_path / "model"))
    for data in (False, mdata):
        again = GIM.load(str(tmp_path / "model"), adata=data)
        pd.testing.assert_frame_equal(again.predict_mean(asked), expected)
    again.save(str(tmp_path / "again"))


def test_registration_survives_h5mu(mdata: mudata.MuData, tmp_path: Path) -> None:
    GIM.setup_mudata(mdata, **SETUP)
    expected = GIM(mdata).contexts
    mdata.write(tmp_path / "a.h5mu")
    again = mudata.read(tmp_path / "a.h5mu")
    GIM.setup_mudata(again, **SETUP)
    pd.testing.assert_frame_equal(GIM(again).contexts, expected)


def test_one_modality_and_a_layer_for_each(mdata: mudata.MuData) -> None:
    mdata.mod["rna"].layers["logs"] = mdata.mod["rna"].X * 2
    GIM.setup_mudata(mdata, **SETUP, layer={"rna": "logs"})
    x = np.concatenate([x for x, _ in GIM(mdata).cells()()])
    np.testing.assert_allclose(x[:, :3], 2 * mdata.mod["rna"].X.toarray())
    GIM.setup_mudata(mdata, **SETUP, modalities={"layer": "protein"})
    assert GIM(mdata).genes == ["g0"]


def test_columns_that_differ_between_modalities_are_refused(screen: ad.AnnData) -> None:
    mdata = split(screen, columns="rna")
    mdata.mod["protein"].obs["drug"] = "DMSO"
    mdata.mod["protein"].obs["dose"] = mdata.mod["rna"].obs["dose"]
    with pytest.raises(ValueError, match=r"perturbation_key: .*modalities=\{'perturbation_key': 'rna'\}"):
        GIM.setup_mudata(mdata, **SETUP)
    GIM.setup_mudata(mdata, **SETUP, modalities={"perturbation_key": "rna"})
    assert GIM(mdata).summary_stats.n_drugs == 3


def reordered(m: mudata.MuData) -> mudata.MuData:
    return mudata.MuData({"rna": m.mod["rna"].copy(), "protein": m.mod["protein"][::-1].copy()})


WRONG: dict[str, tuple[Callable, dict, type[Exception], str]] = {
    "column": (lambda m: m, {"batch_key": "nowhere"}, KeyError, "batch_key: column 'nowhere' is not in mdata.obs"),
    "modality": (lambda m: m, {"modalities": {"layer": ["atac"]}}, KeyError, "modalities: 'atac'"),
    "argument": (lambda m: m, {"modalities": {"drug": "rna"}}, ValueError, "modalities: unknown"),
    "layer": (lambda m: m, {"layer": {"rna": "x"}}, KeyError, r"layer: 'x' is not in mdata\['rna'\].layers"),
    "view": (lambda m: m[:50], {}, ValueError, "view"),
    "order": (reordered, {"modalities": {"perturbation_key": "rna"}}, ValueError, "same cells in the same order"),
    "type": (lambda m: m.mod["rna"], {}, TypeError, "setup_anndata"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_calls_write_nothing(mdata: mudata.MuData, case: str) -> None:
    edit, arguments, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        GIM.setup_mudata(edit(mdata), **SETUP | arguments)
    assert not any("_scvi" in c for c in mdata.obs)
    assert "_scvi_uuid" not in mdata.uns


def test_lightning_trains_on_all_modalities(screen: ad.AnnData) -> None:
    mdata = split(screen)
    GIM.setup_mudata(mdata, **SETUP)
    model = GIM(mdata)
    model.train(max_epochs=1, accelerator="cpu", enable_progress_bar=False)
    assert model.history is not None
    assert "train_loss" in model.history
    assert model.get_targets()["gene"].cat.categories.tolist() == model.genes
