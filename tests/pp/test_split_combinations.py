"""`scgim.pp.split_combinations`."""

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scgim.pp import split_combinations


def make(drugs, doses=None):
    obs = pd.DataFrame({"drug": drugs}, index=[str(i) for i in range(len(drugs))])
    if doses is not None:
        obs["dose"] = pd.Series(doses, dtype=object, index=obs.index)
    return anndata.AnnData(np.zeros((len(obs), 1)), obs=obs)


def test_pairs_are_split_by_position():
    adata = make(["control", "A", "A+B", "B + A", "control+B"], ["0", "1", "1+10", "10+1", "0+5"])
    assert split_combinations(adata, "drug", dose_key="dose") is None
    assert list(adata.obs["drug_1"]) == ["control", "A", "A", "B", "B"]
    assert list(adata.obs["drug_2"]) == ["control", "control", "B", "A", "control"]
    assert list(adata.obs["dose_1"]) == [0, 1, 1, 10, 5]
    assert list(adata.obs["dose_2"]) == [0, 0, 10, 1, 0]
    assert adata.obs["drug_1"].cat.categories[0] == "control"
    assert adata.obs["dose_2"].dtype == float


def test_separators_inside_names_are_kept():
    """Real names: "(+)-JQ1" is one drug."""
    adata = make(["control", "(+)-JQ1", "(+/-)-A+[B+C]"])
    split_combinations(adata, "drug")
    assert list(adata.obs["drug_1"]) == ["control", "(+)-JQ1", "(+/-)-A"]
    assert list(adata.obs["drug_2"]) == ["control", "control", "[B+C]"]
    assert "dose_1" not in adata.obs


def test_single_drugs_give_one_column():
    adata = make(["control", "A"], [0, 2.5])
    with pytest.warns(UserWarning, match="separator: no label in 'drug' holds"):
        split_combinations(adata, "drug", dose_key="dose")
    assert list(adata.obs["dose_1"]) == [0, 2.5]
    assert "drug_2" not in adata.obs


@pytest.mark.filterwarnings("ignore:separator")
def test_control_needs_no_dose():
    adata = make(["control", "A"], ["vehicle", "1"])
    split_combinations(adata, "drug", dose_key="dose")
    assert list(adata.obs["dose_1"]) == [0, 1]


def test_copy_leaves_the_original():
    adata = make(["A+B", "control"])
    other = split_combinations(adata, "drug", copy=True)
    assert list(adata.obs) == ["drug"]
    assert list(other.obs["drug_2"]) == ["B", "control"]


@pytest.mark.parametrize(
    ("drug", "dose", "message"),
    [
        ("A+B", "1", r"'A\+B' has 2 part.*dose '1' has 1"),
        ("A", "1+10", r"'A' has 1 part.*dose '1\+10' has 2"),
        ("A+B", 3.0, r"'A\+B' has 2 part.*dose 3.0 has 1"),
        ("A+", "1+2", "empty part"),
        ("A+A", "1+2", "names a drug twice"),
        ("A+B", "1+much", r"dose '1\+much' of perturbation 'A\+B'"),
        ("A+B", "1+-2", "at least 0"),
        ("A", "1 nM", "has a unit"),
        ("A", np.nan, "dose nan of perturbation 'A'"),
    ],
)
def test_bad_rows_are_named(drug, dose, message):
    adata = make(["control", drug], ["0", dose])
    with pytest.raises(ValueError, match=message):
        split_combinations(adata, "drug", dose_key="dose")
    assert list(adata.obs) == ["drug", "dose"]


def test_cells_without_a_perturbation_are_refused():
    with pytest.raises(ValueError, match="1 cells have no value"):
        split_combinations(make(["A", None]), "drug")


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="+()[]{}", categories=("L", "N", "P")), min_size=1)


@pytest.mark.filterwarnings("ignore:separator", "ignore:control.*read like controls")
@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.lists(
            st.tuples(NAMES.filter(lambda n: n != "control"), st.floats(0, 1e6)), max_size=3, unique_by=lambda p: p[0]
        ),
        min_size=1,
        max_size=5,
    )
)
def test_joining_and_splitting_round_trips(rows):
    """Whatever is joined with the separator comes back, in order."""
    drugs = ["+".join(d for d, _ in row) or "control" for row in rows]
    doses = ["+".join(repr(c) for _, c in row) or "0" for row in rows]
    adata = make(drugs, doses)
    split_combinations(adata, "drug", dose_key="dose")
    places = [c for c in adata.obs if str(c).startswith("drug_")]
    for i, row in enumerate(rows):
        found = [(adata.obs[p].iloc[i], adata.obs[p.replace("drug", "dose")].iloc[i]) for p in places]
        assert [pair for pair in found if pair[0] != "control"] == row


def test_parts_with_the_name_of_a_control_are_pointed_out():
    with pytest.warns(UserWarning, match=r"control: \['ctrl'\] read like controls"):
        split_combinations(make(["control", "A+ctrl"]), "drug")
