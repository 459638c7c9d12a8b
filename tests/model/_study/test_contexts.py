"""Contexts: what is derived from the registered columns."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scgim.model._reading.spec import make_spec, refuse_taken
from scgim.model._study.contexts import Contexts, derive_contexts, encode_rows, match_contexts, number_type

SINGLE = make_spec(perturbation_key="drug", control="ctrl", dose_key="dose")
PAIR = make_spec(perturbation_key=["d1", "d2"], control="ctrl", dose_key=["c1", "c2"], batch_key="batch")
NAMES = ["A", "B/C", "(+/-) x", "Ä ß", "z z"]


def pairs(rows: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["d1", "c1", "d2", "c2", "batch"])


@st.composite
def screens(draw: st.DrawFn) -> pd.DataFrame:
    """Rows of up to two different drugs."""
    rows = []
    for _ in range(draw(st.integers(1, 30))):
        drugs = draw(st.lists(st.sampled_from(NAMES), max_size=2, unique=True))
        drugs = draw(st.permutations(drugs + ["ctrl"] * (2 - len(drugs))))
        dose = [draw(st.sampled_from([0.1, 1.0, 10.0])) if d != "ctrl" else 0.0 for d in drugs]
        rows.append((drugs[0], dose[0], drugs[1], dose[1], draw(st.sampled_from("xy"))))
    return pairs(rows)


@settings(max_examples=60, deadline=None)
@given(screens(), st.randoms(use_true_random=False))
def test_encoding_keeps_every_dose_with_its_drug(frame: pd.DataFrame, random: object) -> None:
    """The contexts say what the rows say, whatever the order of rows and of drugs in a row."""
    contexts = derive_contexts(frame, PAIR)
    design = contexts.design
    for k, (_, row) in zip(contexts.index, frame.iterrows(), strict=True):
        expected = {row[d]: row[c] for d, c in (("d1", "c1"), ("d2", "c2")) if row[d] != "ctrl"}
        found = {design.drugs[d]: design.dose[k, d] for d in np.flatnonzero(design.dose[k])}
        assert found == expected
        assert design.group_names[design.group[k]] == f"batch={row['batch']}"
    swapped = frame.rename(columns={"d1": "d2", "d2": "d1", "c1": "c2", "c2": "c1"})
    order = np.random.default_rng(0).permutation(len(frame))
    again = derive_contexts(swapped.iloc[order].reset_index(drop=True), PAIR)
    pd.testing.assert_frame_equal(again.table, contexts.table)
    assert np.array_equal(again.index, contexts.index[order])
    assert np.array_equal(np.bincount(contexts.index), contexts.table["n_cells"])


@settings(max_examples=30, deadline=None)
@given(screens())
def test_contexts_survive_the_registry(frame: pd.DataFrame) -> None:
    contexts = derive_contexts(frame, PAIR)
    again = Contexts.from_state(contexts.to_state())
    pd.testing.assert_frame_equal(again.table, contexts.table, check_dtype=False)
    pd.testing.assert_frame_equal(again.groups, contexts.groups, check_dtype=False)
    assert again.design.drugs == contexts.design.drugs
    assert np.array_equal(match_contexts(frame, PAIR, again), contexts.index)


def test_combination_is_one_context() -> None:
    frame = pairs([("A", 1, "B", 10, "x"), ("B", 10, "A", 1, "x"), ("B", 1, "A", 10, "x")])
    contexts = derive_contexts(frame, PAIR)
    assert contexts.index.tolist() == [0, 0, 1]
    assert contexts.table.drop(columns="n_cells").iloc[0].tolist() == ["A", "B", 1.0, 10.0, "x"]


def test_single_drug_in_any_column_is_one_context() -> None:
    frame = pairs([("A", 1, "ctrl", 0, "x"), ("ctrl", np.nan, "A", 1, "x"), ("ctrl", 0, "ctrl", 0, "x")])
    contexts = derive_contexts(frame, PAIR)
    assert contexts.index.tolist() == [1, 1, 0]
    assert contexts.design.control.tolist() == [True, False]


def test_same_drug_twice_in_a_row_is_refused() -> None:
    with pytest.raises(ValueError, match="perturbation_key: 'A' is named twice"):
        derive_contexts(pairs([("A", 1, "A", 10, "x")]), PAIR)


def test_controls_come_first_and_combinations_last() -> None:
    frame = pairs([("B", 1, "A", 1, "x"), ("B", 1, "ctrl", 0, "x"), ("ctrl", 0, "ctrl", 0, "x")])
    assert derive_contexts(frame, PAIR).index.tolist() == [2, 1, 0]


def test_without_doses_the_design_holds_ones() -> None:
    spec = make_spec(perturbation_key="drug", control="ctrl")
    design = derive_contexts(pd.DataFrame({"drug": ["ctrl", "A", "B"]}), spec).design
    assert design.dose.tolist() == [[0, 0], [1, 0], [0, 1]]
    assert not design.has_dose


@pytest.mark.parametrize("dtype", ["float64", "float32", "category", "object"])
def test_doses_are_read_from_any_numeric_column(dtype: str) -> None:
    frame = pd.DataFrame({"drug": ["ctrl", "A", "A"], "dose": pd.Series([0.0, 0.1, 2.0]).astype(dtype)})
    assert derive_contexts(frame, SINGLE).table["dose"].tolist() == [0.0, 0.1, 2.0]


@pytest.mark.parametrize(
    ("dose", "error", "message"),
    [
        (["0", "1"], TypeError, "expected numbers"),
        ([True, True], TypeError, "expected numbers"),
        ([0, -1], ValueError, "negative"),
        ([0, np.nan], ValueError, "missing"),
        ([0, np.inf], ValueError, "infinite"),
        ([0, 0], ValueError, "is 0 in 1 row"),
    ],
)
def test_wrong_doses_are_refused(dose: list, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        derive_contexts(pd.DataFrame({"drug": ["ctrl", "A"], "dose": dose}), SINGLE)
    assert "dose_key" in str(caught.value)


def test_new_drugs_are_appended() -> None:
    rows = encode_rows(pd.DataFrame({"drug": ["0new", "B"], "dose": [1.0, 2.0]}), SINGLE, ("A", "B"))
    assert rows.drugs == ("A", "B", "0new")
    assert rows.matrix().tolist() == [[0, 0, 1], [0, 2, 0]]


def test_unknown_context_is_named() -> None:
    source = derive_contexts(pd.DataFrame({"drug": ["ctrl", "A"], "dose": [0.0, 1.0]}), SINGLE)
    with pytest.raises(ValueError, match="'dose': 2.0"):
        match_contexts(pd.DataFrame({"drug": ["A"], "dose": [2.0]}), SINGLE, source)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"perturbation_key": []}, ValueError, "perturbation_key"),
        ({"perturbation_key": 3}, TypeError, "perturbation_key"),
        ({"perturbation_key": ["a", "a"]}, ValueError, "more than once"),
        ({"perturbation_key": "a", "dose_key": ["b", "c"]}, ValueError, "dose_key: expected 1"),
        ({"perturbation_key": "a", "control": ["x", "y"]}, TypeError, "control"),
        ({"perturbation_key": "a", "batch_key": ["b"]}, TypeError, "batch_key"),
        ({"perturbation_key": "a", "categorical_covariate_keys": ["a"]}, ValueError, "two roles"),
        ({"perturbation_key": "a", "batch_key": "n_cells"}, ValueError, "taken"),
        ({"perturbation_key": "gene", "batch_key": "obs_gene"}, ValueError, "'obs_gene' is taken.*rename"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        refuse_taken(make_spec(**({"control": "x"} | arguments)))


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("int8", ("int8", False)),
        ("float32", ("float32", False)),
        ("Int64", ("int64", False)),
        ("boolean", ("bool", False)),
        ("category", ("int64", True)),
        ("object", None),
        ("str", None),
    ],
)
def test_types_of_labels(dtype: str, expected: tuple[str, bool] | None) -> None:
    assert number_type(pd.Series([0, 1, 1]).astype(dtype)) == expected
