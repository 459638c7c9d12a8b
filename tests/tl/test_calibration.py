"""Calibration on the user's own data: pseudo-drugs are controls in the design of drugs, and what is called on them is told."""

import warnings

import numpy as np
import pandas as pd
import pytest
from mudata import MuData

from scgim import tl
from scgim._warnings import quiet_mudata
from scgim.datasets import faults, simulate
from scgim.tl._calibration import COLUMNS, arguments_of, choose, count, relabelled, warn_uncalibrated

SMALL = {
    "n_genes": 6,
    "edges_per_gene": 1,
    "n_drugs": 4,
    "doses": (1.0, 2.0),
    "new_doses": (),
    "n_new_drugs": 0,
    "n_control": 240,
    "n_cells": 20,
    "features": "noise",
}
KEYS = {"perturbation_key": "drug", "dose_key": "dose", "control": "control", "progress": False, "accelerator": "cpu"}


@pytest.fixture(scope="module")
def adata():
    return simulate(**SMALL, n_batches=2)


@pytest.fixture(scope="module")
def model(adata):
    return tl.fit(adata, **KEYS, batch_key="batch")


@pytest.fixture(scope="module")
def on_plates():
    """A screen on six plates, of which the fit was not told."""
    plates = simulate(**SMALL, faults=[faults.Plates(6, sd=0.5)])
    with pytest.warns(UserWarning, match="plate"):
        return tl.fit(plates, **KEYS)


def chosen(model, n=3, split_by=None, seed=0):
    return choose(model, arguments_of(model)[0], n, split_by, np.random.default_rng(seed))


def test_pseudo_drugs_are_controls_in_the_design_of_a_drug(model, adata):
    pseudo, how = chosen(model)
    assert how == "random cells"
    cells = np.concatenate([one.cells for one in pseudo])
    assert len(cells) == len(set(cells))
    assert (adata.obs["drug"].iloc[cells] == "control").all()
    left = adata.obs[adata.obs["drug"] == "control"].drop(adata.obs_names[cells])["batch"].value_counts()
    assert (left >= 60).all()  # half of the controls of each batch
    for one in pseudo:
        contexts = pd.DataFrame({"dose": one.dose, "batch": adata.obs["batch"].iloc[one.cells].to_numpy()})
        assert set(contexts["dose"]) <= {1.0, 2.0}
        assert contexts.value_counts().max() <= 20


def test_a_pseudo_drug_is_the_controls_of_one_plate(on_plates):
    pseudo, how = chosen(on_plates)
    assert how == "plate"
    plate = on_plates.adata.obs["plate"].to_numpy()
    assert [len(set(plate[one.cells])) for one in pseudo] == [1, 1, 1]  # three of six plates
    assert all(len(one.cells) == 40 for one in pseudo)
    for one in pseudo:
        assert pd.Series(one.dose).value_counts().to_dict() == {1.0: 20, 2.0: 20}


def test_labels_and_doses_of_pseudo_drugs(model, adata):
    pseudo, _ = chosen(model)
    obs = relabelled(adata.obs, arguments_of(model)[0], pseudo)
    assert (obs["drug"] == "pseudo-drug 1").sum() == len(pseudo[0].cells)
    np.testing.assert_array_equal(obs["dose"].iloc[pseudo[0].cells], pseudo[0].dose)
    others = np.setdiff1d(np.arange(len(obs)), np.concatenate([one.cells for one in pseudo]))
    assert (obs["drug"].iloc[others].astype(str) == adata.obs["drug"].iloc[others].astype(str)).all()
    assert "pseudo-drug 1" not in set(adata.obs["drug"])  # a copy


def test_calls_are_counted_once_a_gene_and_drug():
    targets = pd.DataFrame({"drug": ["pseudo-drug 1"] * 3 + ["a", "b"], "gene": ["x", "x", "y", "x", "x"]})
    targets["probability"] = [0.6, 0.95, 0.2, 0.999, 0.1]
    table = count(targets, ["pseudo-drug 1", "pseudo-drug 2"], ["drug"]).set_index("threshold")
    assert table["calls"].to_dict() == {0.5: 1, 0.9: 1, 0.99: 0}
    assert table["per_pseudo_drug"].to_dict() == {0.5: 0.5, 0.9: 0.5, 0.99: 0}
    assert table["per_drug"].to_dict() == {0.5: 0.5, 0.9: 0.5, 0.99: 0.5}


