"""`scgim.pp.split_contexts`: no context on both sides, controls in training."""

import itertools

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scgim.pp import split_contexts

SINGLE = {"perturbation_key": "drug", "control": "control", "dose_key": "dose"}
PAIRS = {"perturbation_key": ["drug_1", "drug_2"], "control": "control", "dose_key": ["dose_1", "dose_2"]}


def annotated(obs):
    obs = obs.sample(frac=1, random_state=0)
    obs.index = [f"c{i}" for i in range(len(obs))]
    return anndata.AnnData(np.zeros((len(obs), 1)), obs=obs)


@pytest.fixture
def single():
    """Six drugs at three doses (the sixth at one) in two cell lines, three cells each."""
    rows = [("control", 0.0, line) for line in ("K562", "A549") for _ in range(5)]
    rows += [(d, c, line) for d in "ABCDE" for c in (1.0, 10.0, 100.0) for line in ("K562", "A549") for _ in range(3)]
    rows += [("F", 10.0, line) for line in ("K562", "A549")]
    return annotated(pd.DataFrame(rows, columns=["drug", "dose", "line"]))


@pytest.fixture
def pairs():
    """Four drugs alone and all six pairs, written in both orders."""
    rows = [("control", "control", 0.0, 0.0)] * 4 + [(d, "control", 1.0, 0.0) for d in "ABCD"]
    for a, b in itertools.combinations("ABCD", 2):
        rows += [(a, b, 1.0, 2.0), (b, a, 2.0, 1.0)]
    return annotated(pd.DataFrame(rows, columns=["drug_1", "drug_2", "dose_1", "dose_2"]))


def test_highest_dose_of_one_drug_can_be_held_out(single):
    """The published split of sci-Plex 3."""
    assert split_contexts(single, "dose", hold_out="highest", drugs=["B"], **SINGLE) is None
    test = single.obs[single.obs["split"] == "test"]
    assert set(zip(test["drug"], test["dose"], strict=True)) == {("B", 100.0)}
    assert len(test) == 6
    assert single.uns["split"]["params"]["by"] == "dose"


def test_highest_doses_spare_drugs_with_one_dose(single):
    split_contexts(single, "dose", hold_out="highest", **SINGLE)
    test = single.obs[single.obs["split"] == "test"]
    assert set(test["drug"]) == set("ABCDE")
    assert set(test["dose"]) == {100.0}


def test_listed_doses_can_be_held_out(single):
    split_contexts(single, "dose", hold_out=[1.0, 10], **SINGLE)
    test = single.obs["split"] == "test"
    assert set(single.obs.loc[test, "dose"]) == {1.0, 10.0}
    assert "F" not in set(single.obs.loc[test, "drug"])
    with pytest.raises(ValueError, match="leaves no dose of"):
        split_contexts(single, "dose", hold_out=[1, 10, 100], **SINGLE)


def test_listed_drugs_can_be_held_out(single):
    split_contexts(single, "drug", hold_out=["A", "F"], **SINGLE)
    test = single.obs["split"] == "test"
    assert set(single.obs.loc[test, "drug"]) == {"A", "F"}
    assert not set(single.obs.loc[~test, "drug"]) & {"A", "F"}


def test_held_out_drugs_take_their_combinations_with_them(pairs):
    split_contexts(pairs, "drug", hold_out="A", **PAIRS)
    held = (pairs.obs["drug_1"] == "A") | (pairs.obs["drug_2"] == "A")
    np.testing.assert_array_equal(pairs.obs["split"] == "test", held)


def test_combinations_are_held_out_in_both_orders(pairs):
    split_contexts(pairs, "combination", hold_out=[["B", "A"]], **PAIRS)
    test = pairs.obs[pairs.obs["split"] == "test"]
    assert set(zip(test["drug_1"], test["drug_2"], strict=True)) == {("A", "B"), ("B", "A")}


@pytest.mark.parametrize("key", ["covariate_key", "batch_key"])
def test_level_of_a_covariate_can_be_held_out(single, key):
    split_contexts(single, "covariate", hold_out="A549", **{key: "line"}, **SINGLE)
    expected = (single.obs["line"] == "A549") & (single.obs["drug"] != "control")
    np.testing.assert_array_equal(single.obs["split"] == "test", expected)


