"""Confounded designs are named, from labels alone, and sound ones are not."""

import numpy as np
import pandas as pd
import pytest

from scgim import tl
from scgim.datasets import faults, simulate
from scgim.tl._design import confounded_table, find_confounded, warn_confounded

KEYS = {"perturbation_key": "drug", "control": "control"}
SMALL = {
    "n_genes": 5,
    "edges_per_gene": 1,
    "n_drugs": 4,
    "n_new_drugs": 0,
    "new_doses": (),
    "n_control": 80,
    "n_cells": 10,
}


def cells(plates: dict[str, str], **more: list) -> pd.DataFrame:
    """Ten cells for each letter of a drug's plates."""
    rows = [(drug, plate) for drug, letters in plates.items() for plate in letters for _ in range(10)]
    return pd.DataFrame(rows, columns=["drug", "plate"]).assign(**more)


def problems(obs: pd.DataFrame, **keys) -> dict[str, tuple[str, ...]]:
    return {finding.problem: finding.drugs for finding in find_confounded(obs, **KEYS, **keys)}


def test_a_sound_design_has_no_problem():
    obs = cells({"control": "abc", "one": "ab", "two": "bc"})
    assert problems(obs, batch_key="plate") == {}
    assert problems(obs.rename(columns={"plate": "rna:plate"}), batch_key="plate") == {}
    (finding,) = find_confounded(obs, **KEYS)
    assert finding.serious and "in one of its levels" in str(finding) and finding.drugs == ("one", "two")
    (finding,) = find_confounded(obs.rename(columns={"plate": "lane"}), **KEYS)
    assert not finding.serious
    assert problems(cells({"control": "a", "one": "a", "two": "a"})) == {}


def test_a_drug_in_one_batch():
    obs = cells({"control": "abc", "one": "a", "two": "abc"})
    assert problems(obs) == {"in one batch only": ("one",)}
    (finding,) = find_confounded(obs, **KEYS)
    assert finding.serious
    assert "batch_key='plate'" in finding.advice
    (known,) = find_confounded(obs, **KEYS, batch_key="plate")
    assert not known.serious


def test_a_batch_for_each_drug():
    obs = cells({"control": "abcd", "one": "a", "two": "b", "three": "c"})
    assert problems(obs) == {"each in a batch of its own": ("one", "three", "two")}


def test_a_batch_without_controls():
    obs = cells({"control": "ab", "one": "ab", "two": "c"})
    assert problems(obs) == {"no control in its batches": ("two",)}


def test_a_treatment_without_any_common_donor():
    """The worst design of all; a column whose name leaves no doubt is enough to see it, one of samples is not."""
    obs = cells({"control": "ab", "one": "cd"})
    for name, seen in {"donor": True, "patient_id": True, "plate": True, "sample": False}.items():
        found = problems(obs.rename(columns={"plate": name}))
        assert found == ({"no control in its batches": ("one",)} if seen else {})
    assert problems(cells({"control": "a", "one": "b"})) == {"no control in its batches": ("one",)}


def test_columns_that_are_no_batches_are_left_alone():
    """Guides hold one perturbation each, names of wells one cell, and other columns are not called a batch."""
    obs = cells({"control": "ab", "one": "a", "two": "b"}).rename(columns={"plate": "cluster"})
    obs["sample_guide"] = obs["drug"] + obs["cluster"]
    obs["well"] = [str(i) for i in range(len(obs))]
    obs["run_time"] = np.linspace(0, 1, len(obs))
    assert problems(obs) == {}
    assert problems(obs, categorical_covariate_keys=["cluster"]) == {"each in a batch of its own": ("one", "two")}


@pytest.mark.parametrize(
    "name", "plate Batch plateID seq_lane donor.id ind subjectID gem_group hours time_point".split()
)
def test_names_of_batches_and_times(name):
    obs = cells({"control": "abc", "one": "a", "two": "abc"}).rename(columns={"plate": name})
    assert find_confounded(obs, **KEYS)[0].column == name


def test_drugs_that_were_only_given_together():
    pairs = simulate(**SMALL, faults=[faults.OnlyTogether(1)]).obs
    keys = {"perturbation_key": ["drug_1", "drug_2"], "control": "control"}
    (finding,) = find_confounded(pairs, **keys)
    assert (finding.problem, finding.drugs) == ("measured only together", ("drug_1", "drug_2"))
    assert finding.serious
    assert find_confounded(simulate(**SMALL, n_pairs=2, train_pairs=1.0).obs, **keys) == []


def test_table_and_warnings_name_the_drugs():
    obs = cells({"control": "abc"} | {f"drug{d}": "a" for d in range(7)})
    findings = find_confounded(obs, **KEYS)
    table = confounded_table(findings)
    assert table["n_drugs"].tolist() == [7]
    assert table["drugs"].item().count("drug") == 7
    with pytest.warns(UserWarning, match=r"plate: in one batch only: drug0, drug1, drug2, drug3, drug4 and 2 more\."):
        warn_confounded(findings)
    assert list(confounded_table([]).columns) == list(table.columns)


def test_fit_warns_of_plates_that_it_was_not_told():
    adata = simulate(**SMALL, features="noise", faults=[faults.Plates(2)])
    keys = KEYS | {"dose_key": "dose", "progress": False, "accelerator": "cpu"}
    with pytest.warns(UserWarning, match="plate: in one batch only: drug_1"):
        tl.fit(adata, **keys)


def test_replicates_are_batches_without_doubt_where_levels_say_so():
    """Numbers of replicates need not mean the same in every drug, patients do; times are a hint for the table."""
    obs = cells({"control": "abc", "one": "ab"})
    numbered, patients = obs.rename(columns={"plate": "replicate"}), obs.rename(columns={"plate": "replicate"})
    patients["replicate"] = "patient_" + patients["replicate"]
    for table, serious in ((numbered, False), (patients, True), (obs.rename(columns={"plate": "hours"}), False)):
        (finding,) = find_confounded(table, **KEYS)
        assert finding.serious == serious


def test_doses_that_were_not_registered():
    obs = cells({"control": "aa", "one": "ab", "two": "cc"}).rename(columns={"plate": "conc_uM"})
    (finding,) = find_confounded(obs, **KEYS)
    assert finding.serious
    assert finding.drugs == ("one",)
    assert "dose_key='conc_uM'" in finding.advice
    assert problems(obs, dose_key="conc_uM") == {}


def test_concentrations_of_what_controls_have_too_are_no_doses():
    obs = cells({"control": "ab", "one": "ab"}).rename(columns={"plate": "rna_conc"})
    assert find_confounded(obs, **KEYS) == []