def test_many_calls_on_controls_are_a_warning(recwarn):
    row = {"threshold": 0.9, "pseudo_drugs": 4, "per_drug": 2.0, "split_by": "plate"}
    warn_uncalibrated(pd.DataFrame([row | {"calls": 1, "per_pseudo_drug": 0.25}]))
    assert not recwarn
    with pytest.warns(UserWarning, match=r"on 4 pseudo-drugs, which are controls \(plate\), 4 targets"):
        warn_uncalibrated(pd.DataFrame([row | {"calls": 4, "per_pseudo_drug": 1.0}]))


def test_diagnose_tells_both(model, adata):
    before = adata.obs.copy()
    tables = tl.diagnose(model, n_cells=5)
    table = tables["calibration"]
    assert list(table.columns) == list(COLUMNS)
    assert table["pseudo_drugs"].tolist() == [4] * 3
    assert table["calls"].is_monotonic_decreasing
    assert table.set_index("threshold").loc[0.9, "calls"] <= 1  # nothing is there to be found
    assert list(tables["confounded"].columns) == ["problem", "column", "registered", "n_drugs", "drugs", "advice"]
    pd.testing.assert_frame_equal(adata.obs, before)
    pd.testing.assert_frame_equal(table, tl.diagnose(model, n_cells=5)["calibration"])  # the same seed


def test_calibration_can_be_left_out(model, on_plates):
    assert tl.diagnose(model, n_cells=5, pseudo_drugs=0)["calibration"].empty
    confounded = tl.diagnose(on_plates, n_cells=5, pseudo_drugs=0)["confounded"]
    assert confounded["column"].tolist() == ["plate"]
    with pytest.raises(KeyError, match="split_by: no column 'lane'"):
        tl.diagnose(model, n_cells=5, split_by="lane")
    with pytest.raises(ValueError, match="pseudo_drugs: expected a whole number of at least 0"):
        tl.diagnose(model, pseudo_drugs=-1)


def test_combinations_and_counts_are_calibrated_too():
    pairs = simulate(**SMALL | {"n_pairs": 2, "train_pairs": 1.0})
    keys = KEYS | {"perturbation_key": ["drug_1", "drug_2"], "dose_key": ["dose_1", "dose_2"]}
    assert tl.diagnose(tl.fit(pairs, **keys), n_cells=5, pseudo_drugs=2)["calibration"]["pseudo_drugs"].eq(2).all()
    counts = simulate(**SMALL, noise="counts", zeros=0.3)
    fitted = tl.fit(counts, **KEYS, size_factor_key="size_factor", noise="poisson_lognormal")
    assert tl.diagnose(fitted, n_cells=5, pseudo_drugs=2)["calibration"]["pseudo_drugs"].eq(2).all()


def test_columns_of_one_modality_are_those_of_a_mudata():
    plates = simulate(**SMALL, faults=[faults.Plates(6, sd=0.5)])
    one, other = plates[:, :3].copy(), plates[:, 3:].copy()
    other.obs = other.obs[[]]
    with quiet_mudata():
        mdata = MuData({"rna": one, "protein": other})
    with warnings.catch_warnings(record=True) as caught:  # `pytest.warns` would raise those of mudata as ours
        warnings.simplefilter("always")
        fitted = tl.fit(mdata, **KEYS, modalities={"dose_key": "rna"})
    plate = "rna:plate" if "rna:plate" in mdata.obs else "plate"  # by the version of mudata
    assert any(str(warning.message).startswith(f"{plate}: each") for warning in caught)
    tables = tl.diagnose(fitted, n_cells=5, pseudo_drugs=2)
    assert tables["confounded"]["column"].tolist() == [plate]
    assert tables["calibration"]["pseudo_drugs"].eq(2).all()
    assert tables["calibration"]["split_by"].eq(plate).all()


def test_controls_that_do_not_suffice_give_an_empty_table_and_a_warning():
    few = tl.fit(simulate(**SMALL | {"n_control": 6}), **KEYS)
    with pytest.warns(UserWarning, match=r"pseudo_drugs: expected controls for 4 .* found 6, .* pseudo_drugs=0"):
        assert tl.diagnose(few, n_cells=5)["calibration"].empty