@settings(max_examples=40, deadline=None)
@given(by=st.sampled_from(["dose", "drug", "combination"]), seed=st.integers(0, 10**6), fraction=st.floats(0.05, 0.9))
def test_no_context_on_both_sides(by, seed, fraction):
    """Random data with singles and pairs at two doses: a context is in training or in test, controls are in training."""
    rng = np.random.default_rng(seed)
    rows = [("control", "control", 0.0, 0.0)] * 3 + [(d, "control", c, 0.0) for d in "ABCDEF" for c in (1.0, 2.0)]
    for a, b in itertools.combinations("ABCDEF", 2):
        one, two = (a, b) if rng.random() < 0.5 else (b, a)
        rows += [(one, two, rng.choice([1.0, 2.0]), rng.choice([1.0, 2.0])), (two, one, 2.0, 1.0)]
    adata = annotated(pd.DataFrame(rows, columns=["drug_1", "drug_2", "dose_1", "dose_2"]))
    try:
        split_contexts(adata, by, fraction=fraction, rng=seed, **PAIRS)
    except ValueError as error:
        assert "leaves no" in str(error)  # every pair has a held-out drug
        return
    sides: dict = {}
    for row in adata.obs.itertuples():
        kind = frozenset({(row.drug_1, row.dose_1), (row.drug_2, row.dose_2)} - {("control", 0.0)})
        sides.setdefault(kind, set()).add(row.split)
    assert all(len(found) == 1 for found in sides.values())
    assert sides[frozenset()] == {"train"}
    assert {"train", "test"} == set(adata.obs["split"])


def test_random_choice_is_seeded(single):
    one, two, other = (split_contexts(single, "drug", rng=s, copy=True, **SINGLE).obs["split"] for s in (1, 1, 2))
    assert one.equals(two)
    assert not one.equals(other)
    assert "split" not in single.obs


def test_cell_splits_are_refused(single):
    with pytest.raises(ValueError, match="leaks"):
        split_contexts(single, "cell", **SINGLE)


def test_splits_survive_writing(single, tmp_path):
    split_contexts(single, "drug", **SINGLE)
    single.write_h5ad(tmp_path / "a.h5ad")
    back = anndata.read_h5ad(tmp_path / "a.h5ad")
    assert list(back.obs["split"]) == list(single.obs["split"])
    assert back.uns["split"]["params"]["fraction"] == 0.2


@pytest.mark.parametrize(
    ("by", "kwargs", "message"),
    [
        ("dose", {"dose_key": None}, "dose_key must be given"),
        ("covariate", {}, "covariate_key must be given"),
        ("drug", {"hold_out": ["Z"]}, "'Z'"),
        ("dose", {"hold_out": [7.0]}, "7.0"),
        ("dose", {"hold_out": "highest", "drugs": ["F"]}, "'F'"),
        ("covariate", {"covariate_key": "line", "hold_out": ["HeLa"]}, "'HeLa'"),
        ("covariate", {"covariate_key": "line", "hold_out": ["K562", "A549"]}, "no perturbed cell to train on"),
        ("combination", {}, "no combination"),
        ("drug", {"fraction": 0}, "fraction"),
        ("drug", {"control": "DMSO"}, "control='DMSO' does not occur"),
        ("drug", {"dose_key": "line"}, "encode_doses"),
        ("drug", {"dose_key": ["dose", "line"]}, "expected 1 columns"),
        ("drug", {"hold_out": list("ABCDEF")}, "no perturbed cell to train on"),
    ],
)
def test_wrong_arguments_write_nothing(single, by, kwargs, message):
    with pytest.raises(ValueError, match=message):
        split_contexts(single, by, **{**SINGLE, **kwargs})
    assert "split" not in single.obs


def test_controls_need_no_dose_and_drugs_do(single):
    control = (single.obs["drug"] == "control").to_numpy()
    before = split_contexts(single, "dose", hold_out="highest", copy=True, **SINGLE).obs["split"]
    single.obs["dose"] = single.obs["dose"].mask(control)
    assert split_contexts(single, "dose", hold_out="highest", copy=True, **SINGLE).obs["split"].equals(before)
    single.obs["dose"] = single.obs["dose"].mask(~control)
    with pytest.raises(ValueError, match="negative or missing ones where a drug was given"):
        split_contexts(single, "dose", hold_out="highest", **SINGLE)
